//! The thread that writes the log.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use arrow_array::RecordBatch;
use causeway_model::SinkError;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::frame::{Draft, Kind};
use super::recover::{Newest, Segment, segment_path, slot};
use super::segment::{HEADER, Header};
use super::window::{Window, replace_file, sync_parent};
use super::{Appended, Close, OnDurable, WalGauges, WalOptions};

/// A group is written at once when it has this many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// A trim leaves an open segment below this size in place.
const CLOSE_BYTES: u64 = 1 << 20;

type AppendReply = oneshot::Sender<Result<Appended, SinkError>>;

/// An append under way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) draft: Draft,
    pub(crate) rows: Option<RecordBatch>,
    pub(crate) reply: AppendReply,
}

/// What the thread is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Append(Request),
    Trim { newest: Newest, close: Close, reply: oneshot::Sender<Result<(), SinkError>> },
}

pub(crate) struct WriterParts {
    pub(crate) folder: PathBuf,
    pub(crate) id: Uuid,
    pub(crate) closed: Vec<Segment>,
    pub(crate) next_sequence: u64,
    pub(crate) next_index: u64,
    pub(crate) window: Arc<Mutex<Window>>,
    pub(crate) gauges: Arc<WalGauges>,
    pub(crate) options: WalOptions,
    pub(crate) on_durable: OnDurable,
}

struct Open {
    file: File,
    segment: Segment,
}

/// Owns the segment that is being written.
pub(crate) struct Writer {
    parts: WriterParts,
    open: Option<Open>,
    /// Set by a test's stop: nothing is written any more, as after a crash.
    dead: bool,
}

impl Writer {
    pub(crate) fn new(parts: WriterParts) -> Self {
        let writer = Self { parts, open: None, dead: false };
        writer.publish();
        writer
    }

    /// Runs until all senders are gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut next = commands.recv().ok();
        while let Some(command) = next.take() {
            match command {
                Command::Append(first) => {
                    let (group, other) = self.collect(first, commands);
                    self.write_group(group);
                    next = other;
                }
                Command::Trim { newest, close, reply } => {
                    let result = self.trim(&newest, close);
                    // A caller that went away needs no answer.
                    reply.send(result).unwrap_or_default();
                }
            }
            if next.is_none() {
                next = commands.recv().ok();
            }
        }
    }

    /// Waits for more appends until the delay is over or the group is large.
    fn collect(&self, first: Request, commands: &Receiver<Command>) -> (Vec<Request>, Option<Command>) {
        let deadline = Instant::now() + self.parts.options.delay;
        let mut bytes = first.draft.len();
        let mut group = vec![first];
        while bytes < GROUP_BYTES {
            match commands.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Command::Append(request)) => {
                    bytes += request.draft.len();
                    group.push(request);
                }
                Ok(other) => return (group, Some(other)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        (group, None)
    }

    fn write_group(&mut self, requests: Vec<Request>) {
        let (fresh, repeats) = self.split_repeats(requests);
        let result = if fresh.is_empty() { Ok(()) } else { self.write(&fresh) };
        let Err(error) = result else {
            for reply in repeats {
                reply.send(Ok(Appended::Duplicate)).unwrap_or_default();
            }
            self.acknowledge(fresh);
            return;
        };
        tracing::error!(%error, frames = fresh.len(), "write-ahead log could not be written; nothing was acknowledged");
        for reply in fresh.into_iter().map(|r| r.reply).chain(repeats) {
            reply.send(Err(SinkError::Unavailable(error.clone()))).unwrap_or_default();
        }
    }

    /// Answers requests whose hash is durable already, and sets those apart that repeat one of this group.
    fn split_repeats(&self, requests: Vec<Request>) -> (Vec<Request>, Vec<AppendReply>) {
        let window = self.parts.window.lock();
        let (mut fresh, mut repeats, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for request in requests {
            match request.draft.hash {
                Some(hash) if window.contains(hash) => {
                    request.reply.send(Ok(Appended::Duplicate)).unwrap_or_default();
                }
                Some(hash) if !seen.insert(hash) => repeats.push(request.reply),
                _ => fresh.push(request),
            }
        }
        (fresh, repeats)
    }

    /// Writes and syncs the group. On an error the file is cut back, and the next group starts a new segment under
    /// the same numbers.
    fn write(&mut self, group: &[Request]) -> Result<(), String> {
        if self.dead {
            return Err("stopped".to_owned());
        }
        let first = self.parts.next_sequence;
        let mut bytes = Vec::with_capacity(group.iter().map(|r| r.draft.len()).sum());
        for (sequence, request) in (first..).zip(group) {
            request.draft.write(sequence, first, &mut bytes);
        }
        if self.open.as_ref().is_some_and(|open| open.segment.bytes >= self.parts.options.segment_bytes) {
            self.close();
        }
        if self.open.is_none() {
            self.open = Some(self.create()?);
        }
        let Some(open) = self.open.as_mut() else { return Err("no open segment".to_owned()) };
        let faults = &self.parts.options.faults;
        let mut step = || -> std::io::Result<()> {
            open.file.write_all(&bytes)?;
            faults.reach().map_err(std::io::Error::other)?;
            open.file.sync_data()?;
            faults.reach().map_err(std::io::Error::other)
        };
        if let Err(error) = step() {
            if error.get_ref().is_some_and(|e| e.is::<crate::fault::Stopped>()) {
                self.dead = true;
                return Err(error.to_string());
            }
            let text = format!("{}: {error}", open.segment.path.display());
            if let Err(cut) = open.file.set_len(open.segment.bytes) {
                tracing::warn!(file = %open.segment.path.display(), %cut, "the failed write could not be cut off; the next segment voids it");
            }
            self.close();
            return Err(text);
        }
        open.segment.bytes += bytes.len() as u64;
        self.parts.gauges.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// After the sync, in this order: window, hot rows, answer.
    fn acknowledge(&mut self, group: Vec<Request>) {
        if group.is_empty() {
            return;
        }
        let first = self.parts.next_sequence;
        self.parts.next_sequence += group.len() as u64;
        {
            let mut window = self.parts.window.lock();
            group.iter().filter_map(|r| r.draft.hash).for_each(|hash| window.insert(hash));
        }
        for (sequence, request) in (first..).zip(group) {
            if let Some(open) = self.open.as_mut() {
                open.segment.newest[slot(request.draft.kind)] = sequence;
            }
            if let (Kind::Rows(table), Some(rows)) = (request.draft.kind, request.rows) {
                (self.parts.on_durable)(sequence, table, rows);
            }
            self.parts.gauges.durable.store(sequence, Ordering::SeqCst);
            request.reply.send(Ok(Appended::Durable(sequence))).unwrap_or_default();
        }
        self.publish();
    }

    fn create(&mut self) -> Result<Open, String> {
        let path = segment_path(&self.parts.folder, self.parts.next_index);
        self.parts.next_index += 1;
        let header = Header { wal: self.parts.id, first: self.parts.next_sequence }.to_bytes();
        let attempt = || -> std::io::Result<File> {
            let mut file = File::create_new(&path)?;
            file.write_all(&header)?;
            file.sync_all()?;
            sync_parent(&path)?;
            Ok(file)
        };
        match attempt() {
            Ok(file) => {
                let segment = Segment { path, bytes: HEADER as u64, newest: Newest::default() };
                Ok(Open { file, segment })
            }
            Err(error) => {
                let text = format!("{}: {error}", path.display());
                if std::fs::remove_file(&path).is_err() {
                    tracing::debug!(file = %path.display(), "a segment that could not be created is left behind");
                }
                Err(text)
            }
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.parts.closed.push(open.segment);
        }
    }

    fn trim(&mut self, newest: &Newest, close: Close) -> Result<(), SinkError> {
        if self.dead {
            return Err(SinkError::Unavailable("stopped".to_owned()));
        }
        let done = |s: &Segment| s.newest.iter().zip(newest).all(|(last, committed)| last <= committed);
        if self.open.as_ref().is_some_and(|open| {
            let size = open.segment.bytes;
            done(&open.segment) && (size >= CLOSE_BYTES || (close == Close::Any && size > HEADER as u64))
        }) {
            self.close();
        }
        if !self.parts.closed.iter().any(done) {
            return Ok(());
        }
        let result = self.remove(done);
        self.publish();
        result.map_err(|error| {
            self.dead |= error.get_ref().is_some_and(|e| e.is::<crate::fault::Stopped>());
            SinkError::Unavailable(error.to_string())
        })
    }

    /// Keeps the hashes first, then removes oldest first, so that a stop in between loses neither.
    fn remove(&mut self, done: impl Fn(&Segment) -> bool) -> std::io::Result<()> {
        let faults = self.parts.options.faults.clone();
        let stop = || faults.reach().map_err(std::io::Error::other);
        let window = self.parts.window.lock().to_bytes(self.parts.next_sequence);
        replace_file(&self.parts.folder.join("window"), &window)?;
        stop()?;
        // Only from the front: a gap in the numbers would look like damage.
        while self.parts.closed.first().is_some_and(&done) {
            let segment = self.parts.closed.remove(0);
            if let Err(error) = std::fs::remove_file(&segment.path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                self.parts.closed.insert(0, segment);
                return Err(error);
            }
            sync_parent(&segment.path)?;
            stop()?;
        }
        Ok(())
    }

    fn publish(&self) {
        let open = self.open.iter().map(|o| &o.segment);
        let (mut bytes, mut count) = (0, 0);
        for segment in self.parts.closed.iter().chain(open) {
            bytes += segment.bytes;
            count += 1;
        }
        self.parts.gauges.bytes.store(bytes, Ordering::Relaxed);
        self.parts.gauges.segments.store(count, Ordering::Relaxed);
    }
}
