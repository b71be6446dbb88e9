//! Why the lake could not do something.

use std::path::PathBuf;

use arrow_schema::ArrowError;
use causeway_model::{SinkError, Table};
use deltalake_core::DeltaTableError;

use crate::lock::LockError;
use crate::wal::WalError;

/// An error of the lake; the text is meant for people.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The data folder could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The write-ahead log failed.
    #[error("write-ahead log: {0}")]
    Wal(#[from] WalError),
    /// A file or folder could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The object store failed.
    #[error("object store: {0}")]
    Store(#[from] object_store::Error),
    /// A Delta table could not be read or committed.
    #[error("table {}: {source}", table.name())]
    Delta {
        /// The table.
        table: Table,
        /// The cause.
        source: Box<DeltaTableError>,
    },
    /// Columns could not be built.
    #[error("columns: {0}")]
    Arrow(#[from] ArrowError),
    /// A Parquet file could not be written.
    #[error("Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The query engine failed in a compaction.
    #[error("query engine: {0}")]
    Engine(#[from] datafusion::error::DataFusionError),
    /// An option has no sense.
    #[error("option {name}: {detail}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The write-ahead log could not be trimmed; what it holds stays.
    #[error("write-ahead log could not be trimmed: {0}")]
    Trim(SinkError),
    /// Files that another process sealed can't be committed.
    #[error("announced files: {0}")]
    Announced(String),
    /// A compaction would have changed the number of rows, and was given up.
    #[error("compaction of table {} would have made {after} rows of {before}; nothing was changed", table.name())]
    RowCount {
        /// The table.
        table: Table,
        /// Rows of the files to be replaced.
        before: u64,
        /// Rows of the new files.
        after: u64,
    },
    /// A worker thread ended early.
    #[error("a background thread of the lake ended: {0}")]
    Thread(String),
    /// The lake is shut down.
    #[error("the lake is shut down")]
    Closed,
}

impl LakeError {
    /// Wraps a Delta error with its table.
    pub(crate) fn delta(table: Table, source: DeltaTableError) -> Self {
        Self::Delta { table, source: Box::new(source) }
    }

    /// A short stable word for metrics and events.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Lock(_) => "locked",
            Self::Wal(_) | Self::Trim(_) => "wal",
            Self::Io { .. } => "io",
            Self::Store(_) => "store",
            Self::Delta { .. } => "delta",
            Self::Arrow(_) | Self::Parquet(_) => "encoding",
            Self::Engine(_) | Self::RowCount { .. } => "engine",
            Self::Option { .. } => "option",
            Self::Announced(_) => "announced",
            Self::Thread(_) => "thread",
            Self::Closed => "closed",
        }
    }
}

impl From<LakeError> for SinkError {
    fn from(error: LakeError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
