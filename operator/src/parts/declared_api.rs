//! `/api/v1/declared`: everything that is declared, in the words of the engine, and what time it is. For simulations.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use causeway_engine::{Declared, Engine};
use causeway_model::{Clock as _, Micros};
use serde::{Deserialize, Serialize};

use super::clock::ProcessClock;
use super::engine_host::EngineHost;

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeclaredAnswer {
    /// Unix microseconds of the process's clock.
    pub(crate) now_us: Micros,
    /// Services, objectives, Baselines, events.
    pub(crate) declared: Declared,
}

#[derive(Clone)]
struct Told {
    host: Arc<EngineHost>,
    clock: Arc<ProcessClock>,
}

/// The route; the console lets in who may read everything.
pub(crate) fn router(host: Arc<EngineHost>, clock: Arc<ProcessClock>) -> Router {
    Router::new().route("/api/v1/declared", get(declared)).with_state(Told { host, clock })
}

async fn declared(State(told): State<Told>) -> Json<DeclaredAnswer> {
    Json(DeclaredAnswer { now_us: told.clock.now_us(), declared: told.host.read(Engine::declared) })
}
