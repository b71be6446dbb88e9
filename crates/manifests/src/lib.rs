//! Finds where the value of a live field is declared in a repository of manifests, and edits only that scalar.
//!
//! Pure: files in (path → text), changed files out. Comments, order, quotes, indentation and line endings stay, because
//! what is replaced is a range of bytes. Followed are plain YAML, kustomize and Helm values; what can't be followed for
//! sure is refused with the place and the reason.

pub mod change;
pub mod declared;
pub mod document;
pub mod edit;
pub mod message;
pub mod refusal;
pub mod scalar;

mod helm;
mod image;
mod kustomization;
mod kustomize;
mod patch;
mod plain;

#[cfg(test)]
mod property;

pub use change::{Change, ObjectId};
pub use declared::Files;
pub use edit::{Edited, edit};
pub use message::{IDEMPOTENCY_TRAILER, Message, REMEDIATION_TRAILER, has_trailer};
pub use refusal::Refusal;
