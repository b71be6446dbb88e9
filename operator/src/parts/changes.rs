//! `POST /api/v1/changes`: deploy markers, feature flags and other changes that no Kubernetes object shows. Each is a
//! candidate for a cause, never a cause without a symptom.
//!
//! A change, a list of changes, a CloudEvent (structured mode, its `data` being a change) or a batch of them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use causeway_engine::{Change, ChangeClass};
use causeway_model::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine_host::EngineHost;

/// Changes in one request at most.
const MOST: usize = 1_000;
/// Longest text of a field.
const TEXT: usize = 1_024;
/// Changed fields of one change at most.
const FIELDS: usize = 32;

/// The route; the console lets in who may read everything.
pub(crate) fn router(host: Arc<EngineHost>, clock: Arc<dyn Clock>) -> Router {
    Router::new().route("/api/v1/changes", post(take)).with_state((host, clock))
}

async fn take(State((host, clock)): State<(Arc<EngineHost>, Arc<dyn Clock>)>, body: Bytes) -> Response {
    match read(&body, clock.now_us()) {
        Ok(changes) => {
            let accepted = changes.len();
            for (change, namespace) in changes {
                host.change(change, &namespace);
            }
            (StatusCode::ACCEPTED, Json(json!({"accepted": accepted}))).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

/// One change as it is sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent {
    /// Namespace of the service.
    namespace: String,
    /// Service as in telemetry, `namespace/name` or the bare name.
    service: String,
    #[serde(default)]
    kind: Kind,
    /// What was changed, such as `flag/new-checkout`; without it the service.
    #[serde(default)]
    object: String,
    /// One sentence.
    #[serde(default)]
    description: String,
    #[serde(default)]
    diff: Vec<Field>,
    #[serde(default)]
    author: String,
    /// When; without it, or when it lies ahead, now.
    #[serde(default)]
    time: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum Kind {
    /// New code.
    Release,
    /// Configuration.
    Config,
    /// A feature flag: configuration.
    FeatureFlag,
    /// Replicas, limits.
    Scaling,
    /// Machines, networks.
    Infrastructure,
    #[default]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    path: String,
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
}

/// The changes of a request with the namespace of each, at `now_us`.
///
/// # Errors
/// What is wrong with the request, and with which of its changes.
fn read(body: &[u8], now_us: i64) -> Result<Vec<(Change, String)>, String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let sent = match body {
        Value::Array(all) => all,
        one => vec![one],
    };
    if sent.is_empty() || sent.len() > MOST {
        return Err(format!("{} changes in one request: send 1 to {MOST}", sent.len()));
    }
    let one =
        |(at, value): (usize, Value)| change(value, now_us).map_err(|error| format!("change {at}: {error}"));
    sent.into_iter().enumerate().map(one).collect()
}

fn change(mut value: Value, now_us: i64) -> Result<(Change, String), String> {
    let mut event_time = None;
    if value.get("specversion").is_some() {
        event_time = value.get("time").and_then(Value::as_str).and_then(|time| time.parse().ok());
        value = value.get_mut("data").map(Value::take).ok_or("the CloudEvent has no data")?;
    }
    let sent: Sent = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if sent.service.is_empty() || sent.namespace.is_empty() {
        return Err("service and namespace name whom it touches: neither may be empty".to_owned());
    }
    if sent.diff.len() > FIELDS {
        return Err(format!("{} fields in diff: send at most {FIELDS}", sent.diff.len()));
    }
    let time = sent.time.or(event_time);
    let time_us = time.map_or(now_us, |time: jiff::Timestamp| time.as_microsecond().min(now_us));
    let entity = text(sent.service);
    let object = if sent.object.is_empty() { entity.clone() } else { text(sent.object) };
    let description =
        if sent.description.is_empty() { format!("{object} changed") } else { text(sent.description) };
    let class = match sent.kind {
        Kind::Release => ChangeClass::Release,
        Kind::Config | Kind::FeatureFlag => ChangeClass::Config,
        Kind::Scaling => ChangeClass::Scaling,
        Kind::Infrastructure => ChangeClass::Infrastructure,
        Kind::Other => ChangeClass::Other,
    };
    let diff = sent.diff.into_iter().map(|f| (text(f.path), text(f.old), text(f.new))).collect();
    let author = text(sent.author);
    let frozen_by = String::new();
    let change = Change { time_us, entity, object, class, description, diff, author, frozen_by };
    Ok((change, text(sent.namespace)))
}

fn text(text: String) -> String {
    if text.chars().count() <= TEXT { text } else { text.chars().take(TEXT).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000_000;

    #[test]
    fn a_flag_a_marker_and_a_cloud_event() {
        let body = br#"[
            {"namespace": "shop", "service": "shop/web", "kind": "FeatureFlag", "object": "flag/new-checkout",
             "diff": [{"path": "enabled", "old": "false", "new": "true"}], "author": "anna"},
            {"specversion": "1.0", "id": "1", "source": "/ci", "type": "deploy", "time": "2026-01-01T00:00:00Z",
             "data": {"namespace": "shop", "service": "web", "kind": "Release"}}]"#;
        let read = read(body, NOW).unwrap();
        let (flag, namespace) = &read[0];
        assert_eq!((namespace.as_str(), flag.class, flag.time_us), ("shop", ChangeClass::Config, NOW));
        assert_eq!(flag.diff, [("enabled".to_owned(), "false".to_owned(), "true".to_owned())]);
        let (marker, _) = &read[1];
        assert_eq!((marker.class, marker.object.as_str()), (ChangeClass::Release, "web"));
        assert_eq!(marker.time_us, 1_767_225_600_000_000);
    }

    #[test]
    fn says_what_is_wrong() {
        for (body, part) in [
            (&b"x"[..], "no JSON"),
            (b"[]", "send 1 to"),
            (br#"{"namespace": "shop"}"#, "change 0: missing field `service`"),
            (br#"{"namespace": "shop", "service": ""}"#, "neither may be empty"),
            (br#"{"namespace": "shop", "service": "a", "kind": "Magic"}"#, "unknown variant `Magic`"),
            (br#"{"namespace": "shop", "service": "a", "colour": 1}"#, "unknown field `colour`"),
            (br#"{"specversion": "1.0"}"#, "no data"),
        ] {
            let error = read(body, NOW).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_lies_ahead_is_now() {
        let body = br#"{"namespace": "shop", "service": "a", "time": "2999-01-01T00:00:00Z"}"#;
        assert_eq!(read(body, NOW).unwrap()[0].0.time_us, NOW);
    }
}
