//! Incidents, Remediations, policies, and the decisions of people.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use causeway_crds::{ClusterGuardrail, Incident, Pause, Remediation, RemediationPolicy, Runbook};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, parameters};
use crate::approve::{self, Decided, PauseRequest};
use crate::console::Console;
use crate::failure::Result;
use crate::objects::{get, list, list_cluster};
use crate::session::Session;

type Shared = State<Arc<Console>>;
type Caller = Extension<Session>;

#[derive(Deserialize)]
pub(super) struct Within {
    namespace: Option<String>,
}

pub(super) async fn incidents(
    State(console): Shared,
    Extension(session): Caller,
    within: Result<Query<Within>, QueryRejection>,
) -> Result<Json<Value>> {
    let items = list::<Incident>(&console, &session, parameters(within)?.namespace.as_deref()).await?;
    Ok(Json(json!({"items": items})))
}

pub(super) async fn remediations(
    State(console): Shared,
    Extension(session): Caller,
    within: Result<Query<Within>, QueryRejection>,
) -> Result<Json<Value>> {
    let items = list::<Remediation>(&console, &session, parameters(within)?.namespace.as_deref()).await?;
    Ok(Json(json!({"items": items})))
}

pub(super) async fn incident(
    Extension(session): Caller,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    Ok(Json(get::<Incident>(&session, &namespace, &name).await?))
}

pub(super) async fn remediation(
    Extension(session): Caller,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    Ok(Json(get::<Remediation>(&session, &namespace, &name).await?))
}

pub(super) async fn approve(
    Extension(session): Caller,
    Path((namespace, name)): Path<(String, String)>,
    decided: Result<Json<Decided>, JsonRejection>,
) -> Result<Response> {
    let approval = approve::decide(&session, &namespace, &name, body(decided)?).await?;
    Ok((StatusCode::CREATED, Json(approval)).into_response())
}

pub(super) async fn policies(State(console): Shared, Extension(session): Caller) -> Result<Json<Value>> {
    Ok(Json(json!({
        "policies": list::<RemediationPolicy>(&console, &session, None).await?,
        "runbooks": list::<Runbook>(&console, &session, None).await?,
        "guardrails": list_cluster::<ClusterGuardrail>(&session).await?,
    })))
}

pub(super) async fn pauses(Extension(session): Caller) -> Result<Json<Value>> {
    Ok(Json(json!({"items": list_cluster::<Pause>(&session).await?})))
}

pub(super) async fn pause(
    Extension(session): Caller,
    request: Result<Json<PauseRequest>, JsonRejection>,
) -> Result<Response> {
    let pause = approve::pause(&session, body(request)?).await?;
    Ok((StatusCode::CREATED, Json(pause)).into_response())
}

pub(super) async fn resume(Extension(session): Caller, Path(name): Path<String>) -> Result<StatusCode> {
    approve::resume(&session, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
