//! The ports between the tiers. Their futures are boxed so that this crate needs no runtime.

use std::future::Future;
use std::pin::Pin;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::{Batch, Micros};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The source of a delivery: the LogSource that its credential selected.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceRef {
    /// Namespace of the LogSource: the tenant.
    pub namespace: String,
    /// Name of the LogSource.
    pub name: String,
}

/// One decoded request.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Source.
    pub source: SourceRef,
    /// Records.
    pub batch: Batch,
    /// Hash of source and request bytes; a sender's retry has the same and is dropped.
    pub request_hash: u64,
}

/// Answer of a sink: the records are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Rows made durable by this call.
    pub rows: usize,
    /// The request had been accepted before; nothing was stored again.
    pub duplicate: bool,
}

/// Why a sink did not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Too much is under way; the sender should come back.
    #[error("overloaded, retry after {retry_after_ms} ms")]
    Overloaded {
        /// When to retry.
        retry_after_ms: u64,
    },
    /// The data can't be made durable now (disk full, volume gone). Nothing was acknowledged.
    #[error("cannot store durably: {0}")]
    Unavailable(String),
    /// The data itself is at fault; a retry will not help.
    #[error("cannot process: {0}")]
    Invalid(String),
}

/// Takes decoded deliveries; its answer is the acknowledgement.
pub trait Sink: Send + Sync {
    /// Stores the delivery durably.
    ///
    /// # Errors
    /// See [`SinkError`]; on error nothing was acknowledged.
    fn accept(&self, delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>>;
}

/// On whose behalf a query runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name for audit.
    pub user: String,
    /// Namespaces whose rows may be seen; `None`: all.
    pub namespaces: Option<Vec<String>>,
    /// Bytes that the query may scan.
    pub byte_budget: u64,
}

/// Rows of an answer.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Batches of one schema.
    pub batches: Vec<RecordBatch>,
    /// Bytes scanned.
    pub scanned_bytes: u64,
}

/// Why a query failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text is not valid SQL, or names an unknown table, column or function.
    #[error("{0}")]
    Invalid(String),
    /// The caller's byte budget is used up.
    #[error(
        "the query would scan {needed} bytes, the budget is {budget}: narrow the time range or raise the budget"
    )]
    Budget {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// The caller may not see it.
    #[error("{0}")]
    Forbidden(String),
    /// Storage failed.
    #[error("storage: {0}")]
    Storage(String),
}

/// Answers SQL over the tables, hot rows included.
pub trait Query: Send + Sync {
    /// Runs one read-only statement.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn sql<'a>(&'a self, caller: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<QueryResult, QueryError>>;
}

/// The `now` of decisions: wall time, or stepped by a replay.
pub trait Clock: Send + Sync {
    /// Microseconds since the epoch.
    fn now_us(&self) -> Micros;
}
