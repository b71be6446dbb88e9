//! What a failed reconcile is counted and shown as.

use prometheus_client::encoding::EncodeLabelValue;

/// Class of a failure. Its name is the metric label, the event's reason and the reason of `Ready=False`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelValue)]
pub enum Category {
    /// The object itself is wrong; retrying is useless until somebody edits it.
    InvalidSpec,
    /// The object doesn't even parse as its kind.
    InvalidObject,
    /// Something that the object refers to is not there (yet).
    DependencyNotReady,
    /// The API server or a remote system refused us the right.
    Forbidden,
    /// Somebody else changed the object first.
    Conflict,
    /// The API server or a remote system did not answer, or answered that it can't now.
    Unavailable,
    /// A defect of ours.
    Internal,
}

impl Category {
    /// The name as it is shown, in CamelCase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::InvalidObject => "InvalidObject",
            Self::DependencyNotReady => "DependencyNotReady",
            Self::Forbidden => "Forbidden",
            Self::Conflict => "Conflict",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal",
        }
    }

    /// True when only an edit of the object can help: it is not retried, and becomes `Stalled`.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::InvalidSpec | Self::InvalidObject)
    }

    /// The category of an error of the Kubernetes client.
    #[must_use]
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => Self::Conflict,
            kube::Error::Api(status) if status.is_not_found() => Self::DependencyNotReady,
            kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => Self::Forbidden,
            kube::Error::Api(status) if status.is_invalid() || status.code == 400 => Self::Internal,
            kube::Error::SerdeError(_) => Self::Internal,
            _ => Self::Unavailable,
        }
    }
}

/// An error of one reconciler: one enum a kind, each variant naming the step that failed.
pub trait ReconcileError: std::error::Error + Send + Sync + 'static {
    /// The class that decides how it is counted and whether it is retried.
    fn category(&self) -> Category;

    /// Reason in conditions and events, in CamelCase; the name of the category unless something says more.
    fn reason(&self) -> &'static str {
        self.category().as_str()
    }
}

/// The error with its causes, `outer: inner: innermost`, without repeating a cause that the outer text contains.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("target can't be read")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_joined_once() {
        let error = Outer(std::io::Error::other("disk gone"));
        assert_eq!(error_chain(&error), "target can't be read: disk gone");
    }
}
