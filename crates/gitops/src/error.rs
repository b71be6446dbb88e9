//! Why a step in Git was not made.

use causeway_manifests::Refusal;

/// Why a step in Git was not made.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The source can't be edited for sure.
    #[error(transparent)]
    Source(#[from] Refusal),
    /// It did not happen, and would not if it were tried again.
    #[error("{0}")]
    Refused(String),
    /// Nothing happened this time, and it was not let to look whether an earlier try had made it.
    #[error("{0}")]
    Unseen(String),
    /// No clear answer: what was sent may have arrived. A retry finds out.
    #[error("{0}")]
    Unclear(String),
}

impl GitError {
    /// What it is before it is known what earlier tries did.
    pub(crate) fn unseen(self) -> Self {
        match self {
            Self::Refused(message) => Self::Unseen(message),
            other => other,
        }
    }

    /// A stable word for metrics, events and reasons.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Source(refusal) => refusal.category(),
            Self::Refused(_) => "Refused",
            Self::Unseen(_) => "Unseen",
            Self::Unclear(_) => "Unclear",
        }
    }
}
