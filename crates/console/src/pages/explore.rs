//! SQL over logs, metrics, spans, events, findings and audit, as far as the caller may read.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use causeway_model::{Table, TextFormat};
use serde::Deserialize;
use serde_json::json;

use super::signed_in;
use crate::access::caller;
use crate::api::text;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::inert::inert;
use crate::session::Session;

/// Rows of a page; a download has all.
const MAX_ROWS: usize = 500;
/// Letters of a cell.
const MAX_CELL: usize = 600;
/// Queries to begin with.
const EXAMPLES: [(&str, &str); 5] = [
    (
        "Log lines by service",
        "SELECT service, count(*) AS lines FROM logs GROUP BY service ORDER BY lines DESC",
    ),
    (
        "Newest errors",
        "SELECT time, service, body FROM logs WHERE severity_number >= 17 ORDER BY time DESC LIMIT 50",
    ),
    (
        "Slowest services",
        "SELECT service, count(*) AS spans, approx_percentile_cont(duration_ns, 0.99) / 1000000 AS p99_ms \
         FROM spans GROUP BY service ORDER BY p99_ms DESC LIMIT 20",
    ),
    ("What changed", "SELECT time, kind, entity, reason, message FROM events ORDER BY time DESC LIMIT 50"),
    (
        "What was decided",
        "SELECT time, actor, action, subject, detail FROM audit ORDER BY sequence DESC LIMIT 50",
    ),
];

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    sql: String,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(Asked { sql }): Query<Asked>,
) -> Result<Response> {
    let tables: Vec<_> = Table::ALL
        .iter()
        .map(|table| {
            let schema = table.schema();
            let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            json!({"name": table.name(), "columns": columns})
        })
        .collect();
    let mut context = json!({"sql": sql, "tables": tables, "examples": EXAMPLES});
    let mut code = StatusCode::OK;
    if !sql.trim().is_empty() {
        let caller = caller(&console, &session).await?;
        let begun = Instant::now();
        let outcome = match console.insight(&session).rows(&caller, &sql).await {
            Ok(answer) => {
                let cut =
                    |row: &Vec<String>| row.iter().map(|cell| inert(cell, MAX_CELL)).collect::<Vec<_>>();
                json!({"header": answer.rows.first(),
                    "rows": answer.rows.iter().skip(1).take(MAX_ROWS).map(cut).collect::<Vec<_>>(),
                    "count": answer.rows.len().saturating_sub(1),
                    "mebibytes": format!("{:.1}", answer.scanned_bytes as f64 / 1_048_576.0),
                    "milliseconds": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)})
            }
            Err(error) => {
                let failure = Failure::from(error);
                code = failure.code;
                json!({"complaint": failure.message})
            }
        };
        if let Some(members) = context.as_object_mut() {
            members.insert("outcome".to_owned(), outcome);
        }
    }
    signed_in(&console, &session, ("explore", "explore.html"), code, context, Vec::new()).await
}

#[derive(Deserialize)]
pub(super) struct Download {
    sql: String,
    format: TextFormat,
}

pub(super) async fn download(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(Download { sql, format }): Query<Download>,
) -> Result<Response> {
    let caller = caller(&console, &session).await?;
    let answer = console.insight(&session).text(&caller, &sql, format).await?;
    let mut response = text(answer, format);
    let name = match format {
        TextFormat::Json => "attachment; filename=\"causeway.ndjson\"",
        TextFormat::Csv => "attachment; filename=\"causeway.csv\"",
    };
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}
