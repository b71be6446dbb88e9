//! Pyrra's objectives.

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use serde_json::Value;

use super::sloth::note_left_out;
use super::{
    Imported, Place, counter, faster_than, kubernetes_name, number, objective, promql, ratio, shifted, text,
    window,
};
use crate::SLO;
use crate::slo::Indicator;

/// Objectives of the custom resource; `None` when there is none.
pub(super) fn import(documents: &[Value], place: &Place) -> Option<Imported> {
    let mut imported = Imported::default();
    let mut any = false;
    for document in documents {
        let ours = text(document, "/apiVersion").is_some_and(|version| version.starts_with("pyrra.dev/"));
        if !ours || text(document, "/kind") != Some("ServiceLevelObjective") {
            continue;
        }
        any = true;
        let name = text(document, "/metadata/name").unwrap_or("unnamed");
        match one(document, name, place, &mut imported) {
            Ok(mut slo) => {
                let own = text(document, "/metadata/namespace").map(str::to_owned);
                slo.metadata.namespace = place.namespace.clone().or(own);
                imported.slos.push(slo);
            }
            Err(words) => imported.note(name, words),
        }
    }
    any.then_some(imported)
}

fn one(document: &Value, name: &str, place: &Place, imported: &mut Imported) -> Result<SLO, String> {
    let spec = document.get("spec").ok_or("it has no spec: not made")?;
    let target = spec.get("target").and_then(number).and_then(|text| Decimal::parse(&text).ok());
    let target = target.ok_or("it has no target in percent: not made")?;
    let indicator = spec.get("indicator").or_else(|| spec.get("serviceLevelIndicator"));
    let indicator = indicator.ok_or("it has no indicator: not made")?;
    let labels = document.pointer("/metadata/labels").and_then(Value::as_object);
    let labelled = labels.and_then(|labels| {
        let wanted = ["pyrra.dev/service", "pyrra.dev/job", "app.kubernetes.io/name", "app"];
        wanted.iter().find_map(|key| labels.get(*key)?.as_str())
    });
    let (made, service) = measured(indicator, name, imported)?;
    let service = place.service.clone().or(service).or_else(|| labelled.map(str::to_owned));
    let service = service.ok_or("it names no service: say which with --service. Not made")?;
    let mut made = objective(&service, target, made);
    let duration = text(spec, "/window").and_then(|text| DurationText::parse(text).ok());
    made.window = window(duration.ok_or("its window is no duration: not made")?);
    made.description = text(spec, "/description").map(str::to_owned);
    if spec.pointer("/alerting/disabled").and_then(Value::as_bool) == Some(true) {
        made.suspend = true;
        imported.note(name, "its alerts are disabled: made with suspend: true");
    }
    Ok(SLO::new(&kubernetes_name(name), made))
}

/// The indicator, and the service that its matchers name.
fn measured(
    indicator: &Value,
    name: &str,
    imported: &mut Imported,
) -> Result<(Indicator, Option<String>), String> {
    let metric = |pointer: &str| text(indicator, &format!("{pointer}/metric"));
    let understood = |query| promql::counter(query).map_err(|words| format!("{words}: not made"));
    if indicator.pointer("/ratio/grouping").or_else(|| indicator.pointer("/latency/grouping")).is_some() {
        imported.note(name, "grouping is not carried over: one objective over all groups is made");
    }
    if let (Some(errors), Some(total)) = (metric("/ratio/errors"), metric("/ratio/total")) {
        let (errors, total) = (understood(errors)?, understood(total)?);
        let service = total.service.clone();
        note_left_out(name, service.as_deref().unwrap_or("of the objective"), &[&errors, &total], imported);
        return Ok((ratio(None, Some(counter(errors)), counter(total)), service));
    }
    let limit = metric("/latency/success").map(|success| {
        let limit = promql::matcher_of(success, "le").and_then(|le| shifted(&le, 3));
        limit.ok_or(format!("`{success}` names no bucket with le: not made"))
    });
    let native = text(indicator, "/latencyNative/latency").map(|limit| {
        let limit = DurationText::parse(limit).map_err(|error| format!("{error}: not made"))?;
        Ok(Decimal::from_f64(limit.get().as_secs_f64() * 1e3, 0))
    });
    if let Some(limit) = limit.or(native) {
        let total = metric("/latency/total").or_else(|| metric("/latencyNative/total"));
        let service = total.and_then(|total| promql::counter(total).ok()?.service);
        imported.note(
            name,
            "buckets of a histogram become a Threshold of Latency, which is measured by the spans of the service",
        );
        return Ok((faster_than(limit?), service));
    }
    if indicator.get("bool_gauge").or_else(|| indicator.get("boolGauge")).is_some() {
        return Err("a gauge of 0 and 1 is no counter: write a Baseline with a Static lower bound. Not made"
            .to_owned());
    }
    Err("its indicator is neither ratio nor latency: not made".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Format, import};
    use super::*;

    fn document(indicator: &str) -> String {
        format!(
            "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\n\
             metadata: {{name: api-errors, namespace: shop}}\nspec:\n  target: '99.5'\n  window: 2w\n  indicator:\n{indicator}\n"
        )
    }

    #[test]
    fn ratios_and_latencies_are_made() {
        let text = document(
            "    ratio:\n      errors: {metric: 'hits_total{job=\"api\",code=~\"5..\"}'}\n      total: {metric: 'hits_total{job=\"api\"}'}",
        );
        let imported = import(Format::Pyrra, &text, &Place::default()).unwrap();
        let slo = &imported.slos[0];
        assert_eq!(slo.spec.service_ref.name, "api");
        assert_eq!((slo.spec.target.as_str(), slo.spec.window.duration.as_str()), ("99.5", "2w"));
        assert_eq!(slo.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(slo.validate_cel(), Ok(()));
        let text = document(
            "    latency:\n      success: {metric: 'd_seconds_bucket{job=\"api\",le=\"0.25\"}'}\n      total: {metric: 'd_seconds_count{job=\"api\"}'}",
        );
        let imported = import(Format::Pyrra, &text, &Place::default()).unwrap();
        assert_eq!(imported.slos[0].spec.indicator.threshold.clone().unwrap().below.to_string(), "250");
        assert!(imported.notes[0].contains("spans of the service"), "{:?}", imported.notes);
    }

    #[test]
    fn what_can_not_be_said_is_told() {
        let cases = [
            ("    bool_gauge: {metric: up}", "Static lower bound"),
            ("    ratio: {errors: {metric: 'a - b'}, total: {metric: a}}", "more than one counter"),
            ("    ratio: {errors: {metric: a}, total: {metric: b}}", "--service"),
            ("    latency: {success: {metric: d_count}, total: {metric: d_count}}", "names no bucket"),
        ];
        for (indicator, words) in cases {
            let imported = import(Format::Pyrra, &document(indicator), &Place::default()).unwrap();
            assert!(imported.slos.is_empty(), "{indicator}");
            assert!(
                imported.notes.iter().any(|note| note.contains(words)),
                "{indicator}: {:?}",
                imported.notes
            );
        }
    }
}
