//! Processing steps that a LogSource runs before anything is stored: the configuration types of `causeway-steps`.

pub use causeway_steps::{
    DropSpec, MaskBuiltin, MaskPattern, MaskSpec, MatchSpec, SeverityLevel, SignalType, StepSpec, StepType,
};
