//! Counters and gauges of the lake.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of a lake; clones share them. Unregistered when made by `default()`.
#[derive(Clone, Debug, Default)]
pub struct LakeMetrics {
    pub(crate) rows: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) refused: Counter,
    pub(crate) commits: Counter,
    pub(crate) committed_rows: Counter,
    pub(crate) seal_errors: Counter,
    pub(crate) queries: Counter,
    pub(crate) query_errors: Counter,
    pub(crate) scanned_bytes: Counter,
    pub(crate) hot_bytes: Gauge,
    pub(crate) wal_bytes: Gauge,
}

impl LakeMetrics {
    /// Registers all of them under `lake_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let r = registry.sub_registry_with_prefix("lake");
        r.register("appended_rows", "Rows made durable", all.rows.clone());
        r.register(
            "duplicate_requests",
            "Requests dropped because their hash was known",
            all.duplicates.clone(),
        );
        r.register(
            "refused_requests",
            "Requests refused for lack of room or of a working disk",
            all.refused.clone(),
        );
        r.register("commits", "Commits to tables", all.commits.clone());
        r.register("committed_rows", "Rows committed to tables", all.committed_rows.clone());
        r.register("seal_errors", "Attempts to commit hot rows that failed", all.seal_errors.clone());
        r.register("queries", "Queries", all.queries.clone());
        r.register("query_errors", "Queries that failed", all.query_errors.clone());
        r.register("scanned_bytes", "Bytes that queries had to look at", all.scanned_bytes.clone());
        r.register("hot_bytes", "Memory of rows that are not committed yet", all.hot_bytes.clone());
        r.register("wal_bytes", "Bytes of the write-ahead log on disk", all.wal_bytes.clone());
        all
    }
}
