//! A generic webhook: CloudEvents or Alertmanager's format, signed, a message for every change.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Client, header};
use serde_json::Value;

use crate::alertmanager::alertmanager_payload;
use crate::cloud_event::{self, cloud_event};
use crate::delivery::Delivery;
use crate::error::NotifyError;
use crate::metrics::Channel;
use crate::notifier::{Message, MessageRef, Notifier, Updates};
use crate::secret::Secret;
use crate::signature::{ID, SIGNATURE, TIMESTAMP, sign};

/// Form of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// CloudEvents 1.0, structured JSON.
    #[default]
    CloudEvents,
    /// What Prometheus Alertmanager posts to a webhook, version 4.
    AlertmanagerV4,
}

impl WebhookFormat {
    const fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => cloud_event::CONTENT_TYPE,
            Self::AlertmanagerV4 => "application/json",
        }
    }
}

/// An HTTP endpoint that takes POSTs; any 2xx is an acknowledgement.
#[derive(Debug, Clone)]
pub struct Webhook {
    url: String,
    key: Option<Secret>,
    format: WebhookFormat,
    delivery: Delivery,
}

impl Webhook {
    /// An endpoint; with a key, each message is signed as [`crate::sign`] says.
    ///
    /// # Errors
    /// [`NotifyError::Config`] for a URL that is not `http` or `https`, or that holds credentials, and for an empty key.
    pub fn new(
        url: &str,
        key: Option<Secret>,
        format: WebhookFormat,
        delivery: Delivery,
    ) -> Result<Self, NotifyError> {
        let parsed = reqwest::Url::parse(url).map_err(|_| NotifyError::Config("the webhook is not a URL"))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(NotifyError::Config("the webhook is neither http nor https"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(NotifyError::Config("the webhook URL holds credentials"));
        }
        if key.as_ref().is_some_and(|key| key.expose().is_empty()) {
            return Err(NotifyError::Config("the signing key is empty"));
        }
        Ok(Self { url: url.to_owned(), key, format, delivery })
    }

    async fn post(&self, id: &str, payload: &Value) -> Result<MessageRef, NotifyError> {
        let body = serde_json::to_vec(payload).map_err(|_| NotifyError::Encode)?;
        let prepare = |client: &Client| {
            let mut request = client.post(&self.url).header(header::CONTENT_TYPE, self.format.content_type());
            if let Some(key) = &self.key {
                // The receiver compares with its own clock, so that this is the machine's time, also in a replay.
                let now = Timestamp::now();
                request = request
                    .header(ID, id)
                    .header(TIMESTAMP, now.as_second().to_string())
                    .header(SIGNATURE, sign(key, id, now, &body));
            }
            request.body(body.clone())
        };
        self.delivery.send(prepare, |_| Ok(MessageRef::default())).await
    }
}

impl Notifier for Webhook {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn updates(&self) -> Updates {
        Updates::Always
    }

    fn payload(&self, message: &Message<'_>, now: Timestamp) -> Value {
        match self.format {
            WebhookFormat::CloudEvents => cloud_event(message, now),
            WebhookFormat::AlertmanagerV4 => alertmanager_payload(message),
        }
    }

    fn send<'a>(
        &'a self,
        message: &'a Message<'_>,
        payload: &'a Value,
        _previous: Option<&'a MessageRef>,
    ) -> BoxFuture<'a, Result<MessageRef, NotifyError>> {
        let (Message::Incident { id, .. } | Message::Digest { id, .. }) = message;
        self.post(id, payload).boxed()
    }
}
