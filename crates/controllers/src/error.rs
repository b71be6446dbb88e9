//! Why a reconcile failed.

use causeway_kubekit::{Category, ReconcileError};

/// Why a reconcile failed. What is wrong with the user's objects is a condition instead.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The API server refused or did not answer.
    #[error("{what}")]
    Api {
        /// What was being done, such as `reading Secret shop/token`.
        what: String,
        /// What the client said.
        #[source]
        source: Box<kube::Error>,
    },
    /// Something outside of the cluster did not answer, and it is not known what it did.
    #[error("{0}")]
    Unanswered(String),
    /// A value could not be written as JSON, which is a defect.
    #[error("{what}")]
    Json {
        /// What was being written.
        what: String,
        /// What the writer said.
        #[source]
        source: serde_json::Error,
    },
}

impl ReconcileError for ControllerError {
    fn category(&self) -> Category {
        match self {
            Self::Api { source, .. } => Category::of(source),
            Self::Unanswered(_) => Category::Unavailable,
            Self::Json { .. } => Category::Internal,
        }
    }
}

/// Says what was being done when a call failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ControllerError>;
}

impl<T> Doing<T> for Result<T, kube::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ControllerError> {
        self.map_err(|source| ControllerError::Api { what: what(), source: Box::new(source) })
    }
}

impl<T> Doing<T> for Result<T, serde_json::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ControllerError> {
        self.map_err(|source| ControllerError::Json { what: what(), source })
    }
}
