//! What a query sees of one table, and what a seal changes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use causeway_model::{Micros, Table};
use parking_lot::RwLock;

use crate::delta::{DataFile, DeltaLog};
use crate::hot::{Chunk, Hot};

#[derive(Debug)]
struct View {
    hot: Hot,
    files: Arc<Vec<DataFile>>,
    committed: u64,
    /// Up to which sequence rows are in files, committed or announced.
    sealed: u64,
    version: u64,
    last_commit_us: Option<Micros>,
}

/// One moment of a table: a row is in exactly one of the two.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) hot: Vec<RecordBatch>,
    pub(crate) hot_bytes: u64,
    pub(crate) files: Arc<Vec<DataFile>>,
}

/// A table: hot rows and files change together, under one lock.
pub(crate) struct TableState {
    pub(crate) table: Table,
    view: RwLock<View>,
    /// The committer's side; held for a whole seal, retention or compaction.
    pub(crate) log: tokio::sync::Mutex<DeltaLog>,
}

impl TableState {
    pub(crate) fn new(table: Table, log: DeltaLog, hot: Hot) -> Self {
        let view = View {
            hot,
            files: Arc::new(log.files().to_vec()),
            committed: log.committed(),
            sealed: log.committed(),
            version: log.version(),
            last_commit_us: None,
        };
        Self { table, view: RwLock::new(view), log: tokio::sync::Mutex::new(log) }
    }

    /// Adds durable rows; called in the order of sequences. Returns the growth of memory in bytes.
    pub(crate) fn push(&self, sequence: u64, rows: RecordBatch) {
        self.view.write().hot.push(sequence, rows);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let view = self.view.read();
        Snapshot { hot: view.hot.batches(), hot_bytes: view.hot.bytes() as u64, files: view.files.clone() }
    }

    pub(crate) fn chunk(&self, max_bytes: usize) -> Option<Chunk> {
        self.view.write().hot.chunk(max_bytes)
    }

    /// Shows what the log holds now: files, and no longer hot what is in them.
    pub(crate) fn publish(&self, log: &DeltaLog, now_us: Micros) {
        let files = Arc::new(log.files().to_vec());
        let mut view = self.view.write();
        view.hot.remove_through(log.committed());
        view.files = files;
        view.committed = view.committed.max(log.committed());
        view.sealed = view.sealed.max(view.committed);
        view.version = log.version();
        view.last_commit_us = Some(now_us);
    }

    /// Forgets hot rows that are in announced files.
    pub(crate) fn hand_over(&self, upto: u64) {
        let mut view = self.view.write();
        view.hot.remove_through(upto);
        view.sealed = upto;
    }

    /// Takes in what another process has committed.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        let mut view = self.view.write();
        view.committed = view.committed.max(sequence);
    }

    /// Up to which sequence rows are in files.
    pub(crate) fn sealed(&self) -> u64 {
        self.view.read().sealed
    }

    /// Reads hot rows' figures: bytes, rows, age.
    pub(crate) fn with_hot<T>(&self, read: impl FnOnce(&Hot) -> T) -> T {
        read(&self.view.read().hot)
    }

    /// Up to which sequence nothing of the table is needed from the write-ahead log any more: what is committed,
    /// and everything durable where no row is hot.
    pub(crate) fn settled(&self) -> u64 {
        self.view.read().committed
    }

    pub(crate) fn stats(&self) -> TableStats {
        let view = self.view.read();
        TableStats {
            table: self.table,
            hot_rows: view.hot.rows() as u64,
            hot_bytes: view.hot.bytes() as u64,
            files: view.files.len() as u64,
            file_rows: view.files.iter().map(|f| f.rows).sum(),
            file_bytes: view.files.iter().map(|f| f.bytes).sum(),
            version: view.version,
            last_commit_us: view.last_commit_us,
        }
    }
}

/// Figures of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The table.
    pub table: Table,
    /// Rows not committed yet.
    pub hot_rows: u64,
    /// Their memory.
    pub hot_bytes: u64,
    /// Parquet files.
    pub files: u64,
    /// Rows in them.
    pub file_rows: u64,
    /// Their size.
    pub file_bytes: u64,
    /// Delta version.
    pub version: u64,
    /// When this process last committed, by the lake's clock.
    pub last_commit_us: Option<Micros>,
}
