//! The audit log: who decided and did what, chained by hash, signed, kept in the lake, and verifiable without Causeway's
//! secret.

mod checkpoint;
mod entry;
mod keep;
mod verify;
mod verify_command;

pub(crate) use keep::{AuditLog, AuditSettings, open};
pub(crate) use verify_command::{VerifyAuditArguments, run};
