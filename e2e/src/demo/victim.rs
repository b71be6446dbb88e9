//! Which role dies at its writes.

use clap::ValueEnum;

use crate::crash_points::{Name, Write};

/// A role that is killed at its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Victim {
    /// Whoever leads of the operators, and the gateway with it
    Operator,
    /// The executor
    Executor,
}

impl Victim {
    /// Of an operator its new Incidents and Remediations, of an executor all but Events and its Lease.
    pub(super) fn writes(self) -> Name {
        match self {
            Self::Operator => |write: &Write| {
                let name = write.to_string();
                let is_new = name.starts_with("POST incidents") || name.starts_with("POST remediations");
                is_new.then_some(name)
            },
            Self::Executor => |write: &Write| Some(write.to_string()),
        }
    }
}
