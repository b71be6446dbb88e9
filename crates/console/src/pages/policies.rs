//! What Causeway may do: Pauses, policies, guardrails, and the record of each Runbook.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use causeway_crds::{ClusterGuardrail, RemediationPolicy, Runbook};
use serde::Deserialize;
use serde_json::{Value, json};

use super::signed_in;
use crate::access::{Right, may};
use crate::approve::{self, PauseRequest};
use crate::console::Console;
use crate::failure::Result;
use crate::objects::{list, list_cluster};
use crate::session::Session;

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
) -> Result<Response> {
    let (policies, runbooks, guardrails) = futures::join!(
        list::<RemediationPolicy>(&console, &session, None),
        list::<Runbook>(&console, &session, None),
        list_cluster::<ClusterGuardrail>(&session)
    );
    let right = |verb| Right { verb, resource: "pauses", namespace: None, name: None };
    let context = json!({
        "policies": shown(policies), "runbooks": shown(runbooks), "guardrails": shown(guardrails),
        "mayPause": may(&session, &right("create")).await?, "mayResume": may(&session, &right("delete")).await?,
    });
    signed_in(&console, &session, ("policies", "policies.html"), StatusCode::OK, context, Vec::new()).await
}

/// The objects, or why there are none to show.
fn shown(list: Result<Vec<Value>>) -> Value {
    match list {
        Ok(items) => json!({"items": items}),
        Err(failure) => json!({"complaint": failure.message}),
    }
}

/// A Pause as a form sends it.
#[derive(Deserialize)]
pub(super) struct PauseForm {
    #[serde(default)]
    reason: String,
    /// Separated by commas or spaces.
    #[serde(default)]
    namespaces: String,
}

pub(super) async fn pause(
    Extension(session): Extension<Session>,
    Form(PauseForm { reason, namespaces }): Form<PauseForm>,
) -> Result<Response> {
    let names = namespaces.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
    let request = PauseRequest { reason, namespaces: names.map(str::to_owned).collect() };
    approve::pause(&session, request).await?;
    Ok(Redirect::to("/policies").into_response())
}

pub(super) async fn resume(
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response> {
    approve::resume(&session, &name).await?;
    Ok(Redirect::to("/policies").into_response())
}
