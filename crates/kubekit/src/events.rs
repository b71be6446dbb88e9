//! Kubernetes events, published on transitions only and never a reason to fail.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::conditions::truncated;

/// Longest note that the API takes, in bytes.
const NOTE_LIMIT: usize = 1024;
/// Longest reason and action that the API takes, in bytes.
const WORD_LIMIT: usize = 128;

/// Whether an event asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Worth knowing.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// Something that happened to an object, to be published as an event on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Whether it asks for attention.
    pub kind: EventKind,
    /// Reason, in CamelCase.
    pub reason: String,
    /// Sentence for people; cut at 1 KiB.
    pub note: String,
    /// What was being done, in CamelCase, for example `Reconcile`.
    pub action: &'static str,
}

impl Occurrence {
    /// Something worth knowing that came out of a reconcile.
    #[must_use]
    pub fn normal(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self { kind: EventKind::Normal, reason: reason.into(), note: note.into(), action: "Reconcile" }
    }

    /// Something that is not as it should be.
    #[must_use]
    pub fn warning(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self { kind: EventKind::Warning, reason: reason.into(), note: note.into(), action: "Reconcile" }
    }
}

/// Publishes events in the name of one controller.
#[derive(Clone)]
pub(crate) struct Events {
    recorder: Recorder,
}

impl Events {
    pub(crate) fn new(client: Client, controller: &str, instance: &str) -> Self {
        let reporter = Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    pub(crate) async fn publish(&self, occurrence: &Occurrence, about: &ObjectReference) {
        let event = Event {
            type_: match occurrence.kind {
                EventKind::Normal => EventType::Normal,
                EventKind::Warning => EventType::Warning,
            },
            reason: truncated(&occurrence.reason, WORD_LIMIT),
            note: Some(truncated(&occurrence.note, NOTE_LIMIT)),
            action: occurrence.action.to_owned(),
            secondary: None,
        };
        match self.recorder.publish(&event, about).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => tracing::debug!(%error, reason = occurrence.reason, "event was not published"),
        }
    }
}
