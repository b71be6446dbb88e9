//! OpenSLO: objectives go out and come back as they were, and so do documents.

use causeway_crds::SLO;
use causeway_crds::convert::{Format, Place, import, to_openslo};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A document that says more than our fields do, with the SLI and the alert policy that it names.
const DOCUMENTS: &str = r#"
apiVersion: openslo/v1
kind: SLI
metadata: {name: checkout-errors}
spec:
  description: Failed requests
  ratioMetric:
    counter: true
    bad: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: 'sum(rate(http_requests_total{job="checkout",code=~"5.."}[5m]))'}}}
    total: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: 'sum(rate(http_requests_total{job="checkout"}[5m]))'}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenBreaching: true
  conditions:
    - kind: AlertCondition
      metadata: {name: fast-burn}
      spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 14.4, lookbackWindow: 1h, alertAfter: 5m}}
  notificationTargets: [{targetRef: pager}]
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  displayName: Checkout works
  labels: {team: [payments, shop], tier: "1"}
spec:
  description: Customers can pay
  service: checkout
  indicatorRef: checkout-errors
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Timeslices
  objectives:
    - {displayName: Good, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1m}
    - {displayName: Fair, target: 0.98, timeSliceTarget: 0.9, timeSliceWindow: 5m}
  alertPolicies: [{alertPolicyRef: fast}]
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: 'http://localhost'}}
"#;

fn parsed(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn written(documents: &[Value]) -> String {
    documents.iter().map(|d| format!("---\n{}\n", serde_json::to_string(d).unwrap())).collect()
}

#[test]
fn documents_come_back_as_they_were_unless_somebody_changed_what_was_made() {
    let place = Place { namespace: Some("shop".into()), ..Place::default() };
    let imported = import(Format::OpenSlo, DOCUMENTS, &place).unwrap();
    let [good, fair] = &imported.slos[..] else { panic!("two: {:?} {:?}", imported.slos, imported.notes) };
    assert_eq!(good.metadata.name.as_deref(), Some("checkout-0"));
    assert_eq!((good.spec.target.as_str(), fair.spec.target.as_str()), ("99.5", "98"));
    let slices = fair.spec.timeslices.clone().unwrap();
    assert_eq!((slices.target.as_str(), slices.size.as_str()), ("90", "5m"));
    let bad = good.spec.indicator.ratio.clone().unwrap().bad.unwrap().metric.unwrap();
    assert_eq!((bad.name.as_str(), bad.labels.as_deref()), ("http_requests_total", Some("code=~\"5..\"")));
    assert_eq!(good.spec.burn[0].rate.to_string(), "14.4");
    let labels = good.metadata.labels.clone().unwrap();
    assert_eq!((labels["team"].as_str(), labels["tier"].as_str()), ("payments_shop", "1"));
    for slo in &imported.slos {
        assert_eq!(slo.validate_cel(), Ok(()));
    }
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("job=\"checkout\" left out") && notes.contains("prom: DataSource is not carried over"),
        "{notes}"
    );

    let again = to_openslo(&imported.slos);
    let mut documents = parsed(DOCUMENTS);
    documents.retain(|document| document["kind"] != "DataSource");
    assert_eq!(again.len(), documents.len());
    for document in documents {
        assert!(again.contains(&document), "{document}");
    }

    // A change of what was made counts, and not what it was made of.
    let mut changed = good.clone();
    changed.spec.target = causeway_crds::Decimal::parse("99.9").unwrap();
    let document = &to_openslo(&[changed])[0];
    assert_eq!(document["spec"]["objectives"][0]["target"], json!(0.999));
    assert_eq!(document["metadata"]["displayName"], "Checkout works");
}

#[test]
fn what_can_not_be_carried_over_is_told() {
    let document = |spec: Value| {
        json!({"apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": "x"}, "spec": spec})
            .to_string()
    };
    let objectives = json!([{"target": 0.99, "op": "lt", "value": 250}]);
    let query = |query: &str| json!({"metricSource": {"type": "Prometheus", "spec": {"query": query}}});
    let cases = [
        (json!({"service": "a"}), "no objective"),
        (json!({"service": "a", "objectives": objectives}), "no indicator"),
        (
            json!({"service": "a", "objectives": objectives, "indicatorRef": "gone"}),
            "SLI gone is not in the documents",
        ),
        (
            json!({"service": "a", "objectives": objectives,
                "indicator": {"spec": {"thresholdMetric": query("histogram_quantile(0.99, x)")}}}),
            "Threshold of Latency",
        ),
        (
            json!({"service": "a", "objectives": objectives,
                "indicator": {"spec": {"ratioMetric": {"good": query("a - b"), "total": query("a")}}}}),
            "more than one counter",
        ),
        (
            json!({"service": "a", "objectives": objectives,
                "indicator": {"spec": {"ratioMetric": {"raw": query("a"), "rawType": "success"}}}}),
            "raw ratio",
        ),
        (json!({"objectives": objectives}), "names no service"),
    ];
    for (spec, words) in cases {
        let imported = import(Format::OpenSlo, &document(spec.clone()), &Place::default()).unwrap();
        assert!(imported.slos.is_empty(), "{spec}");
        assert!(imported.notes.iter().any(|note| note.contains(words)), "{spec}: {:?}", imported.notes);
    }
    // What is meant a little differently is made, and told.
    let good = json!({"good": query("good_total"), "total": query("all_total")});
    let spec = json!({"service": "a", "objectives": objectives, "indicator": {"spec": {"ratioMetric": good}},
        "timeWindow": [{"duration": "1Q", "isRolling": false}]});
    let imported = import(Format::OpenSlo, &document(spec), &Place::default()).unwrap();
    assert_eq!(imported.slos[0].spec.window.duration.as_str(), "91d");
    assert!(
        imported.notes.iter().any(|note| note.contains("period of the calendar")),
        "{:?}",
        imported.notes
    );
}

fn decimal(from: u32, to: u32, places: u32) -> impl Strategy<Value = String> {
    (from * 10_u32.pow(places)..to * 10_u32.pow(places)).prop_map(move |n| {
        let text =
            format!("{}.{:0width$}", n / 10_u32.pow(places), n % 10_u32.pow(places), width = places as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    })
}

fn source() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "Signal", "signal": "Errors"})),
        Just(json!({"type": "Signal", "signal": "Traffic"})),
        "[a-z_]{1,12}".prop_map(|name| json!({"type": "Metric", "metric": {"name": name}})),
        "[a-z_]{1,12}".prop_map(|name| {
            json!({"type": "Metric", "metric": {"name": name, "labels": "code=~\"5..\",method!=\"GET\""}})
        }),
        "[a-z]{1,12}"
            .prop_map(|word| json!({"type": "Logs", "logs": {"query": format!("body contains \"{word}\"")}})),
    ]
}

fn indicator() -> impl Strategy<Value = Value> {
    prop_oneof![
        (source(), source(), any::<bool>()).prop_map(|(part, total, good)| {
            let part = if good {
                json!({"good": part, "total": total})
            } else {
                json!({"bad": part, "total": total})
            };
            json!({"type": "Ratio", "ratio": part})
        }),
        decimal(1, 5000, 2).prop_map(
            |below| json!({"type": "Threshold", "threshold": {"signal": "Latency", "below": below}})
        ),
        (decimal(1, 5000, 2), "[a-z_]{1,12}", any::<bool>()).prop_map(|(below, name, logs)| {
            let threshold = if logs {
                json!({"logs": {"query": format!("has({name})"), "value": name}, "below": below})
            } else {
                json!({"metric": {"name": name, "labels": "pool=\"main\""}, "below": below})
            };
            json!({"type": "Threshold", "threshold": threshold})
        }),
    ]
}

fn slo() -> impl Strategy<Value = SLO> {
    let burn = prop::collection::vec((any::<bool>(), decimal(1, 100, 1), 2_u32..72, 1_u32..60), 0..4).prop_map(|all| {
        all.into_iter()
            .map(|(page, rate, long, short)| {
                let severity = if page { "Page" } else { "Ticket" };
                json!({"severity": severity, "rate": rate, "long": format!("{long}h"), "short": format!("{short}m")})
            })
            .collect::<Vec<Value>>()
    });
    let slices = prop::option::of((decimal(1, 100, 2), 1_u32..60));
    let words = prop::option::of("[ -~]{1,40}");
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), 0_i32..100);
    let names = ("[a-z][a-z0-9]{0,10}", "[a-z][a-z0-9]{0,10}", prop::option::of("[a-z]{1,8}"));
    let target = decimal(1, 99, 4);
    (names, target, indicator(), burn, slices, words, flags, 1_u32..90).prop_map(
        |((name, service, namespace), target, indicator, burn, slices, words, (a, b, c, least), days)| {
            let mut metadata = json!({"name": name, "labels": {"team": "payments"}});
            if let Some(namespace) = namespace {
                metadata["namespace"] = json!(namespace);
            }
            if let Some(words) = &words {
                metadata["annotations"] = json!({"openslo.com/display-name": words, "note": words});
            }
            let mut spec = json!({"serviceRef": {"name": service}, "indicator": indicator, "target": target, "burn": burn,
                "window": {"duration": format!("{days}d"), "type": "Rolling"}, "minimumBadEvents": least,
                "predictExhaustion": a, "healthGate": b, "suspend": c});
            if let Some(words) = words {
                spec["description"] = json!(words);
            }
            if let Some((target, minutes)) = slices {
                spec["budgeting"] = json!("Timeslices");
                spec["timeslices"] = json!({"size": format!("{minutes}m"), "target": target});
            }
            let object = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "SLO", "metadata": metadata, "spec": spec});
            serde_json::from_value(object).unwrap()
        },
    )
}

/// A value that nothing of ours has a place for.
fn extra() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z]{0,8}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::collection::vec("[a-z]{0,4}".prop_map(Value::from), 0..3).prop_map(Value::from),
        any::<bool>().prop_map(|flag| json!({"deep": {"flag": flag}})),
    ]
}

proptest! {
    #[test]
    fn objectives_go_out_and_come_back(slo in slo()) {
        let documents = to_openslo(std::slice::from_ref(&slo));
        let imported = import(Format::OpenSlo, &written(&documents), &Place::default()).unwrap();
        prop_assert_eq!(&imported.notes, &Vec::<String>::new());
        prop_assert_eq!(&imported.slos, &vec![slo]);
        prop_assert_eq!(to_openslo(&imported.slos), documents);
    }

    #[test]
    fn documents_come_in_and_go_out(
        slo in slo(),
        places in prop::collection::vec((0_usize..5, "x[a-z]{1,6}", extra()), 0..5),
    ) {
        let mut document = to_openslo(std::slice::from_ref(&slo)).remove(0);
        for (place, key, value) in places {
            let path = ["", "/metadata", "/spec", "/spec/objectives/0", "/spec/indicator/spec"][place];
            document.pointer_mut(path).unwrap()[key.as_str()] = value;
        }
        let imported = import(Format::OpenSlo, &written(std::slice::from_ref(&document)), &Place::default()).unwrap();
        prop_assert_eq!(to_openslo(&imported.slos), vec![document]);
    }
}
