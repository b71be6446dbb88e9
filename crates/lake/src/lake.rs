//! The lake: appends, hot rows, and who owns what.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use causeway_model::{Accepted, BoxFuture, Delivery, Sink, SinkError, Table};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::announce::Handover;
use crate::fault::Stopped;
use crate::hot::Hot;
use crate::lock::FolderLock;
use crate::options::LakeOptions;
use crate::query::Engine;
use crate::store::Store;
use crate::table_state::{TableState, TableStats};
use crate::wal::{Appended, Close, Draft, Kind, OPAQUE, RecoveryReport, Wal, WalError, WalOptions};
use crate::wal::{identity, recover, table_index};
use crate::{LakeError, delta::DeltaLog};

/// Figures of a lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeStats {
    /// One entry a table, in the order of [`Table::ALL`].
    pub tables: Vec<TableStats>,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Its segments.
    pub wal_segments: u64,
    /// Syncs since the lake was opened; appends share them.
    pub wal_syncs: u64,
    /// Newest durable frame.
    pub durable_sequence: u64,
    /// Rows accepted since the lake was opened.
    pub rows_accepted: u64,
    /// Requests dropped because their hash was known.
    pub duplicates: u64,
}

pub(crate) struct Inner {
    pub(crate) options: LakeOptions,
    pub(crate) store: Store,
    pub(crate) tables: Arc<Vec<TableState>>,
    pub(crate) engine: Engine,
    pub(crate) wal: Wal,
    pub(crate) wal_id: Uuid,
    pub(crate) handover: Handover,
    /// Memory of appends that are not synced yet.
    in_flight: AtomicUsize,
    /// Opaque frames up to this one may be trimmed.
    pub(crate) released: AtomicU64,
    rows_accepted: AtomicU64,
    duplicates: AtomicU64,
    closed: AtomicBool,
    pub(crate) wake: Arc<Notify>,
    report: RecoveryReport,
    /// Last, so that the folder is given up after everything else is gone.
    _lock: FolderLock,
}

/// A write-ahead log, hot rows and Delta tables; clones share them. Needs a multi-thread tokio runtime.
///
/// Dropping the last clone without [`Lake::shutdown`] loses nothing: the next open reads the log.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("data_dir", &self.inner.options.data_dir).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens or makes a lake, and starts its background work.
    ///
    /// # Errors
    /// [`LakeError::Lock`] when another process owns the folder or it is not writable; [`LakeError::Wal`] when the
    /// log is damaged; otherwise what the store or a table says.
    pub async fn open(options: LakeOptions) -> Result<Self, LakeError> {
        let lock = FolderLock::take(&options.data_dir)?;
        let store = Store::open(&options.store)?;
        let folder = options.data_dir.join("wal");
        let id = identity(&folder)?;
        let mut logs = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            logs.push(DeltaLog::open(&store, table, id).await?);
        }
        let floor = logs.iter().map(DeltaLog::committed).max().unwrap_or(0) + 1;
        let mut hot: Vec<Hot> = Table::ALL.iter().map(|_| Hot::default()).collect();
        let mut visit = |frame: crate::wal::Frame| -> Result<(), WalError> {
            let Kind::Rows(table) = frame.kind else { return Ok(()) };
            let index = table_index(table);
            if frame.sequence > logs[index].committed() && !options.forget.contains(&table) {
                let rows = |detail| WalError::Rows { sequence: frame.sequence, table, detail };
                let batch = frame.decode().map_err(|e| rows(e.to_string()))?;
                check_schema(table, &batch).map_err(rows)?;
                hot[index].push(frame.sequence, batch);
            }
            Ok(())
        };
        let window = options.limits.dedup_window;
        let mut recovered = recover(&folder, id, options.recovery, window, &mut visit)?;
        recovered.report.rows = hot.iter().map(|h| h.rows() as u64).sum();
        let report = recovered.report.clone();
        if report.torn_bytes > 0 {
            tracing::warn!(
                bytes = report.torn_bytes,
                "cut an unfinished write off the write-ahead log; it was never acknowledged"
            );
        }
        let states = Table::ALL.into_iter().zip(logs).zip(hot);
        let tables: Arc<Vec<TableState>> =
            Arc::new(states.map(|((table, log), hot)| TableState::new(table, log, hot)).collect());
        let wal_options = WalOptions {
            delay: options.limits.group_commit_delay,
            segment_bytes: options.limits.segment_bytes,
            faults: options.faults.clone(),
        };
        let sink = tables.clone();
        let on_durable = Box::new(move |sequence, table, rows| sink[table_index(table)].push(sequence, rows));
        let wal = Wal::start(&folder, id, recovered, floor, wal_options, on_durable)?;
        let engine = Engine::new(&options, &store)?;
        let lake = Self {
            inner: Arc::new(Inner {
                store,
                tables,
                engine,
                wal,
                wal_id: id,
                handover: Handover::default(),
                in_flight: AtomicUsize::new(0),
                released: AtomicU64::new(0),
                rows_accepted: AtomicU64::new(0),
                duplicates: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                wake: Arc::new(Notify::new()),
                report,
                _lock: lock,
                options,
            }),
        };
        crate::seal::spawn(&lake.inner);
        Ok(lake)
    }

    /// What was found in the write-ahead log when the lake was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.report
    }

    /// Makes rows durable and queryable. `rows` must have the table's schema. With a hash, a repeat of the same
    /// request is dropped and answered with `duplicate`.
    ///
    /// # Errors
    /// See [`SinkError`]; on error nothing was acknowledged.
    pub async fn append(
        &self,
        table: Table,
        rows: RecordBatch,
        hash: Option<u64>,
    ) -> Result<Accepted, SinkError> {
        let inner = &self.inner;
        let result = inner.append(table, rows, hash).await;
        match &result {
            Ok(accepted) if accepted.duplicate => {
                inner.duplicates.fetch_add(1, Ordering::Relaxed);
                inner.options.metrics.duplicates.inc();
            }
            Ok(accepted) => {
                inner.rows_accepted.fetch_add(accepted.rows as u64, Ordering::Relaxed);
                inner.options.metrics.rows.inc_by(accepted.rows as u64);
            }
            Err(_) => {
                inner.options.metrics.refused.inc();
            }
        }
        result
    }

    /// Commits everything that was accepted before the call, and trims the write-ahead log.
    ///
    /// # Errors
    /// What the store or a table says; the rows stay hot and durable.
    pub async fn flush(&self) -> Result<(), LakeError> {
        self.inner.seal_all().await
    }

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> LakeStats {
        let gauges = &self.inner.wal.gauges;
        LakeStats {
            tables: self.inner.tables.iter().map(TableState::stats).collect(),
            wal_bytes: gauges.bytes.load(Ordering::Relaxed),
            wal_segments: gauges.segments.load(Ordering::Relaxed),
            wal_syncs: gauges.syncs.load(Ordering::Relaxed),
            durable_sequence: gauges.durable.load(Ordering::SeqCst),
            rows_accepted: self.inner.rows_accepted.load(Ordering::Relaxed),
            duplicates: self.inner.duplicates.load(Ordering::Relaxed),
        }
    }

    /// Refuses further appends, commits what is hot and stops the background work. The folder is given up when the
    /// last clone is dropped. An error leaves the rest to the next open.
    ///
    /// # Errors
    /// As [`Lake::flush`].
    pub async fn shutdown(&self) -> Result<(), LakeError> {
        self.inner.closed.store(true, Ordering::SeqCst);
        self.inner.wake.notify_one();
        self.inner.seal_all().await
    }
}

impl Sink for Lake {
    fn accept(&self, delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async move {
            let rows = delivery.batch.record_batch().clone();
            self.append(delivery.batch.table(), rows, Some(delivery.request_hash)).await
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl Inner {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn check_open(&self) -> Result<(), SinkError> {
        if self.is_closed() {
            Err(SinkError::Unavailable("the lake is shut down".to_owned()))
        } else {
            Ok(())
        }
    }

    async fn append(
        &self,
        table: Table,
        rows: RecordBatch,
        hash: Option<u64>,
    ) -> Result<Accepted, SinkError> {
        self.check_open()?;
        check_schema(table, &rows).map_err(SinkError::Invalid)?;
        let count = rows.num_rows();
        if hash.is_some_and(|hash| self.wal.knows(hash)) {
            return Ok(Accepted { rows: 0, duplicate: true });
        }
        if count == 0 {
            return Ok(Accepted { rows: 0, duplicate: false });
        }
        let _room = self.reserve(rows.get_array_memory_size())?;
        let draft = Draft::rows(table, &rows, hash).map_err(|e| SinkError::Invalid(e.to_string()))?;
        let appended = self.wal.append(draft, Some(rows)).await?;
        let (table_bytes, all_bytes) = (self.hot_bytes_of(table), self.hot_bytes());
        let limits = &self.options.limits;
        if table_bytes >= limits.seal_bytes || all_bytes >= limits.hot_seal_bytes {
            self.wake.notify_one();
        }
        self.options.metrics.hot_bytes.set(all_bytes as i64);
        match appended {
            Appended::Durable(_) => Ok(Accepted { rows: count, duplicate: false }),
            Appended::Duplicate => Ok(Accepted { rows: 0, duplicate: true }),
        }
    }

    /// Holds memory for an append until it is hot.
    fn reserve(&self, bytes: usize) -> Result<Room<'_>, SinkError> {
        let max = self.options.limits.hot_max_bytes;
        if bytes > max {
            return Err(SinkError::Invalid(format!("a batch of {bytes} bytes; at most {max} fit")));
        }
        let before = self.in_flight.fetch_add(bytes, Ordering::SeqCst);
        let room = Room { in_flight: &self.in_flight, bytes };
        if before + bytes + self.hot_bytes() > max {
            self.wake.notify_one();
            return Err(SinkError::Overloaded { retry_after_ms: 500 });
        }
        Ok(room)
    }

    pub(crate) fn hot_bytes(&self) -> usize {
        self.tables.iter().map(|t| t.with_hot(Hot::bytes)).sum()
    }

    fn hot_bytes_of(&self, table: Table) -> usize {
        self.tables[table_index(table)].with_hot(Hot::bytes)
    }

    pub(crate) fn state(&self, table: Table) -> &TableState {
        &self.tables[table_index(table)]
    }

    /// Drops segments that hold nothing but committed rows and released frames.
    pub(crate) async fn trim(&self, close: Close) -> Result<(), LakeError> {
        let mut newest = [0; 7];
        for (place, table) in newest.iter_mut().zip(self.tables.iter()) {
            *place = table.settled();
        }
        newest[OPAQUE] = self.released.load(Ordering::SeqCst);
        let result = self.wal.trim(newest, close).await;
        self.options.metrics.wal_bytes.set(self.wal.gauges.bytes.load(Ordering::Relaxed) as i64);
        result.map_err(LakeError::Trim)
    }

    /// Where a test may stop the lake.
    pub(crate) fn reach(&self) -> Result<(), LakeError> {
        self.options.faults.reach().map_err(|stopped: Stopped| LakeError::Thread(stopped.to_string()))
    }

    /// Folder for what a restart may forget.
    pub(crate) fn scratch(options: &LakeOptions) -> PathBuf {
        options.data_dir.join("tmp")
    }
}

/// Memory of one append; given back when dropped.
struct Room<'a> {
    in_flight: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

fn check_schema(table: Table, rows: &RecordBatch) -> Result<(), String> {
    if rows.schema_ref().fields() == table.schema().fields() {
        Ok(())
    } else {
        Err(format!("the batch does not have the schema of table {}", table.name()))
    }
}
