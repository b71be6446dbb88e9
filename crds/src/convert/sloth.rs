//! Sloth's objectives.

use serde_json::Value;

use super::{Imported, Place, counter, kubernetes_name, number, objective, promql, ratio, text, window};
use crate::SLO;
use causeway_actions::Decimal;
use causeway_remediate::DurationText;

/// Objectives of Sloth's own files and of its custom resource; `None` when there is neither.
pub(super) fn import(documents: &[Value], place: &Place) -> Option<Imported> {
    let mut imported = Imported::default();
    let mut any = false;
    for document in documents {
        let resource = text(document, "/kind") == Some("PrometheusServiceLevel");
        if !resource && text(document, "/version") != Some("prometheus/v1") {
            continue;
        }
        any = true;
        let spec = if resource { document.get("spec").unwrap_or(document) } else { document };
        let service = text(spec, "/service").or(place.service.as_deref()).unwrap_or("unnamed");
        let namespace =
            place.namespace.clone().or_else(|| text(document, "/metadata/namespace").map(str::to_owned));
        for slo in spec.get("slos").and_then(Value::as_array).into_iter().flatten() {
            let name = text(slo, "/name").unwrap_or("unnamed");
            let full = format!("{service}-{name}");
            match one(slo, service, &full, &mut imported) {
                Ok(mut made) => {
                    made.metadata.namespace.clone_from(&namespace);
                    imported.slos.push(made);
                }
                Err(words) => imported.note(&full, words),
            }
        }
    }
    any.then_some(imported)
}

fn one(slo: &Value, service: &str, full: &str, imported: &mut Imported) -> Result<SLO, String> {
    let target = slo.get("objective").and_then(number).and_then(|text| Decimal::parse(&text).ok());
    let target = target.ok_or("it has no objective in percent: not made")?;
    let either = |a: &str, b: &str| text(slo, a).or_else(|| text(slo, b));
    if either("/sli/raw/error_ratio_query", "/sli/raw/errorRatioQuery").is_some() {
        return Err(
            "a raw error ratio can't be counted: write error_query and total_query. Not made".to_owned()
        );
    }
    if slo.pointer("/sli/plugin").is_some() {
        return Err("plugins are code: write error_query and total_query. Not made".to_owned());
    }
    let bad = either("/sli/events/error_query", "/sli/events/errorQuery")
        .ok_or("it has no error query: not made")?;
    let total = either("/sli/events/total_query", "/sli/events/totalQuery")
        .ok_or("it has no total query: not made")?;
    let understood = |query| promql::counter(query).map_err(|words| format!("{words}: not made"));
    let (bad, total) = (understood(bad)?, understood(total)?);
    note_left_out(full, service, &[&bad, &total], imported);
    let mut spec = objective(service, target, ratio(None, Some(counter(bad)), counter(total)));
    // Sloth's period, unless its command line says another.
    spec.window = window(DurationText::from_secs(30 * 86_400));
    spec.description = text(slo, "/description").map(str::to_owned);
    let is_off = |alert: &str| {
        let pointer =
            |field: &str| slo.pointer(&format!("/alerting/{field}/disable")).and_then(Value::as_bool);
        pointer(alert) == Some(true)
    };
    let (page, ticket) =
        (is_off("page_alert") || is_off("pageAlert"), is_off("ticket_alert") || is_off("ticketAlert"));
    if page || ticket {
        // Sloth's own pairs for 30 days are those of the workbook.
        let all = [("Page", "14.4", "1h", "5m"), ("Page", "6", "6h", "30m"), ("Ticket", "1", "72h", "6h")];
        spec.burn = all
            .into_iter()
            .filter(|(severity, ..)| if *severity == "Page" { !page } else { !ticket })
            .filter_map(|(severity, rate, long, short)| {
                let severity = if severity == "Page" {
                    crate::slo::BurnSeverity::Page
                } else {
                    crate::slo::BurnSeverity::Ticket
                };
                super::burn(severity, rate, long, short)
            })
            .collect();
        if spec.burn.is_empty() {
            spec.suspend = true;
            imported.note(full, "both of its alerts are disabled: made with suspend: true");
        }
    }
    Ok(SLO::new(&kubernetes_name(full), spec))
}

/// Tells which matchers were left out, and what stands for them.
pub(super) fn note_left_out(
    name: &str,
    service: &str,
    counters: &[&promql::Counter],
    imported: &mut Imported,
) {
    let mut left_out: Vec<&str> = counters.iter().flat_map(|c| &c.left_out).map(String::as_str).collect();
    left_out.sort_unstable();
    left_out.dedup();
    if !left_out.is_empty() {
        let words = format!(
            "{} left out: what counts is what MonitoredService {} sends",
            left_out.join(", "),
            kubernetes_name(service)
        );
        imported.note(name, words);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, import};
    use super::*;

    const FILE: &str = r#"
version: "prometheus/v1"
service: "checkout"
slos:
  - name: availability
    objective: 99.95
    description: Requests that do not fail.
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="checkout",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="checkout"}[{{.window}}]))
    alerting:
      name: CheckoutAvailability
      ticket_alert: {disable: true}
  - name: raw
    objective: 99
    sli: {raw: {error_ratio_query: "a / b"}}
  - name: difference
    objective: 99
    sli: {events: {error_query: "a - b", total_query: "a"}}
"#;

    #[test]
    fn objectives_are_made_and_what_is_left_out_is_told() {
        let imported =
            import(Format::Sloth, FILE, &Place { namespace: Some("shop".into()), ..Place::default() })
                .unwrap();
        let [slo] = &imported.slos[..] else { panic!("one: {:?}", imported.slos) };
        assert_eq!(slo.metadata.name.as_deref(), Some("checkout-availability"));
        assert_eq!(slo.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(slo.spec.target.to_string(), "99.95");
        let ratio = slo.spec.indicator.ratio.clone().unwrap();
        let bad = ratio.bad.unwrap().metric.unwrap();
        assert_eq!(
            (bad.name.as_str(), bad.labels.as_deref()),
            ("http_requests_total", Some("code=~\"(5..|429)\""))
        );
        assert_eq!(ratio.total.metric.unwrap().labels, None);
        assert_eq!(slo.spec.burn.len(), 2);
        assert_eq!(slo.validate_cel(), Ok(()));
        let notes = imported.notes.join("\n");
        for words in [
            "job=\"checkout\" left out",
            "checkout-raw: a raw error ratio",
            "checkout-difference: the query `a - b`",
        ] {
            assert!(notes.contains(words), "{notes}");
        }
    }

    #[test]
    fn the_custom_resource_is_the_same_thing() {
        let resource = "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\n\
            metadata: {name: x, namespace: shop}\n\
            spec:\n  service: web\n  slos:\n    - name: a\n      objective: 99.9\n      sli:\n        events:\n          \
            errorQuery: sum(rate(bad_total[{{.window}}]))\n          totalQuery: sum(rate(all_total[{{.window}}]))\n";
        let imported = import(Format::Sloth, resource, &Place::default()).unwrap();
        assert_eq!(imported.notes, [] as [&str; 0]);
        assert_eq!(imported.slos[0].metadata.namespace.as_deref(), Some("shop"));
        assert!(imported.slos[0].spec.burn.is_empty());
    }
}
