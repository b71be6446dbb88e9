//! What a lake is opened with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use causeway_model::{Clock, Table};

use crate::fault::Faults;
use crate::metrics::LakeMetrics;
use crate::series_function::SeriesFunction;
use crate::wal::Recovery;

/// Where the tables live.
#[derive(Clone, Debug)]
pub enum StoreOptions {
    /// A folder of this machine; tables are its sub-folders.
    Local(PathBuf),
    /// A bucket of an S3-compatible store that supports conditional writes (`If-None-Match`).
    S3(S3Options),
}

/// Access to an S3-compatible store. What is left `None` comes from the machine's instance role.
#[derive(Clone, Default)]
pub struct S3Options {
    /// `s3://bucket` or `s3://bucket/prefix`.
    pub url: String,
    /// Endpoint other than Amazon's, such as `http://127.0.0.1:9000`; `http` is allowed when it says so.
    pub endpoint: Option<String>,
    /// Region; `us-east-1` when absent.
    pub region: Option<String>,
    /// Access key.
    pub access_key_id: Option<String>,
    /// Secret of the access key.
    pub secret_access_key: Option<String>,
    /// Token of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Options")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Sizes and times. The defaults keep a lake under about 300 MiB.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest wait for other appends to share a sync.
    pub group_commit_delay: Duration,
    /// A segment of the write-ahead log is followed by a new one at this size.
    pub segment_bytes: u64,
    /// A table is sealed when its hot rows take this much memory; also the most that one seal takes.
    pub seal_bytes: usize,
    /// A table is sealed when its oldest hot row has waited this long.
    pub seal_age: Duration,
    /// All tables are sealed, largest first, when hot rows together take this much memory.
    pub hot_seal_bytes: usize,
    /// Above this, appends are refused with [`causeway_model::SinkError::Overloaded`].
    pub hot_max_bytes: usize,
    /// Request hashes that are remembered.
    pub dedup_window: usize,
    /// Memory of all queries and compactions together, before they spill.
    pub query_memory_bytes: usize,
    /// Disk for spilling.
    pub query_spill_bytes: u64,
    /// Longest run of a query.
    pub query_timeout: Duration,
    /// Largest answer, in memory.
    pub result_max_bytes: usize,
    /// Compaction joins files below this size.
    pub small_file_bytes: u64,
    /// Compaction begins a new file at this size.
    pub target_file_bytes: u64,
    /// Age at which an unreferenced file is removed; longer than any query or commit may run.
    pub vacuum_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            group_commit_delay: Duration::from_millis(5),
            segment_bytes: 16 << 20,
            seal_bytes: 16 << 20,
            seal_age: Duration::from_secs(60),
            hot_seal_bytes: 64 << 20,
            hot_max_bytes: 128 << 20,
            dedup_window: 65_536,
            query_memory_bytes: 128 << 20,
            query_spill_bytes: 4 << 30,
            query_timeout: Duration::from_secs(60),
            result_max_bytes: 64 << 20,
            small_file_bytes: 16 << 20,
            target_file_bytes: 64 << 20,
            vacuum_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a lake is opened with.
#[derive(Clone)]
pub struct LakeOptions {
    /// Folder of the write-ahead log, the lock and spilled queries; owned by one process.
    pub data_dir: PathBuf,
    /// Where the tables live.
    pub store: StoreOptions,
    /// Sizes and times.
    pub limits: Limits,
    /// The `now()` of SQL, and the commit times in [`crate::LakeStats`].
    pub clock: Arc<dyn Clock>,
    /// What to do about damage in the write-ahead log.
    pub recovery: Recovery,
    /// Counters, registered by the caller.
    pub metrics: LakeMetrics,
    /// Whether sealed files are announced to another process that commits them, in place of being committed here.
    pub hand_over: bool,
    /// Tables whose rows an earlier process has not committed are forgotten when the lake is opened: another process may have
    /// gone on from what was committed.
    pub forget: Vec<Table>,
    /// Table functions that SQL gets.
    pub series_functions: Vec<Arc<dyn SeriesFunction>>,
    pub(crate) faults: Faults,
}

impl LakeOptions {
    /// A lake in one folder: the tables in its sub-folder `lake`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let data_dir = data_dir.into();
        Self {
            store: StoreOptions::Local(data_dir.join("lake")),
            data_dir,
            limits: Limits::default(),
            clock,
            recovery: Recovery::default(),
            metrics: LakeMetrics::default(),
            hand_over: false,
            forget: Vec::new(),
            series_functions: Vec::new(),
            faults: Faults::default(),
        }
    }
}

impl std::fmt::Debug for LakeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeOptions")
            .field("data_dir", &self.data_dir)
            .field("store", &self.store)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
