//! Reconcile harness, generic over the kind: run, backoff, conditions, events, lease.
//!
//! ```text
//!   API server ──watch── Mirror<K> ──changes──► Controller<R> ──► R::dereference, validate, build, apply,
//!        ▲                  ▲  ▲                 queue, backoff,        update_status
//!        │                  │  └─ other kinds    triggers, clock              │
//!        └── status, written only when changed ◄──────────────────────────────┘
//! ```
//!
//! [`Activity`] knows when all of it has settled; [`Elector`] says whether this process may write at all.

mod activity;
mod backoff;
mod clock;
mod conditions;
mod conformance;
mod controller;
#[cfg(test)]
mod controller_tests;
mod elector;
#[cfg(test)]
mod elector_tests;
mod error;
mod events;
#[cfg(test)]
mod fake_api;
mod key;
mod metrics;
mod mirror;
mod named;
mod pass;
mod queue;
mod reconciler;
mod status;
mod track_writes;

pub use activity::{Activity, Busy, Pending, ResourceKey};
pub use backoff::Backoff;
pub use clock::Clock;
pub use conditions::{Conditions, MESSAGE_LIMIT, Progress, READY, RECONCILING, STALLED, Statement, Truth};
pub use conformance::{Violation, check_conditions};
pub use controller::{Controller, ControllerConfig, Runtime, Triggers};
pub use elector::{Elector, ElectorConfig, Leadership, LeadershipLost, while_leading};
pub use error::{Category, ReconcileError, error_chain, is_deceptive};
pub use events::{EventKind, Occurrence};
pub use key::ObjectKey;
pub use metrics::ControllerMetrics;
pub use mirror::{Change, Mirror};
pub use named::{Lookup, Named};
pub use reconciler::{Kind, Reconciler, Report, Requeue, StatusOf};
pub use track_writes::{TrackWrites, TrackWritesLayer};

/// Annotation whose change makes a controller reconcile the object at once: `causeway.dev/requestedAt: <any text>`.
/// The value is echoed in `status.lastHandledRequestedAt` of kinds that have the field.
pub const REQUESTED_AT: &str = "causeway.dev/requestedAt";
