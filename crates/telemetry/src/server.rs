//! The admin endpoint: `/healthz`, `/readyz`, `/metrics`.

use std::io;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::{CheckState, Health};
use crate::metrics::{Metrics, OPENMETRICS};

/// Why an HTTP server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener failed.
    #[error("HTTP server failed")]
    Io(#[from] io::Error),
}

/// Routes that need no login and tell nothing about users' data.
///
/// - `/healthz`: 200 `ok`, or 500 with the reason given to [`Health::fail`].
/// - `/readyz`: 200 or 503, with the checks as JSON: `{"ready": bool, "checks": [{"name", "ready", "reason"}]}`.
/// - `/metrics`: OpenMetrics text.
pub fn admin_router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(scrape)).with_state(metrics))
}

/// Serves `router` on a bound listener until `stop` is cancelled, then lets open requests finish.
///
/// # Errors
/// [`ServeError::Io`] when the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<(), ServeError> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

async fn healthz(State(health): State<Health>) -> Response {
    match health.failure() {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")).into_response(),
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.readiness();
    let checks: Vec<_> = readiness
        .checks
        .iter()
        .map(|(name, state)| match state {
            CheckState::Ready => json!({"name": name, "ready": true}),
            CheckState::NotReady(reason) => json!({"name": name, "ready": false, "reason": reason}),
        })
        .collect();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": readiness.is_ready(), "checks": checks}))).into_response()
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "scrape failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::build_info::BuildInfo;

    async fn fetch(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn the_three_endpoints_answer_and_the_server_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new();
        let metrics = Metrics::new(&BuildInfo::new("test", "1", "c"));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, admin_router(health.clone(), metrics), stop.clone()));
        let check = health.register("lake");

        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains(r#""reason":"starting""#), "{answer}");
        check.ready();
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/healthz").await.ends_with("ok\n"));
        let scraped = fetch(address, "/metrics").await;
        assert!(scraped.contains("application/openmetrics-text") && scraped.contains("causeway_build_info"));
        health.fail("disk gone");
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 500"));

        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
