//! `report.html`: one self-contained page about one run.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::remote::Remote;
use super::summary::Summary;
use super::svg;

const TEMPLATE: &str = include_str!("report.html");

/// Everything the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Data<'a> {
    summary: &'a Summary,
    incident: Value,
    remediations: &'a [Value],
    signal_picture: String,
    signal_name: String,
    topology_picture: String,
    path: Vec<String>,
    first_lines: Vec<Vec<String>>,
    timeline: Vec<Moment>,
}

#[derive(Debug, Serialize)]
struct Moment {
    at: String,
    what: String,
    detail: String,
}

/// Asks the running Causeway for what the objects do not hold.
pub(super) async fn gather<'a>(
    remote: &Remote,
    summary: &'a Summary,
    incidents: &[Value],
    remediations: &'a [Value],
) -> Result<Data<'a>> {
    let incident = incidents.last().cloned().unwrap_or_default();
    let text = |value: &Value, path: &str| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let entity = text(&incident, "/spec/openedFor/service");
    let signal = text(&incident, "/spec/openedFor/signal");
    let path: Vec<String> = {
        let steps = incident.pointer("/status/path").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = steps.last().map(|s| text(s, "/to"));
        steps.iter().map(|s| text(s, "/from")).chain(last).collect()
    };
    let timeline = timeline(&incident, remediations);
    let series = if entity.is_empty() {
        Value::Null
    } else {
        remote.series(&entity, &signal).await.unwrap_or_default()
    };
    let marks: Vec<(String, &str)> = timeline
        .iter()
        .filter_map(|m| {
            let label = match m.what.as_str() {
                "Symptom began" => "symptom",
                "Incident opened" => "incident",
                "Applied" => "repair",
                "Succeeded" => "verified",
                "Incident resolved" => "resolved",
                _ => return None,
            };
            Some((m.at.clone(), label))
        })
        .collect();
    let cause = text(&incident, "/status/cause/entity");
    let service = cause.split_once('/').map_or(cause.clone(), |(_, rest)| rest.to_owned());
    let first_lines = if service.is_empty() {
        Vec::new()
    } else {
        let begun = text(&incident, "/status/startedAt");
        let sql = format!(
            "SELECT time, service, severity_text, body FROM logs WHERE service = '{}' AND time >= TIMESTAMP '{begun}' ORDER BY severity_number DESC, time LIMIT 3",
            service.replace('\'', "''")
        );
        remote.query(&sql).await.map(|rows| rows.into_iter().skip(1).collect()).unwrap_or_default()
    };
    Ok(Data {
        summary,
        remediations,
        signal_picture: svg::band(&series, &marks),
        signal_name: format!("{signal} of {entity}"),
        topology_picture: svg::topology(&remote.topology().await?, &path),
        path,
        first_lines,
        timeline,
        incident,
    })
}

fn timeline(incident: &Value, remediations: &[Value]) -> Vec<Moment> {
    let text = |value: &Value, path: &str| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut moments = vec![
        Moment {
            at: text(incident, "/status/startedAt"),
            what: "Symptom began".into(),
            detail: text(incident, "/status/symptom/summary"),
        },
        Moment {
            at: text(incident, "/metadata/creationTimestamp"),
            what: "Incident opened".into(),
            detail: text(incident, "/metadata/name"),
        },
        Moment {
            at: text(incident, "/status/resolvedAt"),
            what: "Incident resolved".into(),
            detail: String::new(),
        },
    ];
    for remediation in remediations {
        for entry in remediation.pointer("/status/timeline").and_then(Value::as_array).into_iter().flatten() {
            moments.push(Moment {
                at: text(entry, "/at"),
                what: text(entry, "/event"),
                detail: format!("{} {}", text(remediation, "/metadata/name"), text(entry, "/message")),
            });
        }
    }
    moments.retain(|m| !m.at.is_empty());
    moments.sort_by(|a, b| a.at.cmp(&b.at));
    moments
}

/// The page.
pub(super) fn render(data: &Data<'_>) -> Result<String> {
    let mut environment = minijinja::Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("report.html", TEMPLATE)?;
    Ok(environment.get_template("report.html")?.render(minijinja::value::Serde(data))?)
}
