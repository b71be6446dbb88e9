//! The lake: a write-ahead log, hot rows, Delta tables of open Parquet on a folder or a bucket, and SQL over both.
//!
//! ```text
//!   append ─► WAL (one fdatasync a group) ─► acknowledged and hot, queryable at once
//!                                              └► Parquet ─► Delta commit with txn(WAL, sequence) ─► WAL trimmed
//!   sql ─► one moment of every table: hot rows + files, cut to the caller's namespaces
//! ```
//!
//! Exactly once: a row's frame has a sequence, a commit carries the newest sequence it contains, and on restart
//! only frames behind it become hot again. So it does not matter between which two writes a crash falls.

mod announce;
mod barrier;
mod delta;
mod error;
mod fault;
mod hot;
mod lake;
mod lock;
mod logged;
mod maintain;
mod metrics;
mod options;
mod output;
mod parquet_file;
mod provider;
mod prune;
mod query;
mod seal;
mod series_function;
mod store;
mod table_state;
mod wal;

#[cfg(test)]
mod crash_tests;

pub use announce::Announcement;
pub use error::LakeError;
pub use lake::{Lake, LakeStats};
pub use lock::LockError;
pub use maintain::{CompactionReport, RetentionReport};
pub use metrics::LakeMetrics;
pub use options::{LakeOptions, Limits, S3Options, StoreOptions};
pub use output::{to_csv, to_ndjson, to_rows};
pub use series_function::SeriesFunction;
pub use table_state::TableStats;
pub use wal::{DamagedRange, OpaqueFrame, Recovery, RecoveryReport, WalError};
