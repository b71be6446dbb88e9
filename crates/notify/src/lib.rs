//! Notifiers, one file each.
//!
//! ```text
//!   IncidentNotice ──► Target: filter, unchanged?, flood ──► Notifier (Slack, Webhook) ──► HTTP with retries
//!                        │  ▲                                                                   │
//!                        ▼  │                                                         gives up: DeadLetters
//!                     TargetState (kept by the caller)
//! ```
//!
//! Rendering is pure: [`render_slack`] and [`render_text`] show a message without sending it.

mod alertmanager;
mod cloud_event;
mod dead_letter;
mod delivery;
mod error;
mod failure;
mod flood;
mod literal;
mod metrics;
mod notice;
mod notifier;
#[cfg(test)]
mod sample;
mod secret;
mod signature;
mod slack;
mod slack_blocks;
mod target;
mod terminal;
mod webhook;

pub use alertmanager::alertmanager_payload;
pub use cloud_event::cloud_event;
pub use dead_letter::{DeadLetter, DeadLetterError, DeadLetters, DirectoryDeadLetters};
pub use delivery::{Delivery, Pause, RetryPolicy};
pub use error::NotifyError;
pub use failure::Failure;
pub use flood::FloodLimits;
pub use metrics::{Channel, NotifyMetrics};
pub use notice::{
    IncidentNotice, IncidentState, Link, Prediction, RemediationNotice, Severity, Statement, Times,
};
pub use notifier::{Digest, DigestLine, Message, MessageRef, Notifier, Updates};
pub use secret::Secret;
pub use signature::{SignatureError, sign, verify};
pub use slack::{Slack, SlackAccess};
pub use slack_blocks::{render_slack, render_slack_digest};
pub use target::{Outcome, SendFilter, SentMessage, Target, TargetState};
pub use terminal::render_text;
pub use webhook::{Webhook, WebhookFormat};
