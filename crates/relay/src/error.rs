//! Why an exchange failed.

use causeway_lake::LakeError;

/// An error of the relay; the text is meant for people.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// No leader was found.
    #[error("no leading operator answers at {endpoint}: {detail}")]
    Unreachable {
        /// Host and port that were tried.
        endpoint: String,
        /// What the last address said.
        detail: String,
    },
    /// The operator does not accept the token.
    #[error("the operator at {endpoint} refuses the token: both sides must read the same file")]
    Token {
        /// Host and port.
        endpoint: String,
    },
    /// The other side speaks another version, or no answer of it could be read.
    #[error("the operator's answer can't be read: {0}")]
    Answer(#[from] rmp_serde::decode::Error),
    /// A message can't be encoded.
    #[error("a message can't be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// The lake of this process failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl RelayError {
    /// Whether only a new start of the process helps: the write-ahead log has to be read again.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        matches!(self, Self::Lake(LakeError::Announced(_)))
    }
}
