//! `report.html`: one self-contained page about one run.

use anyhow::Result;
use causeway_console::draw::{self, TopologyPicture};
use causeway_console::story::{self, Moment};
use causeway_console::{inert, inert_value};
use causeway_model::{BandPoint, CallEdge};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::remote::Remote;
use super::summary::Summary;

const TEMPLATE: &str = include_str!("report.html");

/// Longest text that is shown whole, in characters.
const LONGEST: usize = 4000;

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
    style: &'static str,
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
    let path = story::path(&incident);
    let timeline = story::timeline(&incident, remediations);
    let series = if entity.is_empty() {
        Value::Null
    } else {
        remote.series(&entity, &signal).await.unwrap_or_default()
    };
    let points: Vec<BandPoint> = parsed(&series, "points")?;
    let edges: Vec<CallEdge> = parsed(&remote.topology().await?, "edges")?;
    let rows = match story::first_lines_sql(&incident) {
        Some(sql) => remote.query(&sql).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let shown = |row: &Vec<String>| row.iter().map(|cell| inert(cell, LONGEST)).collect();
    let first_lines = rows.iter().skip(1).map(shown).collect();
    Ok(Data {
        summary,
        remediations,
        signal_picture: draw::band(&points, &story::marks(&timeline), &signal),
        signal_name: format!("{signal} of {entity}"),
        topology_picture: draw::topology(&TopologyPicture {
            edges: &edges,
            path: &path,
            ..Default::default()
        }),
        style: draw::STYLE,
        path,
        first_lines,
        timeline,
        incident: inert_value(incident, LONGEST),
    })
}

/// A list that an answer has.
fn parsed<T: DeserializeOwned>(answer: &Value, member: &str) -> Result<Vec<T>> {
    Ok(answer.get(member).map_or_else(|| Ok(Vec::new()), |list| serde_json::from_value(list.clone()))?)
}

/// The page.
pub(super) fn render(data: &Data<'_>) -> Result<String> {
    let mut environment = minijinja::Environment::new();
    // Without an Incident, or a cause, there is no such section.
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("report.html", TEMPLATE)?;
    Ok(environment.get_template("report.html")?.render(minijinja::value::Serde(data))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_an_incident_has_a_report() {
        let summary = Summary { title: "Recording x, played".into(), ..Summary::default() };
        for incident in [Value::Null, serde_json::json!({"status": {"evidence": [], "explanation": []}})] {
            let data = Data {
                summary: &summary,
                remediations: &[],
                signal_picture: String::new(),
                signal_name: String::new(),
                topology_picture: String::new(),
                style: "",
                path: Vec::new(),
                first_lines: Vec::new(),
                timeline: Vec::new(),
                incident,
            };
            let page = render(&data).unwrap();
            assert!(page.contains("No symptom at the entry point") && !page.contains("Evidence"), "{page}");
        }
    }
}
