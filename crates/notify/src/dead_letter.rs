//! Keeps messages that could not be delivered.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A message that could not be delivered. Holds neither secrets nor the receiver's address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// `namespace/name` of the NotificationTarget.
    pub target: String,
    /// Id of the incident, or `digest`.
    pub subject: String,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, in one sentence.
    pub error: String,
    /// The payload as it would have been sent.
    pub payload: Value,
}

/// Why a dead letter could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The folder could not be written.
    #[error("{path} could not be written: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The letter could not be written as JSON.
    #[error("letter could not be encoded")]
    Encode(#[from] serde_json::Error),
}

/// Where dead letters go.
pub trait DeadLetters: Debug + Send + Sync {
    /// Keeps a letter; returns once it is safe.
    ///
    /// # Errors
    /// When it could not be kept: the message is lost then.
    fn keep(&self, letter: &DeadLetter) -> Result<(), DeadLetterError>;
}

/// Dead letters as JSON files in a folder, named by time and content: the same letter is there once.
#[derive(Debug, Clone)]
pub struct DirectoryDeadLetters {
    directory: PathBuf,
}

impl DirectoryDeadLetters {
    /// Uses this folder; it is made when the first letter comes.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }
}

impl DeadLetters for DirectoryDeadLetters {
    fn keep(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        let bytes = serde_json::to_vec_pretty(letter)?;
        let digest = Sha256::digest(&bytes);
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = self.directory.join(format!("{}-{short}.json", letter.at.as_millisecond()));
        let partial = path.with_extension("partial");
        let write = || {
            fs::create_dir_all(&self.directory)?;
            let file = fs::File::create(&partial)?;
            io::Write::write_all(&mut &file, &bytes)?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| DeadLetterError::Write { path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            target: "shop/itsm".to_owned(),
            subject: "7f3a".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            error: "receiver answered 503".to_owned(),
            payload: json!({"a": 1}),
        }
    }

    #[test]
    fn letters_survive_as_files() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DirectoryDeadLetters::new(folder.path().join("dead"));
        letters.keep(&letter()).unwrap();
        letters.keep(&letter()).unwrap();
        let files: Vec<_> = fs::read_dir(folder.path().join("dead")).unwrap().collect();
        assert_eq!(files.len(), 1);
        let text = fs::read(files[0].as_ref().unwrap().path()).unwrap();
        assert_eq!(serde_json::from_slice::<DeadLetter>(&text).unwrap(), letter());
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DirectoryDeadLetters::new(&file).keep(&letter()).unwrap_err();
        assert!(error.to_string().contains("file/0-"), "{error}");
    }
}
