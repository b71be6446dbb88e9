//! The HTTP API: queries, the state of the engine, and the clock of a replay.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as UrlPath, Query as UrlQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use causeway_kubekit::Activity;
use causeway_lake::{Lake, to_csv, to_ndjson, to_rows};
use causeway_model::{Caller, Clock as _, Query as _, QueryError, SeriesId, rfc3339};
use causeway_pipeline::Gateway;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::clock::ProcessClock;
use super::engine_host::EngineHost;
use super::persist::bundle_path;
use crate::query::{OutputFormat, QueryRequest, TableAnswer};

/// Bytes that one query may scan.
const BYTE_BUDGET: u64 = 64 << 30;
/// How long a step of the clock waits for everything to settle.
const SETTLE: Duration = Duration::from_secs(60);

/// What the handlers need.
pub(crate) struct ApiState {
    /// Tokens that may ask.
    pub(crate) tokens: Vec<String>,
    pub(crate) lake: Lake,
    pub(crate) host: Arc<EngineHost>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) clock: Arc<ProcessClock>,
    pub(crate) controllers: causeway_kubekit::Clock,
    pub(crate) activity: Activity,
}

type Shared = State<Arc<ApiState>>;

/// All routes; every one needs a token of the cluster.
pub(crate) fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/query", post(query))
        .route("/api/v1/state", get(state_of))
        .route("/api/v1/series", get(series))
        .route("/api/v1/topology", get(topology))
        .route("/api/v1/declared", get(declared))
        .route("/api/v1/incidents/{fingerprint}/bundle", get(bundle))
        .route("/api/v1/clock", post(step))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), authenticate))
        .with_state(state)
}

/// An error as every surface shows it.
fn refuse(code: StatusCode, message: impl Into<String>) -> Response {
    (code, Json(json!({"error": message.into()}))).into_response()
}

async fn authenticate(
    State(state): Shared,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let token = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .unwrap_or_default();
    if token.is_empty() || !state.tokens.iter().any(|t| t == token) {
        return refuse(StatusCode::UNAUTHORIZED, "a bearer token is needed: DATA/kubeconfig holds one");
    }
    next.run(request).await
}

async fn query(State(state): Shared, Json(request): Json<QueryRequest>) -> Response {
    let caller = Caller { user: "api".to_owned(), namespaces: None, byte_budget: BYTE_BUDGET };
    let result = match state.lake.sql(&caller, &request.sql).await {
        Ok(result) => result,
        Err(error) => {
            let code = match error {
                QueryError::Invalid(_) => StatusCode::BAD_REQUEST,
                QueryError::Budget { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                QueryError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            return refuse(code, error.to_string());
        }
    };
    let formatted = match request.format {
        OutputFormat::Json => to_ndjson(&result.batches).map(IntoResponse::into_response),
        OutputFormat::Csv => to_csv(&result.batches).map(IntoResponse::into_response),
        OutputFormat::Table => to_rows(&result.batches)
            .map(|rows| Json(TableAnswer { rows, scanned_bytes: result.scanned_bytes }).into_response()),
    };
    formatted.unwrap_or_else(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The bundle of an incident.
async fn bundle(State(state): Shared, UrlPath(fingerprint): UrlPath<String>) -> Response {
    if fingerprint.is_empty() || !fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return refuse(StatusCode::BAD_REQUEST, "a fingerprint has hexadecimal digits only");
    }
    match state.lake.file(&bundle_path(&fingerprint)).await {
        Ok(Some(bytes)) => bytes.into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, format!("no bundle of an incident {fingerprint} is kept")),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
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

#[derive(Deserialize)]
struct SeriesQuery {
    entity: String,
    signal: String,
}

async fn series(State(state): Shared, UrlQuery(asked): UrlQuery<SeriesQuery>) -> Response {
    let id = SeriesId {
        entity: asked.entity.as_str().into(),
        signal: asked.signal.as_str().into(),
        group: "".into(),
    };
    let points = state.host.read(|engine| engine.points(&id));
    if points.is_empty() {
        return refuse(StatusCode::NOT_FOUND, format!("no signal {} of {}", asked.signal, asked.entity));
    }
    let points: Vec<_> = points
        .iter()
        .map(|p| {
            // NaN has no JSON: it becomes null.
            json!({"at": rfc3339(p.at_us), "value": p.value, "expected": p.expected, "lower": p.lower, "upper": p.upper})
        })
        .collect();
    Json(json!({"entity": asked.entity, "signal": asked.signal, "points": points})).into_response()
}

async fn topology(State(state): Shared) -> Response {
    let edges: Vec<_> = state.host.read(|engine| {
        let now = engine.watermark_us().unwrap_or_default();
        let edges = engine.topology().edges_at(now).into_iter();
        edges
            .map(|e| {
                json!({"from": e.from.key(), "to": e.to.key(), "calls": e.count, "inferred": e.inferred,
                    "confidence": e.confidence})
            })
            .collect()
    });
    Json(json!({"edges": edges})).into_response()
}

/// Everything that is declared, in the words of the engine.
async fn declared(State(state): Shared) -> Response {
    Json(state.host.read(causeway_engine::Engine::declared)).into_response()
}

#[derive(Deserialize)]
struct StepRequest {
    now: jiff::Timestamp,
}

/// Steps the clock and answers when everything has settled: windows closed, objects reconciled, own writes seen.
async fn step(State(state): Shared, Json(request): Json<StepRequest>) -> Response {
    if state.clock.step(request.now.as_microsecond()).is_none() {
        return refuse(
            StatusCode::CONFLICT,
            "the clock is the machine's: start with --clock stepped to step it",
        );
    }
    state.gateway.tick();
    state.host.tick();
    state.controllers.moved();
    if tokio::time::timeout(SETTLE, state.activity.settled()).await.is_err() {
        let pending = state.activity.pending();
        return refuse(StatusCode::GATEWAY_TIMEOUT, format!("not settled after {SETTLE:?}: {pending:?}"));
    }
    Json(answer(&state)).into_response()
}
