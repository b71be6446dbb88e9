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

/// The error with its causes, `outer: inner: innermost`, without repeating a cause that the outer text contains, and
/// without what could deceive a reader or a terminal. Of an answer of the API server only its message.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = told(error);
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = told(cause);
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = if answer(cause).is_some() { None } else { cause.source() };
    }
    text.chars().map(|c| if is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn told(error: &(dyn std::error::Error + 'static)) -> String {
    answer(error).map_or_else(|| error.to_string(), |status| status.message.clone())
}

/// The answer of the API server that an error is.
fn answer<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a kube::core::Status> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    match boxed.or_else(|| error.downcast_ref())? {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Whether a character could deceive a reader or a terminal: a control character but the line feed, one without width, or
/// a mark that changes the direction of writing.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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

    #[derive(Debug, thiserror::Error)]
    #[error("reading Secret shop/token")]
    struct Refused(#[source] Box<kube::Error>);

    #[test]
    fn the_api_server_is_quoted_once_and_harmlessly() {
        let status = kube::core::Status::failure("secrets \"\u{202e}token\" is forbidden", "Forbidden");
        let error = Refused(Box::new(kube::Error::Api(Box::new(status))));
        assert_eq!(error_chain(&error), "reading Secret shop/token: secrets \"\u{fffd}token\" is forbidden");
    }
}
