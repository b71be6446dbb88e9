//! A stand-in for Slack's incoming webhook and Web API: keeps the latest text of every message.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

#[derive(Debug, Default)]
struct Messages {
    by_ts: BTreeMap<String, Value>,
    posted: u64,
    edited: u64,
}

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub(super) struct SlackStandIn {
    messages: Arc<Mutex<Messages>>,
}

impl SlackStandIn {
    /// Serves on a free port; gives the base URL of the Web API.
    pub(super) async fn start(&self) -> Result<String> {
        let router = Router::new()
            .route("/api/chat.postMessage", post(post_message))
            .route("/api/chat.update", post(update))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}/api"))
    }

    /// Messages as they stand, and how many posts and edits led there.
    pub(super) async fn messages(&self) -> (Vec<Value>, u64, u64) {
        let messages = self.messages.lock().await;
        (messages.by_ts.values().cloned().collect(), messages.posted, messages.edited)
    }
}

async fn post_message(State(slack): State<SlackStandIn>, Json(body): Json<Value>) -> Json<Value> {
    let mut messages = slack.messages.lock().await;
    messages.posted += 1;
    let ts = format!("1700000000.{:06}", messages.posted);
    let channel = body.get("channel").cloned().unwrap_or_default();
    messages.by_ts.insert(ts.clone(), body);
    Json(json!({"ok": true, "ts": ts, "channel": channel}))
}

async fn update(State(slack): State<SlackStandIn>, Json(body): Json<Value>) -> Json<Value> {
    let mut messages = slack.messages.lock().await;
    let ts = body.get("ts").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !messages.by_ts.contains_key(&ts) {
        return Json(json!({"ok": false, "error": "message_not_found"}));
    }
    messages.edited += 1;
    let channel = body.get("channel").cloned().unwrap_or_default();
    messages.by_ts.insert(ts.clone(), body);
    Json(json!({"ok": true, "ts": ts, "channel": channel}))
}
