//! After a restart: windows are rebuilt from the records in the lake.

use anyhow::{Context, Result};
use causeway_lake::Lake;
use causeway_model::{Caller, Micros, Query as _, Table, rfc3339};
use causeway_pipeline::Gateway;

/// Plays the lake's records since the snapshot, less the history that rankings need, through the gateway's aggregation.
/// Gives the number of records.
pub(crate) async fn replay(lake: &Lake, gateway: &Gateway, since_us: Micros) -> Result<u64> {
    let caller = Caller { user: "recovery".into(), namespaces: None, byte_budget: u64::MAX };
    let mut records = 0;
    for table in [Table::Metrics, Table::Logs, Table::Spans] {
        let sql = format!(
            "SELECT * FROM {} WHERE time >= TIMESTAMP '{}' ORDER BY time",
            table.name(),
            rfc3339(since_us)
        );
        let result =
            lake.sql(&caller, &sql).await.with_context(|| format!("cannot read {}", table.name()))?;
        for batch in result.batches {
            records += gateway.replay_rows(table, &batch, |_| None)?;
        }
    }
    Ok(records)
}
