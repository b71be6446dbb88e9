//! Why a message did not arrive.

use crate::dead_letter::DeadLetterError;

/// Why a message did not arrive. No variant holds a URL, a token or a remote text.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The configuration can't work, for example a Secret that does not hold a URL.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// The HTTP client could not be made.
    #[error("HTTP client could not be made")]
    Client,
    /// No connection, or no answer in time.
    #[error("no answer: {0}")]
    Transport(&'static str),
    /// The receiver answered with a status that is no success.
    #[error("receiver answered {status}")]
    Status {
        /// HTTP status code.
        status: u16,
    },
    /// Slack answered with an error of its API, for example `channel_not_found`.
    #[error("slack refused: {code}")]
    Slack {
        /// Slack's error code: lower-case letters and underscores.
        code: String,
    },
    /// The answer was not what the protocol says.
    #[error("answer could not be read")]
    Answer,
    /// The payload could not be written as JSON.
    #[error("message could not be encoded")]
    Encode,
    /// All tries failed.
    #[error("gave up after {attempts} tries: {last}")]
    Exhausted {
        /// Number of tries.
        attempts: u32,
        /// Failure of the last one.
        last: Box<NotifyError>,
    },
    /// The message did not arrive and could not be kept either.
    #[error("message is lost: {undelivered}; dead letter: {dead_letter}")]
    Lost {
        /// Why it did not arrive.
        undelivered: Box<NotifyError>,
        /// Why it could not be kept.
        dead_letter: DeadLetterError,
    },
}

impl NotifyError {
    /// True when the receiver was out of reach for all tries, so that the message can arrive later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Exhausted { .. } => true,
            Self::Lost { undelivered, .. } => undelivered.is_outage(),
            other => other.is_transient(),
        }
    }

    /// True when trying again at once can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Answer => true,
            Self::Status { status } => *status == 429 || *status == 408 || *status >= 500,
            Self::Slack { code } => matches!(
                code.as_str(),
                "ratelimited" | "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout"
            ),
            _ => false,
        }
    }
}
