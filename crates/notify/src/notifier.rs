//! The port of a channel: what a notifier has to be able to do.

use std::fmt::Debug;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::NotifyError;
use crate::metrics::Channel;
use crate::notice::{IncidentNotice, IncidentState, Severity};

/// One incident that was held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestLine {
    /// Id of the incident.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// `namespace/name: title`.
    pub text: String,
}

/// Incidents that were held back, in one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The incidents, worst first.
    pub lines: Vec<DigestLine>,
    /// Since when messages were held back.
    pub since: Timestamp,
}

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// The first message of an incident, or its new content.
    Incident {
        /// The incident.
        notice: &'a IncidentNotice,
        /// Id of this content: the same content has the same id, so that a receiver can tell a repetition.
        id: &'a str,
    },
    /// Incidents that were held back.
    Digest {
        /// The incidents.
        digest: &'a Digest,
        /// Id of this content.
        id: &'a str,
    },
}

/// Where a message is, so that it can be edited; empty for channels that can't.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageRef {
    /// Channel id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Id of the message in the channel (Slack's `ts`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a channel does with news about an incident that it was told of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// The message is edited.
    InPlace,
    /// Another message, but only when the incident's state changed: people read it.
    OnTransition,
    /// Another message for every change: a machine reads it.
    Always,
}

/// A channel. Add one in a file of its own.
pub trait Notifier: Debug + Send + Sync {
    /// Its label in metrics.
    fn channel(&self) -> Channel;

    /// What it does with news about an incident that it was told of before.
    fn updates(&self) -> Updates;

    /// The payload of a message, as it is sent; pure.
    fn payload(&self, message: &Message<'_>, now: Timestamp) -> Value;

    /// Sends a message with this payload, or edits the `previous` one; with retries. Returns where it is.
    fn send<'a>(
        &'a self,
        message: &'a Message<'_>,
        payload: &'a Value,
        previous: Option<&'a MessageRef>,
    ) -> BoxFuture<'a, Result<MessageRef, NotifyError>>;
}
