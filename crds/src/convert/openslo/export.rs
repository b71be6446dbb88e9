//! Documents of OpenSLO from our objectives.

use causeway_actions::Decimal;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::import::import;
use super::{DISPLAY_NAME, DOCUMENTS, FIELDS, OBJECTIVE, OURS, VERSION};
use crate::SLO;
use crate::convert::{Place, shifted};
use crate::slo::{Budgeting, BurnSeverity, BurnWindow, Indicator};

/// Documents of OpenSLO for our objectives: those that an objective was made of, if it still is what they say, else new ones.
#[must_use]
pub fn export(slos: &[SLO]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for slo in slos {
        let documents = original(slo).unwrap_or_else(|| vec![fresh(slo)]);
        for document in documents {
            if !out.contains(&document) {
                out.push(document);
            }
        }
    }
    out
}

/// The documents that an objective was made of, if it still is what they say.
fn original(slo: &SLO) -> Option<Vec<Value>> {
    let documents: Vec<Value> = serde_json::from_str(slo.annotations().get(DOCUMENTS)?).ok()?;
    let place = Place { namespace: slo.metadata.namespace.clone(), service: None };
    let again = import(&documents, &place)?;
    let same = |made: &SLO| {
        made.spec == slo.spec && made.labels() == slo.labels() && made.annotations() == slo.annotations()
    };
    again.slos.iter().any(|made| made.name_any() == slo.name_any() && same(made)).then_some(documents)
}

/// A new document.
pub(super) fn fresh(slo: &SLO) -> Value {
    let spec = &slo.spec;
    let mut metadata = Map::from_iter([("name".to_owned(), json!(slo.name_any()))]);
    let mut annotations: Map<String, Value> = Map::new();
    for (key, value) in slo.annotations() {
        match key.as_str() {
            DISPLAY_NAME => {
                metadata.insert("displayName".to_owned(), json!(value));
            }
            DOCUMENTS | OBJECTIVE => {}
            _ => {
                annotations.insert(key.clone(), json!(value));
            }
        }
    }
    if !slo.labels().is_empty() {
        metadata.insert("labels".to_owned(), json!(slo.labels()));
    }
    let fields = fields(slo);
    if !fields.is_empty() {
        annotations.insert(FIELDS.to_owned(), json!(Value::from(fields).to_string()));
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), Value::from(annotations));
    }
    let (indicator, threshold) = indicator(&spec.indicator);
    let mut wanted = Map::new();
    if let Some(value) = threshold {
        wanted.insert("op".to_owned(), json!("lt"));
        wanted.insert("value".to_owned(), value);
    }
    wanted.insert("target".to_owned(), share(&spec.target));
    if let Some(slices) = &spec.timeslices {
        wanted.insert("timeSliceTarget".to_owned(), share(&slices.target));
        wanted.insert("timeSliceWindow".to_owned(), json!(slices.size.as_str()));
    }
    let mut body = Map::new();
    if let Some(description) = &spec.description {
        body.insert("description".to_owned(), json!(description));
    }
    body.insert("service".to_owned(), json!(spec.service_ref.name));
    body.insert("indicator".to_owned(), json!({"metadata": {"name": slo.name_any()}, "spec": indicator}));
    body.insert(
        "timeWindow".to_owned(),
        json!([{"duration": spec.window.duration.as_str(), "isRolling": true}]),
    );
    let method = if spec.budgeting == Budgeting::Timeslices { "Timeslices" } else { "Occurrences" };
    body.insert("budgetingMethod".to_owned(), json!(method));
    body.insert("objectives".to_owned(), json!([wanted]));
    if !spec.burn.is_empty() {
        let name = format!("{}-burn", slo.name_any());
        let conditions: Vec<Value> = spec
            .burn
            .iter()
            .enumerate()
            .map(|(index, burn)| condition(burn, &format!("{name}-{index}")))
            .collect();
        body.insert(
            "alertPolicies".to_owned(),
            json!([{"kind": "AlertPolicy", "metadata": {"name": name},
                "spec": {"alertWhenBreaching": true, "conditions": conditions}}]),
        );
    }
    json!({"apiVersion": VERSION, "kind": "SLO", "metadata": metadata, "spec": body})
}

/// Fields that OpenSLO has no place for, where they are not what they are by default.
fn fields(slo: &SLO) -> Map<String, Value> {
    let spec = &slo.spec;
    let mut fields = Map::new();
    if spec.minimum_bad_events != 20 {
        fields.insert("minimumBadEvents".to_owned(), json!(spec.minimum_bad_events));
    }
    let flags = [
        ("predictExhaustion", spec.predict_exhaustion),
        ("healthGate", spec.health_gate),
        ("suspend", spec.suspend),
    ];
    fields.extend(flags.into_iter().filter(|(_, on)| *on).map(|(name, on)| (name.to_owned(), json!(on))));
    if let Some(namespace) = &slo.metadata.namespace {
        fields.insert("namespace".to_owned(), json!(namespace));
    }
    fields
}

fn indicator(indicator: &Indicator) -> (Value, Option<Value>) {
    let metric = |spec: Value| json!({"metricSource": {"type": OURS, "spec": spec}});
    if let Some(threshold) = &indicator.threshold {
        let value = float(threshold.below.as_str());
        let mut source = json!(threshold);
        if let Some(fields) = source.as_object_mut() {
            fields.remove("below");
        }
        return (json!({"thresholdMetric": metric(source)}), Some(value));
    }
    let mut ratio = Map::from_iter([("counter".to_owned(), json!(true))]);
    if let Some(found) = &indicator.ratio {
        let parts =
            [("good", found.good.as_ref()), ("bad", found.bad.as_ref()), ("total", Some(&found.total))];
        for (name, part) in parts {
            if let Some(part) = part {
                ratio.insert(name.to_owned(), metric(json!(part)));
            }
        }
    }
    (json!({"ratioMetric": ratio}), None)
}

fn condition(burn: &BurnWindow, name: &str) -> Value {
    let severity = if burn.severity == BurnSeverity::Page { "page" } else { "ticket" };
    json!({"kind": "AlertCondition", "metadata": {"name": name}, "spec": {"severity": severity,
        "condition": {"kind": "burnrate", "op": "gte", "threshold": float(burn.rate.as_str()),
            "lookbackWindow": burn.long.as_str(), "alertAfter": burn.short.as_str()}}})
}

/// A percentage as a share.
fn share(percent: &Decimal) -> Value {
    shifted(percent.as_str(), -2).map_or(Value::Null, |share| float(share.as_str()))
}

/// A number, where a float says the same as the text; else the text.
fn float(text: &str) -> Value {
    let written = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    match written {
        Some(number) if number.to_string() == text => Value::Number(number),
        _ => text
            .parse::<i64>()
            .ok()
            .filter(|n| n.to_string() == text)
            .map_or_else(|| json!(text), |n| json!(n)),
    }
}
