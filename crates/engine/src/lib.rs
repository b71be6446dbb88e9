//! Partials → series → detectors → topology → incidents with their cause.
//!
//! One engine serves a whole installation: it sees aggregates, never records. It is a plain value without a clock:
//! data time comes with the partials, `now` is an argument.

mod assemble;
mod calls;
mod case;
mod change;
mod config;
mod detect;
mod diagnose;
mod engine;
mod golden;
mod history;
mod incident;
mod recent;
mod snapshot;

pub use change::{Change, ChangeClass};
pub use config::{EngineConfig, ServiceConfig};
pub use detect::Point;
pub use engine::{Counts, Engine, Learned};
pub use incident::{Incident, IncidentPhase, SymptomState};
pub use snapshot::SnapshotError;
