//! One record of the write-ahead log.

use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::ArrowError;
use bytes::Bytes;
use causeway_model::Table;

/// First bytes of every frame; recovery searches for them behind damage.
pub(crate) const MAGIC: [u8; 4] = *b"CwF1";
/// Bytes before the payload.
pub(crate) const HEADER: usize = 48;
/// Largest payload; a longer length in a header is damage.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes that the log does not look into.
    Opaque,
    /// Rows of a table as an Arrow IPC stream.
    Rows(Table),
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Opaque => 0,
            Self::Rows(table) => 1 + table_index(table) as u8,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Opaque),
            n => Table::ALL.get(usize::from(n) - 1).copied().map(Self::Rows),
        }
    }
}

/// Position of a table in [`Table::ALL`].
pub(crate) fn table_index(table: Table) -> usize {
    Table::ALL.iter().position(|t| *t == table).unwrap_or(0)
}

/// Payload with what the header says of it, before it has a place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) hash: Option<u64>,
    pub(crate) rows: u32,
    pub(crate) payload: Bytes,
    crc: u32,
}

impl Draft {
    /// A frame of rows. The payload is compressed here, on the caller's thread.
    pub(crate) fn rows(table: Table, batch: &RecordBatch, hash: Option<u64>) -> Result<Self, ArrowError> {
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::ZSTD))?
            .try_with_compression_level(Some(1))?;
        let mut payload = Vec::with_capacity(4096);
        let mut writer = StreamWriter::try_new_with_options(&mut payload, &batch.schema(), options)?;
        writer.write(batch)?;
        writer.finish()?;
        drop(writer);
        Self::new(Kind::Rows(table), hash, batch.num_rows(), payload.into())
    }

    /// A frame of bytes that the log does not look into.
    pub(crate) fn opaque(payload: Bytes) -> Result<Self, ArrowError> {
        Self::new(Kind::Opaque, None, 0, payload)
    }

    fn new(kind: Kind, hash: Option<u64>, rows: usize, payload: Bytes) -> Result<Self, ArrowError> {
        let rows = u32::try_from(rows)
            .map_err(|_| ArrowError::InvalidArgumentError("a batch of over 4 billion rows".to_owned()))?;
        if payload.len() > MAX_PAYLOAD {
            return Err(ArrowError::InvalidArgumentError(format!(
                "a frame of {} bytes; the log takes {MAX_PAYLOAD}",
                payload.len()
            )));
        }
        let crc = crc32fast::hash(&payload);
        Ok(Self { kind, hash, rows, payload, crc })
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// Appends header and payload to `out`. `group` is the sequence of the first frame of the same sync.
    pub(crate) fn write(&self, sequence: u64, group: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&[self.kind.to_byte(), u8::from(self.hash.is_some()), 0, 0]);
        out.extend_from_slice(&self.hash.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&self.payload);
    }
}

/// A frame read back.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) hash: Option<u64>,
    pub(crate) sequence: u64,
    pub(crate) group: u64,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// The frame at `at`, or `None` where there is no whole and sound one.
    pub(crate) fn read(bytes: &Bytes, at: usize) -> Option<Self> {
        let header = bytes.get(at..at.checked_add(HEADER)?)?;
        if header[..4] != MAGIC || crc32fast::hash(&header[..HEADER - 4]) != u32_at(header, HEADER - 4) {
            return None;
        }
        let length = u32_at(header, 4) as usize;
        let start = at + HEADER;
        let end = start.checked_add(length)?;
        if length > MAX_PAYLOAD || end > bytes.len() {
            return None;
        }
        let payload = bytes.slice(start..end);
        (crc32fast::hash(&payload) == u32_at(header, 8)).then_some(())?;
        Some(Self {
            kind: Kind::from_byte(header[12])?,
            hash: (header[13] == 1).then(|| u64_at(header, 16)),
            sequence: u64_at(header, 24),
            group: u64_at(header, 32),
            payload,
        })
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// The rows of a frame of [`Kind::Rows`].
    pub(crate) fn decode(&self) -> Result<RecordBatch, ArrowError> {
        let mut reader = StreamReader::try_new(Cursor::new(&self.payload), None)?;
        match reader.next() {
            Some(batch) => batch,
            None => Ok(RecordBatch::new_empty(reader.schema())),
        }
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use causeway_model::{LogBuilder, LogRow};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_survive_the_round_trip() {
        let mut logs = LogBuilder::default();
        for i in 0..100 {
            let attributes = [("k", "v"), ("n", "1")];
            let row = LogRow { time_us: i, body: "héllo", attributes: &attributes, ..LogRow::default() };
            logs.append(&row).unwrap();
        }
        let batch = logs.finish().unwrap();
        let draft = Draft::rows(Table::Logs, batch.record_batch(), Some(7)).unwrap();
        let mut out = vec![1, 2, 3];
        draft.write(42, 40, &mut out);
        let frame = Frame::read(&out.into(), 3).unwrap();
        assert_eq!(
            (frame.kind, frame.hash, frame.sequence, frame.group),
            (Kind::Rows(Table::Logs), Some(7), 42, 40)
        );
        assert_eq!(&frame.decode().unwrap(), batch.record_batch());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(payload in prop::collection::vec(any::<u8>(), 0..64), bit in any::<prop::sample::Index>()) {
            let mut out = Vec::new();
            Draft::opaque(payload.into()).unwrap().write(1, 1, &mut out);
            let bit = bit.index(out.len() * 8);
            out[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Frame::read(&out.into(), 0).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..220) {
            prop_assert!(Frame::read(&bytes.into(), at).is_none());
        }
    }
}
