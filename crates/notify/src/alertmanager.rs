//! An incident as Prometheus Alertmanager would post it (webhook, version 4), for receivers that know only that. Pure.

use serde_json::{Map, Value, json};

use crate::notice::{IncidentNotice, IncidentState, Severity};
use crate::notifier::Message;

/// The payload for a message; a digest becomes one alert for each of its incidents.
#[must_use]
pub fn alertmanager_payload(message: &Message<'_>) -> Value {
    match message {
        Message::Incident { notice, .. } => incident(notice),
        Message::Digest { digest, .. } => {
            let alerts: Vec<Value> = digest
                .lines
                .iter()
                .map(|line| {
                    let labels = json!({
                        "alertname": "CausewayIncident",
                        "severity": severity(line.severity),
                        "incident_id": line.id,
                    });
                    alert(
                        line.state,
                        &labels,
                        &json!({"summary": line.text}),
                        digest.since.to_string(),
                        None,
                        "",
                        &line.id,
                    )
                })
                .collect();
            group("digest", &alerts, "")
        }
    }
}

fn incident(notice: &IncidentNotice) -> Value {
    let labels = json!({
        "alertname": "CausewayIncident",
        "severity": severity(notice.severity),
        "namespace": notice.namespace,
        "service": notice.service,
        "incident": notice.name,
        "incident_id": notice.id,
        "state": notice.state.as_str(),
    });
    let mut annotations = Map::new();
    annotations.insert("summary".to_owned(), json!(notice.title));
    let mut explanation: Vec<&str> = notice.cause.iter().map(String::as_str).collect();
    explanation.extend(notice.evidence.iter().map(|statement| statement.text.as_str()));
    for (name, text) in [
        ("description", explanation.join(" ")),
        ("impact", notice.impact.clone().unwrap_or_default()),
        ("repair", notice.remediation.as_ref().map(|repair| repair.action.clone()).unwrap_or_default()),
    ] {
        if !text.is_empty() {
            annotations.insert(name.to_owned(), json!(text));
        }
    }
    let url = notice.links.first().map(|link| link.url.as_str()).unwrap_or_default();
    let ends = notice.times.resolved.map(|time| time.to_string());
    let starts = notice.times.opened.to_string();
    let alert = alert(notice.state, &labels, &Value::Object(annotations), starts, ends, url, &notice.id);
    group(&notice.id, &[alert], url)
}

fn alert(
    state: IncidentState,
    labels: &Value,
    annotations: &Value,
    starts: String,
    ends: Option<String>,
    url: &str,
    id: &str,
) -> Value {
    json!({
        "status": status(state),
        "labels": labels,
        "annotations": annotations,
        "startsAt": starts,
        "endsAt": ends.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned()),
        "generatorURL": url,
        "fingerprint": id,
    })
}

fn group(key: &str, alerts: &[Value], url: &str) -> Value {
    let is_firing = alerts.iter().any(|alert| alert["status"] == "firing");
    let common = |field: &str| match alerts {
        [only] => only[field].clone(),
        _ => json!({}),
    };
    json!({
        "version": "4",
        "groupKey": format!("causeway:{key}"),
        "truncatedAlerts": 0,
        "status": if is_firing { "firing" } else { "resolved" },
        "receiver": "causeway",
        "groupLabels": {"alertname": "CausewayIncident"},
        "commonLabels": common("labels"),
        "commonAnnotations": common("annotations"),
        "externalURL": url,
        "alerts": alerts,
    })
}

fn status(state: IncidentState) -> &'static str {
    if state.is_final() { "resolved" } else { "firing" }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn looks_like_alertmanager() {
        let notice = sample::resolved();
        insta::assert_json_snapshot!(alertmanager_payload(&Message::Incident { notice: &notice, id: "x" }));
    }
}
