//! The write-ahead log: what it holds survives a crash.
//!
//! ```text
//!   callers ── Draft (compressed, CRC) ──► writer thread ── one write, one fdatasync a group ──► segment files
//!                                              └ after the sync, in order: hot batch, window of hashes, answer
//! ```
//!
//! Sequences are consecutive. A failed write leaves its numbers to the next segment, whose header says from which
//! number on earlier segments are void; so a gap always means that something is lost.

mod frame;
mod recover;
mod segment;
mod window;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use causeway_model::{SinkError, Table};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

pub(crate) use frame::{Draft, Frame, Kind, table_index};
pub use recover::{DamagedRange, RecoveryReport};
pub(crate) use recover::{OPAQUE, Recovered, identity, recover};
use window::Window;

use crate::fault::Faults;

/// What to do about damage in front of acknowledged data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Refuse to open.
    #[default]
    Strict,
    /// Open with everything that is readable, and report the rest in [`RecoveryReport`].
    Salvage,
}

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// A file could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Acknowledged data can't be read.
    #[error("{} is damaged at byte {offset}: {detail}; open with Recovery::Salvage to go on without it", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// First bad byte.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// The segment belongs to another log.
    #[error("{} belongs to another write-ahead log", file.display())]
    Foreign {
        /// The segment.
        file: PathBuf,
    },
    /// The rows of a sound frame do not fit their table.
    #[error("frame {sequence} does not hold rows of table {}: {detail}", table.name())]
    Rows {
        /// The frame.
        sequence: u64,
        /// The table it names.
        table: Table,
        /// What is wrong.
        detail: String,
    },
    /// The writer thread could not be started, or ended.
    #[error("writer thread: {0}")]
    Thread(String),
}

/// A frame of [`crate::Lake::append_opaque`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaqueFrame {
    /// Its sequence; rises, not always by one.
    pub sequence: u64,
    /// What was appended.
    pub bytes: Bytes,
}

/// How the log is written.
#[derive(Clone, Debug)]
pub(crate) struct WalOptions {
    pub(crate) delay: Duration,
    pub(crate) segment_bytes: u64,
    pub(crate) faults: Faults,
}

/// Numbers that others may read at any time.
#[derive(Debug, Default)]
pub(crate) struct WalGauges {
    pub(crate) bytes: AtomicU64,
    pub(crate) segments: AtomicU64,
    /// Newest sequence that was synced.
    pub(crate) durable: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

/// Answer to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Synced under this number.
    Durable(u64),
    /// The hash was known.
    Duplicate,
}

/// Told of each frame of rows after its sync, in sequence, on the writer thread.
pub(crate) type OnDurable = Box<dyn Fn(u64, Table, RecordBatch) + Send>;

/// The open log.
#[derive(Debug)]
pub(crate) struct Wal {
    folder: PathBuf,
    sender: Option<Sender<writer::Command>>,
    thread: Option<JoinHandle<()>>,
    window: Arc<Mutex<Window>>,
    pub(crate) gauges: Arc<WalGauges>,
}

impl Wal {
    /// Starts the writer thread behind what was recovered. `floor` is the least next sequence.
    pub(crate) fn start(
        folder: &Path,
        id: Uuid,
        recovered: Recovered,
        floor: u64,
        options: WalOptions,
        on_durable: OnDurable,
    ) -> Result<Self, WalError> {
        let window = Arc::new(Mutex::new(recovered.window));
        let gauges = Arc::new(WalGauges::default());
        let next_sequence = recovered.next_sequence.max(floor);
        gauges.durable.store(next_sequence - 1, Ordering::SeqCst);
        let writer = writer::Writer::new(writer::WriterParts {
            folder: folder.to_owned(),
            id,
            closed: recovered.segments,
            next_sequence,
            next_index: recovered.next_index,
            window: window.clone(),
            gauges: gauges.clone(),
            options,
            on_durable,
        });
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("causeway-wal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| WalError::Thread(e.to_string()))?;
        Ok(Self { folder: folder.to_owned(), sender: Some(sender), thread: Some(thread), window, gauges })
    }

    /// Whether a request with this hash is already durable.
    pub(crate) fn knows(&self, hash: u64) -> bool {
        self.window.lock().contains(hash)
    }

    /// Appends a frame; resolves after its sync.
    pub(crate) async fn append(
        &self,
        draft: Draft,
        rows: Option<RecordBatch>,
    ) -> Result<Appended, SinkError> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::Command::Append(writer::Request { draft, rows, reply }))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Removes segments whose frames are all committed. `newest` is the last committed sequence of each table, and
    /// the last opaque frame that was released. With `close`, the open segment may go as well whatever its size.
    pub(crate) async fn trim(&self, newest: recover::Newest, close: Close) -> Result<(), SinkError> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::Command::Trim { newest, close, reply })?;
        answer.await.map_err(|_| stopped())?
    }

    fn send(&self, command: writer::Command) -> Result<(), SinkError> {
        let sender = self.sender.as_ref().ok_or_else(stopped)?;
        sender.send(command).map_err(|_| stopped())
    }

    /// Frames behind `after` up to `durable`, oldest first, until `visit` breaks off. Reads the segments from disk, so call
    /// it off the runtime.
    pub(crate) fn read_since(
        folder: &Path,
        after: u64,
        durable: u64,
        visit: &mut dyn FnMut(&Frame) -> Result<ControlFlow<()>, WalError>,
    ) -> Result<(), WalError> {
        let mut segments = Vec::new();
        for (_, path) in recover::list(folder)? {
            // A segment that was trimmed since the listing holds nothing that is still wanted.
            if let Ok(Some(header)) = recover::read_header(&path) {
                segments.push((path, header.first));
            }
        }
        for (index, (path, first)) in segments.iter().enumerate() {
            // Frames from there on are void in this segment.
            let next = segments.get(index + 1).map_or(u64::MAX, |(_, first)| *first);
            if next <= after + 1 {
                continue;
            }
            let Ok(bytes) = std::fs::read(path) else { continue };
            let scan = segment::scan(&bytes.into(), segment::HEADER, *first);
            let wanted = |f: &&Frame| f.sequence < next && (after + 1..=durable).contains(&f.sequence);
            for frame in scan.frames.iter().filter(wanted) {
                if visit(frame)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Opaque frames behind `after`, oldest first: one, and more while they have `max_bytes` together.
    pub(crate) fn opaque_since(
        folder: &Path,
        after: u64,
        durable: u64,
        max_bytes: usize,
    ) -> Result<Vec<OpaqueFrame>, WalError> {
        let (mut found, mut size) = (Vec::new(), 0);
        Self::read_since(folder, after, durable, &mut |frame| {
            if frame.kind != Kind::Opaque {
                return Ok(ControlFlow::Continue(()));
            }
            size += frame.payload.len();
            if size > max_bytes && !found.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            // A copy, so that a small frame does not keep its whole segment in memory.
            let bytes = Bytes::copy_from_slice(&frame.payload);
            found.push(OpaqueFrame { sequence: frame.sequence, bytes });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the write-ahead log had panicked");
        }
    }
}

/// Whether a trim may close the segment that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// Only when it is large.
    Large,
    /// Whenever it holds frames.
    Any,
}

fn stopped() -> SinkError {
    SinkError::Unavailable("the write-ahead log is closed".to_owned())
}
