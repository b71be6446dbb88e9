//! What goes over the connection, as MessagePack.

use bytes::Bytes;
use causeway_lake::Announcement;
use causeway_model::{Micros, SourceRef, Table};
use serde::{Deserialize, Serialize};

/// Path of the one request.
pub(crate) const PATH: &str = "/v1/exchange";
/// Most that an exchange may have, bytes.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// What a gateway says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Id of its write-ahead log, by which it is known.
    pub gateway: String,
    /// Sequence behind which the frames begin; `None` asks for the cursor and brings no frames.
    pub after: Option<u64>,
    /// Closed windows: all frames that the gateway has behind `after`, up to some size.
    pub frames: Vec<Frame>,
    /// Sealed files, oldest first.
    pub announcements: Vec<Announcement>,
    /// What every source of the gateway did.
    pub observations: Vec<(SourceRef, Observation)>,
}

/// A closed window as it stands in the gateway's write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Sequence; rises, not always by one.
    pub sequence: u64,
    /// See [`crate::Journal`].
    pub bytes: Bytes,
}

/// What a gateway saw of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// `now` when the last record came.
    pub last_record_us: Option<Micros>,
    /// Whether records could not be read lately.
    pub rejected: bool,
    /// Whether a limit made it refuse records lately.
    pub limited: bool,
    /// Services seen in its records of the last hour.
    pub services: u32,
}

impl Observation {
    /// What two gateways saw together. Services are not told apart here: the larger number counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.last_record_us = self.last_record_us.max(other.last_record_us);
        self.rejected |= other.rejected;
        self.limited |= other.limited;
        self.services = self.services.max(other.services);
    }
}

/// What the operator answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Sequence of the newest frame of the gateway that the engine has.
    pub cursor: u64,
    /// Up to which sequence tables have the gateway's rows, of tables that something was announced for.
    pub committed: Vec<(Table, u64)>,
}
