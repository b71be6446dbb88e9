//! Upkeep of the lake: small files are joined, and what is older than its retention is removed.

use std::sync::Arc;
use std::time::Duration;

use causeway_lake::Lake;
use causeway_model::{Clock as _, Table};
use tokio_util::sync::CancellationToken;

use super::clock::ProcessClock;

/// Time between rounds, on the machine's clock.
const EVERY: Duration = Duration::from_secs(600);
const DAY_US: i64 = 86_400_000_000;

/// Days that a table's rows are kept.
fn retention_days(table: Table) -> i64 {
    match table {
        Table::Logs => 35,
        Table::Metrics => 450,
        Table::Spans => 10,
        Table::Events | Table::Findings | Table::Audit => 3_650,
    }
}

/// Runs rounds until the stop.
pub(crate) async fn run(lake: Lake, clock: Arc<ProcessClock>, stop: CancellationToken) {
    let mut rounds = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = rounds.tick() => {}
        }
        for table in Table::ALL {
            let oldest_us = clock.now_us() - retention_days(table) * DAY_US;
            if let Err(error) = lake.retain(table, oldest_us).await {
                tracing::warn!(table = table.name(), %error, "old rows were not removed");
            }
            if let Err(error) = lake.compact(table).await {
                tracing::warn!(table = table.name(), %error, "files were not joined");
            }
        }
    }
}
