//! Guards and the state machine of a repair.

pub mod duration;
pub mod vocabulary;

pub use duration::DurationText;
pub use vocabulary::{ApprovalDecision, Autonomy, Outcome, Phase, SymptomState, Via};
