//! One entry of the audit log, and the hash that chains it to the one before.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use causeway_model::Table;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A row of the table `audit`, as `causeway query --output json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) namespace: String,
    pub(crate) sequence: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) detail: String,
    pub(crate) previous_hash: String,
    pub(crate) hash: String,
}

/// What an entry says.
pub(crate) struct Said<'a> {
    pub(crate) time: Timestamp,
    pub(crate) namespace: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) detail: String,
}

/// Where the chain stands: number and hash of its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: i64,
    pub(crate) hash: String,
}

impl Default for Head {
    /// Before the first entry.
    fn default() -> Self {
        Self { sequence: 0, hash: "0".repeat(64) }
    }
}

impl Head {
    /// The entry that comes next, and says this.
    pub(crate) fn next(&self, said: Said<'_>) -> Entry {
        let mut entry = Entry {
            time: said.time,
            namespace: said.namespace.to_owned(),
            sequence: self.sequence + 1,
            actor: said.actor.to_owned(),
            action: said.action.to_owned(),
            subject: said.subject.to_owned(),
            detail: said.detail,
            previous_hash: self.hash.clone(),
            hash: String::new(),
        };
        entry.hash = entry.computed_hash();
        entry
    }
}

impl Entry {
    /// SHA-256 over the hash before and all fields, each with its length, so that nothing can move between fields. Hex.
    pub(crate) fn computed_hash(&self) -> String {
        let (sequence, time) = (self.sequence.to_string(), self.time.as_nanosecond().to_string());
        let parts = [
            &self.previous_hash,
            &sequence,
            &time,
            &self.namespace,
            &self.actor,
            &self.action,
            &self.subject,
            &self.detail,
        ];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }

    pub(crate) fn head(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash.clone() }
    }

    /// The row of the table.
    pub(crate) fn row(&self) -> Result<RecordBatch, ArrowError> {
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values([value])) };
        let time = TimestampMicrosecondArray::from_iter_values([self.time.as_microsecond()]);
        RecordBatch::try_new(
            Table::Audit.schema(),
            vec![
                Arc::new(time.with_timezone("UTC")),
                text(&self.namespace),
                Arc::new(Int64Array::from_iter_values([self.sequence])),
                text(&self.actor),
                text(&self.action),
                text(&self.subject),
                text(&self.detail),
                text(&self.previous_hash),
                text(&self.hash),
            ],
        )
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that lower-case hexadecimal stands for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
