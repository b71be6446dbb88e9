//! What a replay asks besides the console's API: the state of the engine, and steps of the clock.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use causeway_kubekit::Activity;
use causeway_lake::Lake;
use causeway_model::{Clock as _, rfc3339};
use causeway_pipeline::Gateway;
use serde::Serialize;
use serde_json::json;

use super::clock::{ProcessClock, SETTLE, Step};
use super::engine_host::EngineHost;

/// What the handlers need.
pub(crate) struct ApiState {
    pub(crate) lake: Lake,
    pub(crate) host: Arc<EngineHost>,
    /// Where it is in this process.
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) clock: Arc<ProcessClock>,
    pub(crate) controllers: causeway_kubekit::Clock,
    pub(crate) activity: Activity,
}

type Shared = State<Arc<ApiState>>;

/// The routes; the console lets in who may read everything.
pub(crate) fn router(state: Arc<ApiState>) -> Router {
    Router::new().route("/api/v1/state", get(state_of)).route("/api/v1/clock", post(step)).with_state(state)
}

/// An error as every surface shows it.
fn refuse(code: StatusCode, message: impl Into<String>) -> Response {
    (code, Json(json!({"error": message.into()}))).into_response()
}

/// Answer of `/api/v1/state` and of a step.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateAnswer {
    now: String,
    watermark: Option<String>,
    settled: bool,
    windows: u64,
    services: usize,
    edges: usize,
    baselines: usize,
    baselines_ready: usize,
    templates: usize,
    metrics: usize,
    rows_accepted: u64,
    duplicates: u64,
    open_findings: Vec<OpenFinding>,
}

#[derive(Serialize)]
struct OpenFinding {
    entity: String,
    signal: String,
    since: String,
    observed: f64,
    expected: f64,
    upper: f64,
}

fn answer(state: &ApiState) -> StateAnswer {
    let stats = state.lake.stats();
    let settled = state.activity.pending().is_settled();
    state.host.read(|engine| {
        let learned = engine.learned();
        StateAnswer {
            now: rfc3339(state.clock.now_us()),
            watermark: engine.watermark_us().map(rfc3339),
            settled,
            windows: engine.counts().windows,
            services: learned.services,
            edges: learned.edges,
            baselines: learned.baselines,
            baselines_ready: learned.baselines_ready,
            templates: learned.templates,
            metrics: learned.metrics,
            rows_accepted: stats.rows_accepted,
            duplicates: stats.duplicates,
            open_findings: engine
                .open_series()
                .map(|(id, since)| {
                    let point = engine.points(id).last().copied();
                    OpenFinding {
                        entity: id.entity.to_string(),
                        signal: id.signal.to_string(),
                        since: rfc3339(since),
                        observed: point.map_or(f64::NAN, |p| p.value),
                        expected: point.map_or(f64::NAN, |p| p.expected),
                        upper: point.map_or(f64::NAN, |p| p.upper),
                    }
                })
                .collect(),
        }
    })
}

async fn state_of(State(state): Shared) -> Response {
    Json(answer(&state)).into_response()
}

/// Steps the clock and answers when everything has settled: windows closed, objects reconciled, own writes seen.
async fn step(State(state): Shared, Json(step): Json<Step>) -> Response {
    if state.clock.step(step.now.as_microsecond()).is_none() {
        return refuse(
            StatusCode::CONFLICT,
            "the clock is the machine's: start with --clock stepped to step it",
        );
    }
    step.note(&state.activity);
    if let Some(gateway) = &state.gateway {
        gateway.tick();
    }
    state.host.tick();
    state.controllers.moved();
    if tokio::time::timeout(SETTLE, state.activity.settled()).await.is_err() {
        let pending = state.activity.pending();
        return refuse(StatusCode::GATEWAY_TIMEOUT, format!("not settled after {SETTLE:?}: {pending:?}"));
    }
    Json(answer(&state)).into_response()
}
