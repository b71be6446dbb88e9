//! Services: the map, their health and golden signals; and one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use causeway_crds::{Incident, MonitoredService};
use causeway_model::{BandPoint, CallEdge, Rows, ServiceView, SignalView};
use minijinja::Value as View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::incidents::{is_over, sort};
use super::signed_in;
use crate::access::caller;
use crate::console::Console;
use crate::draw::{TopologyPicture, band, spark, topology};
use crate::failure::{Failure, Result};
use crate::objects::{list, text};
use crate::render::picture;
use crate::session::Session;
use crate::story;

/// Windows of a sparkline.
const SPARK: usize = 60;
/// Incidents on the page of a service.
const MAX_INCIDENTS: usize = 10;

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
) -> Result<Response> {
    let caller = caller(&console, &session).await?;
    let insight = console.insight(&session);
    let (services, edges) = futures::try_join!(insight.services(&caller), insight.topology(&caller, None))?;
    let declared = list::<MonitoredService>(&console, &session, None).await?;
    let incidents = list::<Incident>(&console, &session, None).await?;
    let unwell: BTreeSet<&str> =
        services.iter().filter(|s| s.signals.iter().any(is_open)).map(|s| s.service.as_str()).collect();
    let mut rows: Vec<Value> =
        services.iter().map(|service| row(service, &edges, &declared, &incidents)).collect();
    rows.sort_by_key(|row| !row["unwell"].as_bool().unwrap_or_default());
    let sparks: BTreeMap<String, View> = services.iter().map(|s| (s.service.clone(), sparks(s))).collect();
    let map = topology(&TopologyPicture { edges: &edges, path: &[], unwell: unwell.clone(), links: true });
    let context = json!({"services": rows, "unwell": unwell.len(), "edges": edges.len()});
    let pictures = vec![("map", picture(map)), ("sparks", View::from(sparks))];
    signed_in(&console, &session, ("services", "services.html"), StatusCode::OK, context, pictures).await
}

fn is_open(signal: &SignalView) -> bool {
    signal.open_since.is_some()
}

fn sparks(service: &ServiceView) -> View {
    let newest = |s: &SignalView| {
        let from = s.points.len().saturating_sub(SPARK);
        picture(spark(s.points.get(from..).unwrap_or_default()))
    };
    View::from(service.signals.iter().map(|s| (s.signal.clone(), newest(s))).collect::<BTreeMap<_, _>>())
}

fn row(service: &ServiceView, edges: &[CallEdge], declared: &[Value], incidents: &[Value]) -> Value {
    let name = service.service.as_str();
    let bare = name.rsplit('/').next().unwrap_or(name);
    let named = |object: &&Value| {
        let telemetry = text(object, "/spec/telemetryName");
        let own = if telemetry.is_empty() { text(object, "/metadata/name") } else { telemetry };
        own == name || own == bare
    };
    let signals: Vec<Value> = service
        .signals
        .iter()
        .map(|s| {
            let last = s.points.iter().rev().find(|p| p.value.is_some());
            json!({
                "name": s.signal, "open": s.open_since.is_some(),
                "text": last.and_then(|p| p.value).map_or_else(String::new, |v| amount(&s.signal, v)),
                "normal": last.and_then(|p| p.upper).map_or_else(String::new, |v| amount(&s.signal, v)),
                "learning": s.points.last().is_none_or(|p| p.upper.is_none()),
            })
        })
        .collect();
    json!({
        "name": name, "namespace": service.namespace, "signals": signals,
        "unwell": service.signals.iter().any(is_open),
        "callers": edges.iter().filter(|e| e.to == name).count(),
        "callees": edges.iter().filter(|e| e.from == name).count(),
        "declared": declared.iter().find(named),
        "incidents": incidents.iter().filter(|i| !is_over(i) && concerns(i, name)).count(),
    })
}

/// Whether a service is the symptom or the cause of an Incident.
fn concerns(incident: &Value, service: &str) -> bool {
    text(incident, "/spec/openedFor/service") == service || text(incident, "/status/cause/entity") == service
}

fn amount(signal: &str, value: f64) -> String {
    match signal {
        "latency" if value < 1.0 => format!("{:.0} ms", value * 1000.0),
        "latency" => format!("{value:.2} s"),
        _ if signal.ends_with("ratio") => format!("{:.1} %", value * 100.0),
        _ => format!("{value:.2}"),
    }
}

#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

pub(super) async fn one(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(Named { name }): Query<Named>,
) -> Result<Response> {
    let caller = caller(&console, &session).await?;
    let insight = console.insight(&session);
    let is = story::service_is(&name);
    let traffic = format!(
        "SELECT date_bin(INTERVAL '1 minute', time) AS minute, count(*) FROM spans WHERE {is} \
         AND time >= now() - INTERVAL '1 hour' GROUP BY 1 ORDER BY 1"
    );
    let errors = format!(
        "SELECT time, severity_text, body FROM logs WHERE {is} AND severity_number >= 13 \
         AND time >= now() - INTERVAL '1 hour' ORDER BY time DESC LIMIT 20"
    );
    let (services, edges, traffic, errors) = futures::join!(
        insight.services(&caller),
        insight.topology(&caller, None),
        insight.rows(&caller, &traffic),
        insight.rows(&caller, &errors)
    );
    let (services, edges) = (services?, edges?);
    let of: Vec<&str> = edges.iter().filter(|e| e.to == name).map(|e| e.from.as_str()).collect();
    let to: Vec<&str> = edges.iter().filter(|e| e.from == name).map(|e| e.to.as_str()).collect();
    let service = services.iter().find(|service| service.service == name);
    if service.is_none() && of.is_empty() && to.is_empty() {
        return Err(Failure::not_found(format!("nothing is known of a service {name} that you may read")));
    }
    let mut signals: Vec<Value> = Vec::new();
    let mut pictures: Vec<View> = Vec::new();
    let mut found: Vec<&SignalView> = service.into_iter().flat_map(|service| &service.signals).collect();
    found.sort_by_key(|signal| signal.signal != "latency");
    for signal in found {
        let points = insight.series(&caller, &name, &signal.signal).await?;
        signals.push(json!({"name": signal.signal, "open": is_open(signal)}));
        pictures.push(picture(band(&points, &[], &signal.signal)));
    }
    let points = counts(&traffic.unwrap_or_default());
    if points.len() > 1 {
        signals.push(json!({"name": "spans a minute", "open": false}));
        pictures.push(picture(band(&points, &[], "traffic")));
    }
    let near: Vec<CallEdge> = edges.iter().filter(|e| e.from == name || e.to == name).cloned().collect();
    let unwell =
        services.iter().filter(|s| s.signals.iter().any(is_open)).map(|s| s.service.as_str()).collect();
    let map = topology(&TopologyPicture { edges: &near, path: &[], unwell, links: true });
    let mut incidents = list::<Incident>(&console, &session, None).await?;
    incidents.retain(|incident| concerns(incident, &name));
    sort(&mut incidents);
    incidents.truncate(MAX_INCIDENTS);
    let context = json!({
        "name": name, "namespace": service.map(|s| &s.namespace), "signals": signals, "callers": of, "callees": to,
        "incidents": incidents, "lines": errors.unwrap_or_default().rows.into_iter().skip(1).collect::<Vec<_>>(),
    });
    let pictures = vec![("map", picture(map)), ("pictures", View::from(pictures))];
    signed_in(&console, &session, ("services", "service.html"), StatusCode::OK, context, pictures).await
}

/// Rows of a time and a count as points without a band.
fn counts(rows: &Rows) -> Vec<BandPoint> {
    let point = |row: &Vec<String>| {
        let value = row.get(1)?.parse().ok()?;
        Some(BandPoint {
            at: story::micros(row.first()?)?,
            value: Some(value),
            expected: None,
            lower: None,
            upper: None,
        })
    };
    rows.rows.iter().skip(1).filter_map(point).collect()
}
