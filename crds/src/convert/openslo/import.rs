//! Objectives from documents of OpenSLO.

use std::collections::{BTreeMap, BTreeSet};

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::export::fresh;
use super::{DISPLAY_NAME, DOCUMENTS, FIELDS, OBJECTIVE, OURS, VERSION};
use crate::SLO;
use crate::convert::{
    Imported, Place, counter, in_hours, kubernetes_name, number, objective, promql, ratio, shifted, text,
    window,
};
use crate::slo::{
    Budgeting, BurnSeverity, BurnWindow, EventSource, Indicator, IndicatorType, SLOSpec, Timeslices,
};

/// Documents by kind and name, for those that name each other.
type Known<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

/// Objectives; `None` when there is no document of OpenSLO.
pub(in crate::convert) fn import(documents: &[Value], place: &Place) -> Option<Imported> {
    let ours: Vec<&Value> =
        documents.iter().filter(|document| text(document, "/apiVersion") == Some(VERSION)).collect();
    if ours.is_empty() {
        return None;
    }
    let known: Known<'_> = ours
        .iter()
        .filter_map(|document| {
            Some(((text(document, "/kind")?, text(document, "/metadata/name")?), *document))
        })
        .collect();
    let mut imported = Imported::default();
    let mut used: Vec<&Value> = Vec::new();
    for document in &ours {
        if text(document, "/kind") == Some("SLO") {
            used.extend(slos(document, &known, place, &mut imported));
        }
    }
    for document in &ours {
        let kind = text(document, "/kind").unwrap_or("a document");
        let name = text(document, "/metadata/name").unwrap_or("unnamed");
        let advice = match kind {
            "SLO" => continue,
            _ if used.contains(document) => continue,
            "Service" => "make a MonitoredService of it",
            "DataSource" => "a LogSource receives what it had",
            "AlertNotificationTarget" => "make a NotificationTarget of it",
            _ => "no SLO names it",
        };
        imported.note(name, format!("{kind} is not carried over: {advice}"));
    }
    Some(imported)
}

/// Makes the objectives of a document; gives the documents that it needed besides.
fn slos<'a>(
    document: &'a Value,
    known: &Known<'a>,
    place: &Place,
    imported: &mut Imported,
) -> Vec<&'a Value> {
    let name = text(document, "/metadata/name").unwrap_or("unnamed");
    let mut used = Vec::new();
    let before = imported.notes.len();
    let objectives = document.pointer("/spec/objectives").and_then(Value::as_array).map_or(0, Vec::len);
    if objectives == 0 {
        imported.note(name, "it has no objective: not made");
        return used;
    }
    let mut made = Vec::new();
    for index in 0..objectives {
        match one(document, index, known, &mut used, imported) {
            Ok(mut slo) => {
                if objectives > 1 {
                    slo.metadata.name = Some(format!("{}-{index}", slo.name_any()));
                    slo.annotations_mut().insert(OBJECTIVE.to_owned(), index.to_string());
                }
                if place.namespace.is_some() {
                    slo.metadata.namespace.clone_from(&place.namespace);
                }
                made.push(slo);
            }
            Err(words) => imported.note(name, words),
        }
    }
    // What a second way out does not show would be lost.
    let again: Vec<Value> = made.iter().map(fresh).collect();
    let whole: Vec<Value> = std::iter::once(document).chain(used.iter().copied()).cloned().collect();
    if again != whole {
        for slo in &mut made {
            slo.annotations_mut().insert(DOCUMENTS.to_owned(), Value::from(whole.clone()).to_string());
        }
    }
    imported.slos.extend(made);
    let notes = imported.notes.split_off(before);
    let mut seen = BTreeSet::new();
    imported.notes.extend(notes.into_iter().filter(|note| seen.insert(note.clone())));
    used
}

fn one<'a>(
    document: &'a Value,
    index: usize,
    known: &Known<'a>,
    used: &mut Vec<&'a Value>,
    imported: &mut Imported,
) -> Result<SLO, String> {
    let spec = document.get("spec").ok_or("it has no spec: not made")?;
    let name = text(document, "/metadata/name").ok_or("it has no name: not made")?;
    let service = text(spec, "/service").ok_or("it names no service: not made")?;
    let wanted = spec.pointer(&format!("/objectives/{index}")).ok_or("it has no such objective: not made")?;
    let target = match (wanted.get("target").and_then(number), wanted.get("targetPercent").and_then(number)) {
        (Some(share), _) => shifted(&share, 2),
        (None, Some(percent)) => Decimal::parse(&percent).ok(),
        (None, None) => None,
    };
    let target = target.ok_or("its objective has no target: not made")?;
    let indicator = match (spec.get("indicator"), text(spec, "/indicatorRef")) {
        (Some(inline), _) => inline,
        (None, Some(reference)) => {
            let found = known.get(&("SLI", reference)).copied();
            let found = found.ok_or(format!("SLI {reference} is not in the documents: not made"))?;
            remember(found, used);
            found
        }
        (None, None) => return Err("it has no indicator: not made".to_owned()),
    };
    let measured = measured(indicator.get("spec").unwrap_or(indicator), wanted, name, imported)?;
    let mut made = objective(service, target, measured);
    made.description = text(spec, "/description").map(str::to_owned);
    period(spec, name, &mut made, imported)?;
    budgeting(spec, wanted, name, &mut made, imported)?;
    for policy in spec.get("alertPolicies").and_then(Value::as_array).into_iter().flatten() {
        alerts(policy, name, known, used, &mut made, imported);
    }
    if made.burn.len() > 8 {
        made.burn.truncate(8);
        imported.note(name, "more than eight alert conditions: the first eight are made");
    }
    let mut slo = SLO::new(&kubernetes_name(name), made);
    metadata(document, &mut slo);
    Ok(slo)
}

fn remember<'a>(document: &'a Value, used: &mut Vec<&'a Value>) {
    if !used.contains(&document) {
        used.push(document);
    }
}

fn metadata(document: &Value, slo: &mut SLO) {
    for (key, value) in document.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten()
    {
        let values: Vec<&str> = match value {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect(),
        };
        slo.labels_mut().insert(key.clone(), values.join("_"));
    }
    let annotations = document.pointer("/metadata/annotations").and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        if key == FIELDS {
            let fields: Value = serde_json::from_str(value).unwrap_or_default();
            take_fields(&fields, slo);
        } else {
            slo.annotations_mut().insert(key.clone(), value.to_owned());
        }
    }
    if let Some(display) = text(document, "/metadata/displayName") {
        slo.annotations_mut().insert(DISPLAY_NAME.to_owned(), display.to_owned());
    }
}

/// Fields of ours that came along in an annotation.
fn take_fields(fields: &Value, slo: &mut SLO) {
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
    let least = fields.get("minimumBadEvents").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
    slo.spec.minimum_bad_events = least.unwrap_or(slo.spec.minimum_bad_events);
    slo.spec.predict_exhaustion = flag("predictExhaustion");
    slo.spec.health_gate = flag("healthGate");
    slo.spec.suspend = flag("suspend");
    slo.metadata.namespace = text(fields, "/namespace").map(str::to_owned);
}

fn measured(spec: &Value, wanted: &Value, name: &str, imported: &mut Imported) -> Result<Indicator, String> {
    if let Some(found) = spec.get("ratioMetric") {
        let mut part = |field: &str| found.get(field).map(|part| source(part, name, imported)).transpose();
        let total = part("total")?.ok_or("its ratio has no total: a raw ratio can't be counted. Not made")?;
        return match (part("good")?, part("bad")?) {
            (Some(good), None) => Ok(ratio(Some(good), None, total)),
            (None, Some(bad)) => Ok(ratio(None, Some(bad), total)),
            _ => Err("its ratio needs either good or bad: not made".to_owned()),
        };
    }
    let threshold =
        spec.pointer("/thresholdMetric/metricSource").ok_or("its indicator is of no known form: not made")?;
    if text(threshold, "/type") != Some(OURS) {
        return Err("a threshold over a query can't be carried over: write an SLO with a Threshold of Latency, or a Baseline \
                    with Static bounds. Not made"
            .to_owned());
    }
    let op = text(wanted, "/op").unwrap_or("lt");
    if !matches!(op, "lt" | "lte") {
        return Err(format!("a value that should be {op} a limit can't be meant: not made"));
    }
    let limit = wanted.get("value").and_then(number).and_then(|value| Decimal::parse(&value).ok());
    let limit = limit.ok_or("its objective has no value: not made")?;
    let mut source = threshold.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    source.insert("below".to_owned(), json!(limit));
    let threshold = serde_json::from_value(Value::from(source))
        .map_err(|error| format!("a metricSource is not ours: {error}. Not made"))?;
    Ok(Indicator { r#type: IndicatorType::Threshold, ratio: None, threshold: Some(threshold) })
}

fn source(part: &Value, name: &str, imported: &mut Imported) -> Result<EventSource, String> {
    let source = part.get("metricSource").unwrap_or(part);
    let spec = source.get("spec").unwrap_or(&Value::Null);
    if text(source, "/type") == Some(OURS) {
        return serde_json::from_value(spec.clone())
            .map_err(|error| format!("a metricSource is not ours: {error}. Not made"));
    }
    let query = text(spec, "/query").or_else(|| text(spec, "/promql"));
    let query = query.ok_or("a metricSource has no query that is understood: not made")?;
    let found = promql::counter(query).map_err(|words| format!("{words}: not made"))?;
    if !found.left_out.is_empty() {
        let words = "left out: what counts is what the MonitoredService sends";
        imported.note(name, format!("{} {words}", found.left_out.join(", ")));
    }
    Ok(counter(found))
}

fn period(spec: &Value, name: &str, made: &mut SLOSpec, imported: &mut Imported) -> Result<(), String> {
    let Some(period) = spec.pointer("/timeWindow/0") else { return Ok(()) };
    let duration = text(period, "/duration").ok_or("its timeWindow has no duration: not made")?;
    let duration = match duration.strip_suffix(['M', 'Q', 'Y']).and_then(|n| n.parse::<u64>().ok()) {
        Some(n) => {
            let days = if duration.ends_with('M') {
                30
            } else if duration.ends_with('Q') {
                91
            } else {
                365
            };
            imported.note(name, format!("{duration} is taken as {} days", n * days));
            DurationText::parse(&format!("{}d", n * days)).map_err(|error| error.to_string())?
        }
        None => DurationText::parse(duration).map_err(|error| format!("{error}: not made"))?,
    };
    if period.get("isRolling").and_then(Value::as_bool) == Some(false) || period.get("calendar").is_some() {
        imported.note(name, "a period of the calendar is taken as a rolling one of the same length");
    }
    made.window = window(duration);
    Ok(())
}

fn budgeting(
    spec: &Value,
    wanted: &Value,
    name: &str,
    made: &mut SLOSpec,
    imported: &mut Imported,
) -> Result<(), String> {
    match text(spec, "/budgetingMethod") {
        None | Some("Occurrences") => return Ok(()),
        Some("Timeslices") => {}
        Some(other) => imported.note(name, format!("{other} is taken as Timeslices")),
    }
    let share = wanted.get("timeSliceTarget").and_then(number).and_then(|share| shifted(&share, 2));
    let size = text(wanted, "/timeSliceWindow").and_then(|size| DurationText::parse(size).ok());
    let (Some(target), Some(size)) = (share, size) else {
        return Err("Timeslices need timeSliceTarget and timeSliceWindow: not made".to_owned());
    };
    made.budgeting = Budgeting::Timeslices;
    made.timeslices = Some(Timeslices { size, target });
    Ok(())
}

fn alerts<'a>(
    policy: &'a Value,
    name: &str,
    known: &Known<'a>,
    used: &mut Vec<&'a Value>,
    made: &mut SLOSpec,
    imported: &mut Imported,
) {
    let referenced =
        |value: &'a Value, field: &str, kind: &'static str, used: &mut Vec<&'a Value>| -> Option<&'a Value> {
            let Some(reference) = text(value, &format!("/{field}")) else { return Some(value) };
            let found = known.get(&(kind, reference)).copied()?;
            remember(found, used);
            Some(found)
        };
    let Some(policy) = referenced(policy, "alertPolicyRef", "AlertPolicy", used) else {
        imported.note(name, "an AlertPolicy is not in the documents: its conditions are not made");
        return;
    };
    for condition in policy.pointer("/spec/conditions").and_then(Value::as_array).into_iter().flatten() {
        let Some(condition) = referenced(condition, "conditionRef", "AlertCondition", used) else {
            imported.note(name, "an AlertCondition is not in the documents: it is not made");
            continue;
        };
        match burn_window(condition.get("spec").unwrap_or(condition)) {
            Some(window) => made.burn.push(window),
            None => {
                imported.note(name, "an alert condition is no burn rate with its windows: it is not made")
            }
        }
    }
}

fn burn_window(spec: &Value) -> Option<BurnWindow> {
    let severity = match text(spec, "/severity")?.to_lowercase().as_str() {
        "ticket" | "warning" | "low" | "info" => BurnSeverity::Ticket,
        _ => BurnSeverity::Page,
    };
    let condition = spec.get("condition")?;
    if text(condition, "/kind")? != "burnrate" {
        return None;
    }
    let long = in_hours(text(condition, "/lookbackWindow")?)?;
    // Without a second window a twelfth of the first, as in the workbook.
    let short = match text(condition, "/alertAfter") {
        Some(short) => in_hours(short)?,
        None => DurationText::from_secs((long.get().as_secs() / 12).max(60)),
    };
    let rate = condition.get("threshold").and_then(number)?;
    (short.get() < long.get()).then_some(BurnWindow {
        severity,
        rate: Decimal::parse(&rate).ok()?,
        long,
        short,
    })
}
