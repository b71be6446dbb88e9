//! After a restart: the engine's snapshot, and the windows since, rebuilt from the lake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use causeway_engine::{Declared, Engine, Incident};
use causeway_lake::Lake;
use causeway_model::{
    Batch, Caller, LogBatch, MetricBatch, Micros, Query as _, SourceRef, SpanBatch, Table, rfc3339,
};
use causeway_pipeline::Gateway;

use super::engine_host::{EngineHost, Keeper, engine_config};

/// File of the snapshot below the data folder.
fn snapshot_path(data: &Path) -> PathBuf {
    data.join("engine.snapshot")
}

/// The engine as the snapshot has it, or a new one.
pub(crate) fn load_engine(data: &Path) -> Engine {
    let path = snapshot_path(data);
    match std::fs::read(&path) {
        Ok(bytes) => match Engine::restore(engine_config(), &bytes) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "engine snapshot not used, relearning from the lake");
                Engine::new(engine_config())
            }
        },
        Err(_) => Engine::new(engine_config()),
    }
}

/// Writes the snapshot: a new file first, so that a crash leaves the old one.
pub(crate) fn save_engine(data: &Path, host: &EngineHost) -> Result<()> {
    let bytes = host.read(Engine::snapshot)?;
    let (path, new) = (snapshot_path(data), data.join("engine.snapshot.new"));
    std::fs::write(&new, bytes)
        .and_then(|()| std::fs::rename(&new, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// File of the incidents below the data folder.
fn incidents_path(data: &Path) -> PathBuf {
    data.join("engine.incidents")
}

/// Puts incidents that are younger than the snapshot into the engine. They are kept apart because a diagnosis that was
/// told and acted upon must not become another one by a restart, and because they are small.
pub(crate) fn adopt_incidents(data: &Path, engine: &mut Engine) {
    let path = incidents_path(data);
    let Ok(bytes) = std::fs::read(&path) else { return };
    match serde_json::from_slice::<Vec<Incident>>(&bytes) {
        Ok(incidents) => engine.adopt(incidents),
        Err(error) => tracing::warn!(%error, path = %path.display(), "incidents not used"),
    }
}

/// File of what is declared below the data folder.
fn declared_path(data: &Path) -> PathBuf {
    data.join("engine.declared")
}

/// Declares what was declared last, so that the windows that are rebuilt count for objectives and Baselines.
pub(crate) fn adopt_declared(data: &Path, engine: &mut Engine) {
    let path = declared_path(data);
    let Ok(bytes) = std::fs::read(&path) else { return };
    match serde_json::from_slice::<Declared>(&bytes) {
        Ok(declared) => engine.declare(declared),
        Err(error) => tracing::warn!(%error, path = %path.display(), "declarations not used"),
    }
}

/// Keeps in the data folder what can't wait for the next snapshot.
pub(crate) struct FolderKeeper(pub(crate) PathBuf);

impl Keeper for FolderKeeper {
    fn incidents(&self, incidents: &[&Incident]) {
        if let Err(error) = write(&incidents_path(&self.0), &incidents) {
            tracing::error!(error = format!("{error:#}"), "incidents were not kept");
        }
    }

    fn declared(&self, declared: &Declared) {
        if let Err(error) = write(&declared_path(&self.0), declared) {
            tracing::error!(error = format!("{error:#}"), "declarations were not kept");
        }
    }
}

/// Writes a file as JSON: a new one first, so that a crash leaves the old one.
fn write(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let new = path.with_added_extension("new");
    std::fs::write(&new, serde_json::to_vec(value)?)
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Plays the lake's records since the snapshot, less the history that rankings need, through the gateway's aggregation.
/// Gives the number of records.
pub(crate) async fn replay(lake: &Lake, gateway: &Gateway, since_us: Micros) -> Result<usize> {
    let caller = Caller { user: "recovery".into(), namespaces: None, byte_budget: u64::MAX };
    let mut records = 0;
    let mut by_source: BTreeMap<SourceRef, Vec<(Table, RecordBatch)>> = BTreeMap::new();
    for table in [Table::Metrics, Table::Logs, Table::Spans] {
        let sql = format!(
            "SELECT * FROM {} WHERE time >= TIMESTAMP '{}' ORDER BY time",
            table.name(),
            rfc3339(since_us)
        );
        let result =
            lake.sql(&caller, &sql).await.with_context(|| format!("cannot read {}", table.name()))?;
        for batch in result.batches {
            records += batch.num_rows();
            for (source, rows) in split_by_source(&batch)? {
                by_source.entry(source).or_default().push((table, rows));
            }
        }
    }
    for (source, batches) in by_source {
        for batch in interleave(batches)? {
            gateway.replay(&source, &batch)?;
        }
    }
    Ok(records)
}

fn split_by_source(batch: &RecordBatch) -> Result<Vec<(SourceRef, RecordBatch)>> {
    let column = |name: &str| -> Result<&StringArray> {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_any().downcast_ref())
            .with_context(|| format!("no text column {name}"))
    };
    let (namespaces, names) = (column("namespace")?, column("source")?);
    let mut keys: Vec<SourceRef> = (0..batch.num_rows())
        .map(|i| SourceRef { namespace: namespaces.value(i).into(), name: names.value(i).into() })
        .collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| {
            let mask = (0..batch.num_rows())
                .map(|i| Some(namespaces.value(i) == key.namespace && names.value(i) == key.name))
                .collect();
            Ok((key, filter_record_batch(batch, &mask)?))
        })
        .collect()
}

/// One batch a table: the aggregator keeps windows open until the last of them is in.
fn interleave(batches: Vec<(Table, RecordBatch)>) -> Result<Vec<Batch>> {
    let mut out = Vec::new();
    for table in [Table::Metrics, Table::Logs, Table::Spans] {
        let rows: Vec<&RecordBatch> = batches.iter().filter(|(t, _)| *t == table).map(|(_, b)| b).collect();
        if rows.is_empty() {
            continue;
        }
        // The lake may hand out other field metadata than the tables' own.
        let schema = table.schema();
        let rows: Vec<RecordBatch> = rows
            .into_iter()
            .map(|b| RecordBatch::try_new(Arc::clone(&schema), b.columns().to_vec()))
            .collect::<Result<_, _>>()?;
        let all = concat_batches(&schema, &rows)?;
        out.push(match table {
            Table::Logs => Batch::Logs(LogBatch::try_new(all)?),
            Table::Metrics => Batch::Metrics(MetricBatch::try_new(all)?),
            _ => Batch::Spans(SpanBatch::try_new(all)?),
        });
    }
    Ok(out)
}
