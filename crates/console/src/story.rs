//! An Incident told: its timeline, its way from cause to symptom, and where to look on.

use causeway_model::Micros;
use serde::Serialize;
use serde_json::Value;

use crate::draw::Mark;
use crate::objects::text;

/// Marks of one Remediation beyond which a picture would not be read.
const MAX_MARKS: usize = 12;

/// A moment of the story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When, RFC 3339.
    pub at: String,
    /// What.
    pub what: String,
    /// Of what, with which result.
    pub detail: String,
    /// Name of a person, where one did it.
    pub by: String,
}

/// All moments of an Incident and its Remediations, which are objects as JSON, oldest first.
#[must_use]
pub fn timeline(incident: &Value, remediations: &[Value]) -> Vec<Moment> {
    let moment = |at: &str, what: &str, detail: &str| Moment {
        at: at.to_owned(),
        what: what.to_owned(),
        detail: detail.to_owned(),
        by: String::new(),
    };
    let mut moments = vec![
        moment(
            text(incident, "/status/startedAt"),
            "Symptom began",
            text(incident, "/status/symptom/summary"),
        ),
        moment(
            text(incident, "/metadata/creationTimestamp"),
            "Incident opened",
            text(incident, "/metadata/name"),
        ),
        moment(text(incident, "/status/resolvedAt"), "Incident resolved", ""),
    ];
    for remediation in remediations {
        for entry in remediation.pointer("/status/timeline").and_then(Value::as_array).into_iter().flatten() {
            moments.push(Moment {
                by: text(entry, "/by").to_owned(),
                ..moment(
                    text(entry, "/at"),
                    text(entry, "/event"),
                    &format!("{} {}", text(remediation, "/metadata/name"), text(entry, "/message")),
                )
            });
        }
    }
    moments.retain(|m| !m.at.is_empty());
    moments.sort_by_key(|m| micros(&m.at));
    moments
}

/// The moments that are worth a mark in a picture.
#[must_use]
pub fn marks(timeline: &[Moment]) -> Vec<Mark> {
    let mark = |m: &Moment| {
        let label = match m.what.as_str() {
            "Symptom began" => "symptom",
            "Incident opened" => "incident",
            "Approved" => "approved",
            "Applied" => "repair",
            "Succeeded" | "Verified" => "verified",
            "RolledBack" => "undone",
            "Incident resolved" => "resolved",
            _ => return None,
        };
        Some(Mark { at: micros(&m.at)?, label: label.to_owned() })
    };
    let mut marks: Vec<Mark> = timeline.iter().filter_map(mark).take(MAX_MARKS).collect();
    marks.dedup_by(|a, b| a.label == b.label);
    marks
}

/// Entities from the cause to the symptom.
#[must_use]
pub fn path(incident: &Value) -> Vec<String> {
    let steps =
        incident.pointer("/status/path").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let last = steps.last().map(|step| text(step, "/to"));
    steps.iter().map(|step| text(step, "/from")).chain(last).map(str::to_owned).collect()
}

/// The first bad log lines of the cause, worst first, from shortly before the symptom began; `None` without a cause.
#[must_use]
pub fn first_lines_sql(incident: &Value) -> Option<String> {
    let (cause, begun) = (text(incident, "/status/cause/entity"), text(incident, "/status/startedAt"));
    // The time goes into the text only in a form of its own.
    let begun: jiff::Timestamp = begun.parse().ok()?;
    if cause.is_empty() || cause == "unknown" {
        return None;
    }
    // Ten minutes before: what breaks often says so before users feel it.
    let from = begun - jiff::SignedDuration::from_mins(10);
    let until = begun + jiff::SignedDuration::from_mins(30);
    Some(format!(
        "SELECT time, severity_text, body FROM logs WHERE {} AND severity_number >= 13 AND time >= TIMESTAMP '{from}' AND time < TIMESTAMP '{until}' \
         ORDER BY severity_number DESC, time LIMIT 5",
        service_is(cause)
    ))
}

/// The condition that a row is of a service, whether or not telemetry names its namespace.
pub(crate) fn service_is(service: &str) -> String {
    let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
    match service.rsplit_once('/') {
        Some((_, bare)) => format!("service IN ({}, {})", quoted(service), quoted(bare)),
        None => format!("service = {}", quoted(service)),
    }
}

/// Microseconds of an RFC 3339 text.
pub(crate) fn micros(at: &str) -> Option<Micros> {
    at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_story_is_in_order_and_its_turns_are_marked() {
        let incident = json!({"metadata": {"name": "i", "creationTimestamp": "2026-01-01T00:01:00Z"},
            "status": {"startedAt": "2026-01-01T00:00:30.5Z", "cause": {"entity": "shop/it's"},
                "path": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}]}});
        let remediation = json!({"metadata": {"name": "r"}, "status": {"timeline": [
            {"at": "2026-01-01T00:02:00Z", "event": "Approved", "by": "ann"},
            {"at": "2026-01-01T00:01:30Z", "event": "Planned"}]}});
        let story = timeline(&incident, &[remediation]);
        let names: Vec<&str> = story.iter().map(|m| m.what.as_str()).collect();
        assert_eq!(names, ["Symptom began", "Incident opened", "Planned", "Approved"]);
        assert_eq!(story[3].by, "ann");
        let labels: Vec<String> = marks(&story).into_iter().map(|m| m.label).collect();
        assert_eq!(labels, ["symptom", "incident", "approved"]);
        assert_eq!(path(&incident), ["a", "b", "c"]);
    }

    #[test]
    fn a_name_can_not_end_the_text_that_it_stands_in() {
        let incident = |entity: &str| json!({"status": {"startedAt": "2026-01-01T00:00:30Z", "cause": {"entity": entity}}});
        let sql = first_lines_sql(&incident("shop/it's' OR 1=1 --")).unwrap();
        assert!(sql.contains("service IN ('shop/it''s'' OR 1=1 --', 'it''s'' OR 1=1 --') AND"), "{sql}");
        assert_eq!(first_lines_sql(&incident("unknown")), None);
    }
}
