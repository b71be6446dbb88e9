//! Processing steps over batches: each file has a step's configuration and its columnar implementation.
//!
//! ```text
//!   StepSpec (custom resource) ── Pipeline::compile ──► Pipeline ── run(Batch) ──► Batch + StepCounts a step
//!                                     │
//!                                 registry: one line a step
//! ```
//!
//! Steps run in the order in which they are declared, before anything is written to a disk.

mod condition;
mod detector;
mod drop;
mod mask;
mod pipeline;
mod registry;
mod step_spec;

pub use condition::{MatchSpec, SeverityLevel, SignalType};
pub use detector::MaskBuiltin;
pub use drop::DropSpec;
pub use mask::{MaskPattern, MaskSpec};
pub use pipeline::{Pipeline, StepCounts, StepError};
pub use step_spec::{StepSpec, StepType};
