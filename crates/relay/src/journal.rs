//! Closed windows on the gateway's disk, until the operator has them and for two hours at least.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use causeway_lake::Lake;
use causeway_model::{Clock, Micros, Partial, SourceRef};
use causeway_pipeline::{Gateway, PartialSink};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};

use crate::RelayError;

/// How long a closed window is kept, by the process's clock. A leader whose snapshot is older relearns from the lake.
pub const KEEP_US: i64 = 2 * 3_600_000_000;
/// Time between two tries to write.
const RETRY: Duration = Duration::from_secs(1);
/// Frames that are read at a time, bytes.
const READ: usize = 4 << 20;

/// A frame's content.
#[derive(Serialize, Deserialize)]
struct Kept {
    closed_us: Micros,
    partial: Partial,
}

/// The window in a frame.
pub(crate) fn decode(bytes: &[u8]) -> Result<Partial, rmp_serde::decode::Error> {
    rmp_serde::from_slice::<Kept>(bytes).map(|kept| kept.partial)
}

/// Where the pipeline puts closed windows.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<Kept>,
    clock: Arc<dyn Clock>,
    submitted: Arc<AtomicU64>,
    written: watch::Receiver<u64>,
}

impl Outbox {
    /// The function that the pipeline calls; it only queues.
    #[must_use]
    pub fn sink(&self) -> PartialSink {
        let outbox = self.clone();
        Arc::new(move |partial| {
            outbox.submitted.fetch_add(1, Ordering::SeqCst);
            let kept = Kept { closed_us: outbox.clock.now_us(), partial };
            // Nobody writes any more while the process shuts down; the window is built again from its records.
            drop(outbox.queue.send(kept));
        })
    }

    /// Resolves when all windows that were closed before the call are on disk, or nobody writes any more.
    pub async fn settled(&self) {
        let wanted = self.submitted.load(Ordering::SeqCst);
        let mut written = self.written.clone();
        // An error means that the journal has ended.
        drop(written.wait_for(|count| *count >= wanted).await);
    }
}

/// Writes closed windows into the write-ahead log, and forgets old ones.
pub struct Journal {
    lake: Lake,
    clock: Arc<dyn Clock>,
    queue: Option<mpsc::UnboundedReceiver<Kept>>,
    written: watch::Sender<u64>,
    /// Sequence and time of what is in the log.
    kept: Arc<Mutex<VecDeque<(u64, Micros)>>>,
    fresh: Arc<Notify>,
    /// End of the newest window of each source that was in the log at the start.
    closed: BTreeMap<SourceRef, Micros>,
}

impl Journal {
    /// Reads what an earlier process left in the log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn open(lake: &Lake, clock: Arc<dyn Clock>) -> Result<(Self, Outbox), RelayError> {
        let (mut kept, mut closed, mut cursor) = (VecDeque::new(), BTreeMap::new(), 0);
        loop {
            let frames = lake.opaque_since(cursor, READ).await?;
            let Some(last) = frames.last() else { break };
            cursor = last.sequence;
            for frame in frames {
                let Kept { closed_us, partial } = rmp_serde::from_slice(&frame.bytes)?;
                kept.push_back((frame.sequence, closed_us));
                let until = closed.entry(partial.source).or_insert(Micros::MIN);
                *until = (*until).max(partial.window.end_us);
            }
        }
        let (sender, queue) = mpsc::unbounded_channel();
        let (written, seen) = watch::channel(0);
        let outbox = Outbox {
            queue: sender,
            clock: Arc::clone(&clock),
            submitted: Arc::new(AtomicU64::new(0)),
            written: seen,
        };
        let journal = Self {
            lake: lake.clone(),
            clock,
            queue: Some(queue),
            written,
            kept: Arc::new(Mutex::new(kept)),
            fresh: Arc::new(Notify::new()),
            closed,
        };
        Ok((journal, outbox))
    }

    /// Told whenever a window was written.
    pub(crate) fn fresh(&self) -> Arc<Notify> {
        Arc::clone(&self.fresh)
    }

    /// The side that forgets.
    pub(crate) fn keeper(&self) -> Keeper {
        Keeper { lake: self.lake.clone(), clock: Arc::clone(&self.clock), kept: Arc::clone(&self.kept) }
    }

    /// Writes until the last [`Outbox`] is gone. A window that can't be written waits, and all behind it.
    pub async fn run(mut self) {
        let Some(mut queue) = self.queue.take() else { return };
        while let Some(window) = queue.recv().await {
            self.write(&window).await;
            self.written.send_modify(|count| *count += 1);
            self.fresh.notify_one();
        }
    }

    async fn write(&self, window: &Kept) {
        let bytes = match rmp_serde::to_vec(window) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                tracing::error!(%error, "a closed window can't be encoded and is left out");
                return;
            }
        };
        loop {
            match self.lake.append_opaque(bytes.clone()).await {
                Ok(sequence) => {
                    self.kept.lock().push_back((sequence, window.closed_us));
                    return;
                }
                Err(error) => tracing::error!(%error, "a closed window is not on disk yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Releases frames that are old enough.
#[derive(Clone)]
pub(crate) struct Keeper {
    lake: Lake,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<VecDeque<(u64, Micros)>>>,
}

impl Keeper {
    /// Sequence of the newest window that is kept.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.kept.lock().back().map(|(sequence, _)| *sequence)
    }

    pub(crate) fn release(&self) {
        let oldest_us = self.clock.now_us() - KEEP_US;
        let mut kept = self.kept.lock();
        let count = kept.partition_point(|(_, closed_us)| *closed_us < oldest_us);
        if let Some((sequence, _)) = kept.drain(..count).next_back() {
            self.lake.release_opaque(sequence);
        }
    }
}

/// Builds the windows again that were open when the gateway's process ended: from the records in its write-ahead log,
/// behind the last window of each source that was closed. Gives the number of records.
///
/// # Errors
/// When the log can't be read.
pub async fn rebuild(lake: &Lake, journal: &Journal, gateway: &Arc<Gateway>) -> Result<u64, RelayError> {
    for (source, until_us) in &journal.closed {
        gateway.resume_after(source, *until_us);
    }
    let records = Arc::new(AtomicU64::new(0));
    let (counter, gateway, closed) = (Arc::clone(&records), Arc::clone(gateway), journal.closed.clone());
    let visit =
        move |table, rows| match gateway.replay_rows(table, &rows, |source| closed.get(source).copied()) {
            Ok(count) => {
                counter.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "records of the write-ahead log are not in any window"),
        };
    lake.logged_rows(visit).await?;
    Ok(records.load(Ordering::Relaxed))
}
