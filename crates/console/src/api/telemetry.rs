//! Queries, series, topology, services and bundles.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use causeway_model::TextFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, parameters};
use crate::access::{caller, readable};
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::session::Session;

type Shared = State<Arc<Console>>;

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// `{"rows": [header, row…], "scannedBytes": n}`
    #[default]
    Table,
    Json,
    Csv,
}

#[derive(Deserialize)]
pub(super) struct QueryRequest {
    sql: String,
    #[serde(default)]
    format: Format,
}

pub(super) async fn query(
    State(console): Shared,
    Extension(session): Extension<Session>,
    request: Result<Json<QueryRequest>, JsonRejection>,
) -> Result<Response> {
    let QueryRequest { sql, format } = body(request)?;
    let caller = caller(&console, &session).await?;
    let insight = console.insight(&session);
    let format = match format {
        Format::Table => return Ok(Json(insight.rows(&caller, &sql).await?).into_response()),
        Format::Json => TextFormat::Json,
        Format::Csv => TextFormat::Csv,
    };
    Ok(text(insight.text(&caller, &sql, format).await?, format))
}

/// An answer as text under its media type.
pub(crate) fn text(answer: String, format: TextFormat) -> Response {
    let kind = match format {
        TextFormat::Json => "application/x-ndjson",
        TextFormat::Csv => "text/csv; charset=utf-8",
    };
    ([(header::CONTENT_TYPE, kind)], answer).into_response()
}

#[derive(Deserialize)]
pub(super) struct SeriesQuery {
    entity: String,
    signal: String,
}

pub(super) async fn series(
    State(console): Shared,
    Extension(session): Extension<Session>,
    asked: Result<Query<SeriesQuery>, QueryRejection>,
) -> Result<Json<Value>> {
    let SeriesQuery { entity, signal } = parameters(asked)?;
    let caller = caller(&console, &session).await?;
    let points = console.insight(&session).series(&caller, &entity, &signal).await?;
    if points.is_empty() {
        return Err(Failure::not_found(format!("no signal {signal} of {entity}")));
    }
    Ok(Json(json!({"entity": entity, "signal": signal, "points": points})))
}

#[derive(Deserialize)]
pub(super) struct TopologyQuery {
    /// As it was then; as it is without.
    at: Option<jiff::Timestamp>,
}

pub(super) async fn topology(
    State(console): Shared,
    Extension(session): Extension<Session>,
    asked: Result<Query<TopologyQuery>, QueryRejection>,
) -> Result<Json<Value>> {
    let at = parameters(asked)?.at.map(jiff::Timestamp::as_microsecond);
    let caller = caller(&console, &session).await?;
    Ok(Json(json!({"edges": console.insight(&session).topology(&caller, at).await?})))
}

pub(super) async fn services(
    State(console): Shared,
    Extension(session): Extension<Session>,
) -> Result<Json<Value>> {
    let caller = caller(&console, &session).await?;
    Ok(Json(json!({"services": console.insight(&session).services(&caller).await?})))
}

/// Namespaces with telemetry that the caller may read.
pub(super) async fn namespaces(
    State(console): Shared,
    Extension(session): Extension<Session>,
) -> Result<Json<Value>> {
    let names = match readable(&console, &session).await? {
        Some(names) => names.clone(),
        None => console.insight(&session).namespaces().await?,
    };
    Ok(Json(json!({"namespaces": names})))
}

pub(super) async fn bundle(
    State(console): Shared,
    Extension(session): Extension<Session>,
    Path(fingerprint): Path<String>,
) -> Result<Response> {
    if fingerprint.is_empty()
        || fingerprint.len() > 128
        || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(Failure::bad_request("a fingerprint has hexadecimal digits only"));
    }
    let caller = caller(&console, &session).await?;
    if caller.namespaces.is_some() {
        return Err(Failure::forbidden(
            "a bundle holds evidence of all namespaces: it is for those who may list incidents.causeway.dev in all of them",
        ));
    }
    let bundle = console.insight(&session).bundle(&caller, &fingerprint).await?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let found = bundle.map(|bytes| (kind, bytes).into_response());
    found.ok_or_else(|| Failure::not_found(format!("no bundle of an incident {fingerprint} is kept")))
}
