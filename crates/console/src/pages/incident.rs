//! One Incident: why it happened, who is hurt, what is done about it, and the decision about a plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use causeway_crds::{Incident, Remediation};
use causeway_model::Rows;
use minijinja::Value as View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::signed_in;
use crate::access::caller;
use crate::approve::{self, Decided, may_decide};
use crate::console::Console;
use crate::draw::{TopologyPicture, band, topology};
use crate::failure::{Failure, Result};
use crate::objects::{get, text};
use crate::render::picture;
use crate::session::Session;
use crate::story;

/// Remediations of one page, the newest.
const MAX_REMEDIATIONS: usize = 16;

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response> {
    page(&console, &session, &namespace, &name, None).await
}

/// A decision as a form sends it; it names the Incident to go back to.
#[derive(Deserialize)]
pub(super) struct DecisionForm {
    #[serde(flatten)]
    decided: Decided,
    incident: String,
    incident_namespace: String,
}

pub(super) async fn decide(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((namespace, name)): Path<(String, String)>,
    Form(form): Form<DecisionForm>,
) -> Result<Response> {
    let DecisionForm { decided, incident, incident_namespace } = form;
    match approve::decide(&session, &namespace, &name, decided).await {
        Ok(_) => {
            crate::objects::checked_name(&incident_namespace)?;
            crate::objects::checked_name(&incident)?;
            Ok(Redirect::to(&format!("/incidents/{incident_namespace}/{incident}#remediation-{name}"))
                .into_response())
        }
        Err(failure) => {
            page(&console, &session, &incident_namespace, &incident, Some((&name, failure))).await
        }
    }
}

/// The page, with what came of a decision about a Remediation, where it failed.
async fn page(
    console: &Console,
    session: &Session,
    namespace: &str,
    name: &str,
    refused: Option<(&str, Failure)>,
) -> Result<Response> {
    let incident = get::<Incident>(session, namespace, name).await?;
    let remediations = remediations(session, namespace, &incident).await?;
    let timeline = story::timeline(&incident, &remediations);
    let path = story::path(&incident);
    let told = Told::read(console, session, &incident, &timeline, &path).await?;
    let mut cards = Vec::new();
    for remediation in remediations {
        let (place, name) = (text(&remediation, "/metadata/namespace"), text(&remediation, "/metadata/name"));
        let waits = text(&remediation, "/status/phase") == "AwaitingApproval";
        let allowed = waits && may_decide(session, place, name).await?;
        let complaint =
            refused.as_ref().filter(|(refused, _)| *refused == name).map(|(_, f)| f.message.clone());
        cards
            .push(json!({"object": remediation, "waits": waits, "allowed": allowed, "complaint": complaint}));
    }
    cards.reverse();
    let code = refused.as_ref().map_or(StatusCode::OK, |(_, failure)| failure.code);
    let context = json!({
        "cards": cards, "timeline": timeline, "path": path,
        "lines": told.lines, "linesSql": told.lines_sql, "trouble": told.trouble,
        "kubectl": kubectl(namespace, name, &incident), "sql": queries(&incident), "incident": incident,
    });
    let pictures = vec![("signalPicture", told.signal), ("topologyPicture", told.topology)];
    signed_in(console, session, ("incident", "incident.html"), code, context, pictures).await
}

/// The Incident's Remediations, oldest first; of those that the caller may not read, what the Incident says.
async fn remediations(session: &Session, namespace: &str, incident: &Value) -> Result<Vec<Value>> {
    let links =
        incident.pointer("/status/remediations").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for link in links.iter().skip(links.len().saturating_sub(MAX_REMEDIATIONS)) {
        let place = link.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let name = text(link, "/name");
        match get::<Remediation>(session, place, name).await {
            Ok(remediation) => found.push(remediation),
            Err(failure) if matches!(failure.code, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                found.push(json!({"metadata": {"namespace": place, "name": name},
                    "status": {"phase": link.get("phase")}, "hidden": failure.message}));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

/// What telemetry tells of an Incident. Where it can't be read the page says why, and shows the rest.
struct Told {
    signal: View,
    topology: View,
    lines: Vec<Vec<String>>,
    lines_sql: Option<String>,
    trouble: Option<String>,
}

impl Told {
    async fn read(
        console: &Console,
        session: &Session,
        incident: &Value,
        timeline: &[story::Moment],
        path: &[String],
    ) -> Result<Self> {
        let caller = caller(console, session).await?;
        let insight = console.insight(session);
        let (service, signal) =
            (text(incident, "/spec/openedFor/service"), text(incident, "/spec/openedFor/signal"));
        // What is over is shown among the services of its time.
        let ended = text(incident, "/status/resolvedAt").parse().ok().map(jiff::Timestamp::as_microsecond);
        let lines_sql = story::first_lines_sql(incident);
        let lines = async {
            match &lines_sql {
                Some(sql) => insight.rows(&caller, sql).await,
                None => Ok(Rows::default()),
            }
        };
        let (points, edges, services, lines) = futures::join!(
            insight.series(&caller, service, signal),
            insight.topology(&caller, ended),
            insight.services(&caller),
            lines
        );
        let trouble = [points.as_ref().err(), edges.as_ref().err(), lines.as_ref().err()];
        let trouble = trouble.into_iter().flatten().next().map(ToString::to_string);
        let (points, edges, services) =
            (points.unwrap_or_default(), edges.unwrap_or_default(), services.unwrap_or_default());
        let unwell: BTreeSet<&str> = services
            .iter()
            .filter(|service| service.signals.iter().any(|signal| signal.open_since.is_some()))
            .map(|service| service.service.as_str())
            .collect();
        let drawn = TopologyPicture { edges: &edges, path, unwell, links: true };
        Ok(Self {
            signal: picture(band(&points, &story::marks(timeline), signal)),
            topology: picture(topology(&drawn)),
            lines: lines.unwrap_or_default().rows.into_iter().skip(1).collect(),
            lines_sql,
            trouble,
        })
    }
}

/// Commands to go on with.
fn kubectl(namespace: &str, name: &str, incident: &Value) -> Vec<String> {
    let mut lines = vec![
        format!("kubectl describe incident {name} -n {namespace}"),
        format!("kubectl get remediations -n {namespace} -w"),
    ];
    if let Some(target) = incident.pointer("/status/cause/target") {
        let (kind, place) = (text(target, "/kind").to_lowercase(), text(target, "/namespace"));
        let of = text(target, "/name");
        lines.push(format!("kubectl get {kind} {of} -n {place} -o yaml"));
        if kind == "deployment" {
            lines.push(format!("kubectl rollout history {kind}/{of} -n {place}"));
        }
    }
    lines.push(format!("causeway bundle {} -f incident.bundle", text(incident, "/spec/fingerprint")));
    lines
}

/// Queries to go on with.
fn queries(incident: &Value) -> Vec<String> {
    let cause = text(incident, "/status/cause/entity");
    let mut queries: Vec<String> = story::first_lines_sql(incident).into_iter().collect();
    if let Ok(begun) = text(incident, "/status/startedAt").parse::<jiff::Timestamp>() {
        let from = begun - jiff::SignedDuration::from_mins(10);
        if !cause.is_empty() && cause != "unknown" {
            queries.push(format!(
                "SELECT date_bin(INTERVAL '1 minute', time) AS minute, count(*) AS spans, \
                 avg(duration_ns) / 1e6 AS mean_ms, sum(CASE WHEN error THEN 1 ELSE 0 END) AS errors FROM spans \
                 WHERE {} AND time >= TIMESTAMP '{from}' GROUP BY 1 ORDER BY 1",
                story::service_is(cause)
            ));
        }
        queries.push(format!(
            "SELECT time, kind, entity, reason, message FROM events WHERE time >= TIMESTAMP '{from}' ORDER BY time LIMIT 50"
        ));
    }
    queries
}
