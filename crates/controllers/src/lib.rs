//! Controllers, a folder a kind.
//!
//! ```text
//!   engine ──IncidentFeed──► incident ──plans──► Remediation ──► remediation (the executor) ──► workloads
//!     ▲                        │  ▲                                   │
//!     │ services, changes      │  └────────── phase, outcome ─────────┘
//!   monitored_service, change  └──► notification_target ──► Slack, webhooks
//! ```
//!
//! [`run()`] assembles them over one mirror a kind. Engine, gateway and audit log are reached through the traits in
//! [`ports`], which the composition root implements, so that the controllers run against any API server and any engine.

pub mod context;
pub mod error;
pub mod feed;
pub mod ports;

mod admission;
mod approval;
mod audit;
mod baseline;
mod bundles;
mod capacity;
mod change;
mod cluster;
mod cluster_guardrail;
mod declarations;
mod freeze;
mod gateway;
mod incident;
mod log_query;
mod log_source;
mod mirrors;
mod monitored_service;
mod notification_target;
mod objective;
mod objects;
mod observing;
mod pause;
mod peak;
mod peak_event;
mod plan;
mod question;
mod rehearsal;
mod remediation;
mod remediation_policy;
mod room;
mod run;
mod runbook;
mod series;
mod services;
mod slo;
mod target_view;
mod text;
mod triggers;
pub mod what_if;

pub use admission::Admission;
pub use bundles::{Bundles, BundlesError};
pub use causeway_gitops::Git;
pub use context::{Context, Notifications, OperatorParts};
pub use error::ControllerError;
pub use feed::{IncidentFeed, IncidentInbox};
pub use gateway::{GatewayContext, run_gateway};
pub use ports::{
    Audit, AuditEntry, Engine, Gateway, Ports, Protocol, SourceLimits, SourceObservation, SourceSettings,
};
pub use rehearsal::{TestOutcome, TestVerdict, check_runbook, test_runbook};
pub use run::{run, run_executor};

/// Field manager of mutations, and actor in the audit log.
pub const EXECUTOR: &str = "causeway-executor";
/// ServiceAccount whose presence opts a namespace in to repairs.
pub const FIXER: &str = "causeway-fixer";
