//! `/api/v1`: what the pages show, as JSON, for programs. Errors are `{"error": …}`.

mod events;
mod objects;
mod telemetry;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::access::readable;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::session::Session;

pub(crate) use telemetry::text;

/// All routes; they need a session.
pub(crate) fn router(console: &Arc<Console>) -> Router {
    let named = "/api/v1/namespaces/{namespace}";
    Router::new()
        .route("/api/v1/whoami", get(whoami))
        .route("/api/v1/query", post(telemetry::query))
        .route("/api/v1/series", get(telemetry::series))
        .route("/api/v1/topology", get(telemetry::topology))
        .route("/api/v1/services", get(telemetry::services))
        .route("/api/v1/namespaces", get(telemetry::namespaces))
        .route("/api/v1/bundles/{fingerprint}", get(telemetry::bundle))
        .route("/api/v1/incidents", get(objects::incidents))
        .route("/api/v1/remediations", get(objects::remediations))
        .route(&format!("{named}/incidents/{{name}}"), get(objects::incident))
        .route(&format!("{named}/remediations/{{name}}"), get(objects::remediation))
        .route(&format!("{named}/remediations/{{name}}/approvals"), post(objects::approve))
        .route("/api/v1/policies", get(objects::policies))
        .route("/api/v1/pauses", get(objects::pauses).post(objects::pause))
        .route("/api/v1/pauses/{name}", delete(objects::resume))
        .route("/api/v1/events", get(events::stream))
        .route("/api/{*rest}", get(nothing).post(nothing))
        .with_state(Arc::clone(console))
}

async fn whoami(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
) -> Result<Json<Value>> {
    let namespaces = readable(&console, &session).await?;
    Ok(Json(json!({"user": &*session.user, "namespaces": namespaces, "server": console.gate.server()})))
}

async fn nothing() -> Failure {
    Failure::not_found("the API has no such path")
}

/// Lets in who may read everything.
pub(crate) async fn everywhere(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    request: Request,
    next: Next,
) -> Result<Response> {
    if readable(&console, &session).await?.is_some() {
        return Err(Failure::forbidden(format!(
            "{} may not do this: it is for those who may list incidents.causeway.dev in all namespaces",
            session.user
        )));
    }
    Ok(next.run(request).await)
}

/// A body, or what is wrong with it.
fn body<T>(read: Result<Json<T>, JsonRejection>) -> Result<T> {
    read.map(|Json(value)| value).map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))
}

/// Parameters, or what is wrong with them.
fn parameters<T>(read: Result<Query<T>, QueryRejection>) -> Result<T> {
    read.map(|Query(value)| value)
        .map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))
}
