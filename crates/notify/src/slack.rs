//! Slack: with a bot token one message per incident, edited in place; with an incoming webhook, which can't edit, a
//! message for each change of state.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::delivery::{Answer, Delivery};
use crate::error::NotifyError;
use crate::metrics::Channel;
use crate::notifier::{Message, MessageRef, Notifier, Updates};
use crate::secret::Secret;
use crate::slack_blocks::{render_slack, render_slack_digest};

const API: &str = "https://slack.com/api";
const JSON: &str = "application/json; charset=utf-8";

/// How Slack lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackAccess {
    /// A bot token (scope `chat:write`) and the channel it posts to: a name like `#payments` or an id.
    Bot {
        /// The token, `xoxb-…`.
        token: Secret,
        /// The channel.
        channel: String,
    },
    /// The URL of an incoming webhook, which is a secret and implies the channel.
    IncomingWebhook {
        /// The URL.
        url: Secret,
    },
}

/// A Slack channel.
#[derive(Debug, Clone)]
pub struct Slack {
    access: SlackAccess,
    api: String,
    delivery: Delivery,
}

impl Slack {
    /// A channel of Slack itself.
    ///
    /// # Errors
    /// [`NotifyError::Config`] for an empty token or channel, or a webhook that is no `https` (or `http`) URL.
    pub fn new(access: SlackAccess, delivery: Delivery) -> Result<Self, NotifyError> {
        match &access {
            SlackAccess::Bot { token, .. } if token.expose().is_empty() => {
                return Err(NotifyError::Config("the Slack token is empty"));
            }
            SlackAccess::Bot { channel, .. } if channel.is_empty() => {
                return Err(NotifyError::Config("the Slack channel is empty"));
            }
            SlackAccess::IncomingWebhook { url } if !url.expose().starts_with("http") => {
                return Err(NotifyError::Config("the Slack webhook is not a URL"));
            }
            _ => {}
        }
        Ok(Self { access, api: API.to_owned(), delivery })
    }

    /// Uses another base URL of the API than `https://slack.com/api`, for a proxy.
    #[must_use]
    pub fn with_api(mut self, url: &str) -> Self {
        self.api = url.trim_end_matches('/').to_owned();
        self
    }

    async fn post_or_edit(
        &self,
        token: &Secret,
        channel: &str,
        payload: &Value,
        previous: Option<&MessageRef>,
    ) -> Result<MessageRef, NotifyError> {
        if let Some(MessageRef { channel: Some(channel), message: Some(message) }) = previous {
            let mut body = payload.clone();
            body["channel"] = json!(channel);
            body["ts"] = json!(message);
            match self.call("chat.update", token, &body).await {
                // Somebody deleted the message, or it is too old to be edited: begin another one.
                Err(NotifyError::Slack { code }) if is_beyond_editing(&code) => {}
                result => return result,
            }
        }
        let mut body = payload.clone();
        body["channel"] = json!(channel);
        self.call("chat.postMessage", token, &body).await
    }

    async fn call(&self, method: &str, token: &Secret, body: &Value) -> Result<MessageRef, NotifyError> {
        let url = format!("{}/{method}", self.api);
        let body = serde_json::to_vec(body).map_err(|_| NotifyError::Encode)?;
        let prepare = |client: &Client| json_request(client, &url, body.clone()).bearer_auth(token.expose());
        self.delivery.send(prepare, judge_api).await
    }

    async fn post_to_webhook(&self, url: &Secret, payload: &Value) -> Result<MessageRef, NotifyError> {
        let body = serde_json::to_vec(payload).map_err(|_| NotifyError::Encode)?;
        let prepare = |client: &Client| json_request(client, url.expose(), body.clone());
        self.delivery.send(prepare, |_| Ok(MessageRef::default())).await
    }
}

impl Notifier for Slack {
    fn channel(&self) -> Channel {
        Channel::Slack
    }

    fn updates(&self) -> Updates {
        match self.access {
            SlackAccess::Bot { .. } => Updates::InPlace,
            SlackAccess::IncomingWebhook { .. } => Updates::OnTransition,
        }
    }

    fn payload(&self, message: &Message<'_>, _now: Timestamp) -> Value {
        match message {
            Message::Incident { notice, .. } => render_slack(notice),
            Message::Digest { digest, .. } => render_slack_digest(digest),
        }
    }

    fn send<'a>(
        &'a self,
        _message: &'a Message<'_>,
        payload: &'a Value,
        previous: Option<&'a MessageRef>,
    ) -> BoxFuture<'a, Result<MessageRef, NotifyError>> {
        match &self.access {
            SlackAccess::Bot { token, channel } => {
                self.post_or_edit(token, channel, payload, previous).boxed()
            }
            SlackAccess::IncomingWebhook { url } => self.post_to_webhook(url, payload).boxed(),
        }
    }
}

fn json_request(client: &Client, url: &str, body: Vec<u8>) -> RequestBuilder {
    client.post(url).header(header::CONTENT_TYPE, JSON).body(body)
}

fn is_beyond_editing(code: &str) -> bool {
    ["message_not_found", "cant_update_message", "edit_window_closed"].contains(&code)
}

/// Slack's API answers 200 also to failures; `ok` and `error` tell.
fn judge_api(answer: &Answer) -> Result<MessageRef, NotifyError> {
    #[derive(Deserialize)]
    struct Reply {
        ok: bool,
        error: Option<String>,
        channel: Option<String>,
        ts: Option<String>,
    }
    let reply: Reply = serde_json::from_slice(&answer.body).map_err(|_| NotifyError::Answer)?;
    if reply.ok {
        return Ok(MessageRef { channel: reply.channel, message: reply.ts });
    }
    let code = reply.error.unwrap_or_default();
    let is_code =
        !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    Err(if is_code { NotifyError::Slack { code } } else { NotifyError::Answer })
}
