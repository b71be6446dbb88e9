//! The console as this binary serves it: beside the lake and the engine, or as a role of its own.

mod command;
mod insight;

pub(crate) use command::{ConsoleArguments, run};
pub(crate) use insight::LocalInsight;

/// Bytes that one query of a caller may scan.
pub(crate) const BYTE_BUDGET: u64 = 64 << 30;
