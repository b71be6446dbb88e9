//! A notifier with its rules: what is sent, what is held back, what was sent already.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::dead_letter::{DeadLetter, DeadLetters};
use crate::error::NotifyError;
use crate::failure::Failure;
use crate::flood::FloodLimits;
use crate::literal::one_line;
use crate::metrics::{self, NotifyMetrics};
use crate::notice::{IncidentNotice, IncidentState, Severity};
use crate::notifier::{Digest, DigestLine, Message, MessageRef, Notifier, Updates};

/// How long a finished incident is remembered.
const KEEP_FINISHED: SignedDuration = SignedDuration::from_hours(48);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendFilter {
    /// Only incidents at least this severe.
    pub min_severity: Severity,
    /// Predicted incidents too.
    pub predicted: bool,
    /// Say when an incident is over; a message that is edited in place shows it in any case.
    pub resolved: bool,
    /// Nothing before it is escalated: for those who are asked second.
    pub only_escalated: bool,
}

impl Default for SendFilter {
    /// Warnings and worse, predicted ones too, with their end.
    fn default() -> Self {
        Self { min_severity: Severity::Warning, predicted: true, resolved: true, only_escalated: false }
    }
}

/// A message about one incident that this target was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentMessage {
    /// Where it is, if it can be edited.
    #[serde(default)]
    pub place: MessageRef,
    /// Id of its content.
    pub content: String,
    /// The incident's state in it.
    pub state: IncidentState,
    /// When it was sent, edited or given up.
    pub at: Timestamp,
    /// Whether it ever arrived as a message of its own.
    pub delivered: bool,
    /// Whether a message of its own said that the incident is escalated.
    #[serde(default)]
    pub escalated: bool,
    /// Set while this content has not arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// An incident that was held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeldBack {
    line: DigestLine,
    content: String,
    since: Timestamp,
}

/// What a target remembers between calls. The caller keeps it, so that after a restart the same messages are edited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetState {
    /// By incident id.
    pub messages: BTreeMap<String, SentMessage>,
    recent: Vec<Timestamp>,
    held_back: BTreeMap<String, HeldBack>,
    last_digest: Option<Timestamp>,
}

impl TargetState {
    /// Forgets failures, so that what was refused is tried again at the next call: for a target whose configuration
    /// or Secret changed.
    pub fn forget_failures(&mut self) {
        self.messages.retain(|_, message| message.delivered || message.failure.is_none());
        for message in self.messages.values_mut().filter(|message| message.failure.is_some()) {
            message.failure = None;
            message.content.clear();
        }
    }

    /// When a message that met an outage is worth another [`Target::deliver`]; `None` when there is none.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.messages.values().filter_map(|message| message.failure?.next_try()).min()
    }

    fn forget_finished(&mut self, now: Timestamp) {
        self.messages
            .retain(|_, message| !message.state.is_final() || now.duration_since(message.at) < KEEP_FINISHED);
    }
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A message was sent.
    Sent,
    /// The incident's message was edited.
    Edited,
    /// There is nothing new to tell.
    Unchanged,
    /// The target does not want it.
    Filtered,
    /// Too many messages: it waits for the next digest.
    HeldBack,
}

/// A notifier with its rules.
#[derive(Debug)]
pub struct Target {
    name: String,
    notifier: Box<dyn Notifier>,
    filter: SendFilter,
    flood: FloodLimits,
    dead_letters: Arc<dyn DeadLetters>,
    metrics: NotifyMetrics,
}

impl Target {
    /// A target with the default filter and limits; `name` is `namespace/name` of the NotificationTarget.
    pub fn new(
        name: impl Into<String>,
        notifier: impl Notifier + 'static,
        dead_letters: Arc<dyn DeadLetters>,
        metrics: NotifyMetrics,
    ) -> Self {
        Self {
            name: name.into(),
            notifier: Box::new(notifier),
            filter: SendFilter::default(),
            flood: FloodLimits::default(),
            dead_letters,
            metrics,
        }
    }

    /// Sets what is sent.
    #[must_use]
    pub fn with_filter(mut self, filter: SendFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how much is sent.
    #[must_use]
    pub fn with_flood(mut self, flood: FloodLimits) -> Self {
        self.flood = flood;
        self
    }

    /// Tells the target of an incident, if there is something to tell. `now` decides about flood limits; retries run
    /// on the machine's clock and may take minutes.
    ///
    /// Keep `state` after every call, also a failed one. Calls for one target must not overlap.
    ///
    /// # Errors
    /// Why the message did not arrive. It was kept as a dead letter then; with [`NotifyError::Lost`] it could not even
    /// be kept. After an outage the same content is tried again by calls from [`TargetState::next_retry`] on, for a day;
    /// after a refusal only when [`TargetState::forget_failures`] was called.
    pub async fn deliver(
        &self,
        notice: &IncidentNotice,
        state: &mut TargetState,
        now: Timestamp,
    ) -> Result<Outcome, NotifyError> {
        state.forget_finished(now);
        let result = self.tell(notice, state, now).await;
        let counted = match &result {
            Ok(Outcome::Sent) => metrics::Result::Sent,
            Ok(Outcome::Edited) => metrics::Result::Edited,
            Ok(Outcome::Unchanged) => metrics::Result::Unchanged,
            Ok(Outcome::Filtered) => metrics::Result::Filtered,
            Ok(Outcome::HeldBack) => metrics::Result::HeldBack,
            Err(_) => metrics::Result::Failed,
        };
        self.metrics.count(self.notifier.channel(), counted);
        result
    }

    /// When [`Target::flush_digest`] has something to do; `None` while nothing is held back.
    #[must_use]
    pub fn next_digest(&self, state: &TargetState) -> Option<Timestamp> {
        let since = state.held_back.values().map(|held| held.since).min()?;
        let last = state.last_digest.map_or(since, |last| last.max(since));
        last.checked_add(self.flood.digest_every).ok()
    }

    /// Sends what was held back as one message, if it is time. Returns the number of incidents in it.
    ///
    /// # Errors
    /// Why the digest did not arrive; its incidents stay for the next one.
    pub async fn flush_digest(&self, state: &mut TargetState, now: Timestamp) -> Result<usize, NotifyError> {
        let Some(since) = state.held_back.values().map(|held| held.since).min() else { return Ok(0) };
        let last = state.last_digest.map_or(since, |last| last.max(since));
        if !self.flood.digest_is_due(last, now) {
            return Ok(0);
        }
        let mut lines: Vec<DigestLine> = state.held_back.values().map(|held| held.line.clone()).collect();
        lines.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        let digest = Digest { lines, since };
        let id = content_id("digest", &digest)?;
        let message = Message::Digest { digest: &digest, id: &id };
        let payload = self.notifier.payload(&message, now);
        state.last_digest = Some(now);
        self.notifier.send(&message, &payload, None).await?;
        for (id, held) in std::mem::take(&mut state.held_back) {
            let told = SentMessage {
                place: MessageRef::default(),
                content: held.content,
                state: held.line.state,
                at: now,
                delivered: false,
                escalated: false,
                failure: None,
            };
            state.messages.insert(id, told);
        }
        Ok(digest.lines.len())
    }

    async fn tell(
        &self,
        notice: &IncidentNotice,
        state: &mut TargetState,
        now: Timestamp,
    ) -> Result<Outcome, NotifyError> {
        let previous = state.messages.get(&notice.id).cloned();
        let content = content_of(notice)?;
        let same = previous.as_ref().filter(|previous| previous.content == content);
        let failed = same.and_then(|same| same.failure);
        let is_due = failed.and_then(|failed| failed.next_try()).is_some_and(|next| next <= now);
        if same.is_some() && !is_due {
            return Ok(Outcome::Unchanged);
        }
        let was_escalated = previous.as_ref().is_some_and(|previous| previous.escalated);
        // An edit makes no sound.
        let is_escalation = notice.escalated.is_some() && !was_escalated && !notice.state.is_final();
        let delivered = previous.filter(|previous| previous.delivered);
        let is_edit = delivered.is_some() && self.notifier.updates() == Updates::InPlace && !is_escalation;
        if !is_edit && !self.wants(notice, delivered.as_ref()) {
            return Ok(Outcome::Filtered);
        }
        if let Some(delivered) = &delivered
            && self.notifier.updates() == Updates::OnTransition
            && delivered.state == notice.state
            && failed.is_none()
            && !is_escalation
        {
            return Ok(Outcome::Unchanged);
        }
        if !is_edit && !is_escalation && !self.flood.allows(&mut state.recent, now) {
            hold_back(notice, content, state, now);
            return Ok(Outcome::HeldBack);
        }
        let place = delivered.as_ref().map(|delivered| &delivered.place).filter(|_| is_edit);
        let sent = self.send(notice, &content, place, now).await;
        let failure = sent.as_ref().err().map(|(error, _)| Failure {
            since: failed.map_or(now, |failed| failed.since),
            last: now,
            is_outage: error.is_outage(),
        });
        let sent = match sent {
            Err((error, payload)) if failed.is_none() => Err(self.keep(notice, error, payload, now)),
            Err((error, _)) => Err(error),
            Ok(place) => Ok(place),
        };
        state.held_back.remove(&notice.id);
        let entry = SentMessage {
            place: match &sent {
                Ok(place) => place.clone(),
                Err(_) => place.cloned().unwrap_or_default(),
            },
            content,
            state: notice.state,
            at: now,
            delivered: sent.is_ok() || delivered.is_some(),
            escalated: was_escalated || (is_escalation && sent.is_ok()),
            failure,
        };
        state.messages.insert(notice.id.clone(), entry);
        sent?;
        if is_edit {
            return Ok(Outcome::Edited);
        }
        state.recent.push(now);
        Ok(Outcome::Sent)
    }

    fn wants(&self, notice: &IncidentNotice, delivered: Option<&SentMessage>) -> bool {
        let is_prediction = matches!(notice.state, IncidentState::Predicted | IncidentState::Prevented);
        if notice.state.is_final() && (!self.filter.resolved || delivered.is_none()) {
            // The end of something that was never told is no news.
            return false;
        }
        if notice.escalated.is_some() {
            return true;
        }
        !self.filter.only_escalated
            && notice.severity >= self.filter.min_severity
            && (self.filter.predicted || !is_prediction)
    }

    async fn send(
        &self,
        notice: &IncidentNotice,
        content: &str,
        previous: Option<&MessageRef>,
        now: Timestamp,
    ) -> Result<MessageRef, (NotifyError, Value)> {
        let message = Message::Incident { notice, id: content };
        let payload = self.notifier.payload(&message, now);
        let sent = self.notifier.send(&message, &payload, previous).await;
        sent.map_err(|error| {
            tracing::warn!(target_name = self.name, incident = notice.id, %error, "notification did not arrive");
            (error, payload)
        })
    }

    /// Keeps a dead letter; returns what there is to report.
    fn keep(
        &self,
        notice: &IncidentNotice,
        error: NotifyError,
        payload: Value,
        now: Timestamp,
    ) -> NotifyError {
        let letter = DeadLetter {
            target: self.name.clone(),
            subject: notice.id.clone(),
            at: now,
            error: error.to_string(),
            payload,
        };
        match self.dead_letters.keep(&letter) {
            Ok(()) => error,
            Err(dead_letter) => NotifyError::Lost { undelivered: Box::new(error), dead_letter },
        }
    }
}

fn hold_back(notice: &IncidentNotice, content: String, state: &mut TargetState, now: Timestamp) {
    let line = DigestLine {
        id: notice.id.clone(),
        severity: notice.severity,
        state: notice.state,
        text: one_line(&format!("{}/{}: {}", notice.namespace, notice.name, notice.title)),
    };
    let since = state.held_back.get(&notice.id).map_or(now, |held| held.since);
    state.held_back.insert(notice.id.clone(), HeldBack { line, content, since });
}

/// Id of a notice's content: the same for two notices that differ only in when they were updated.
fn content_of(notice: &IncidentNotice) -> Result<String, NotifyError> {
    let mut timeless = notice.clone();
    timeless.times.updated = timeless.times.opened;
    content_id(&notice.id, &timeless)
}

fn content_id(prefix: &str, content: &impl Serialize) -> Result<String, NotifyError> {
    let bytes = serde_json::to_vec(content).map_err(|_| NotifyError::Encode)?;
    let digest: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // The id travels in a header: other characters than these would not be allowed there.
    let prefix: String =
        prefix.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(64).collect();
    Ok(format!("{prefix}-{digest}"))
}
