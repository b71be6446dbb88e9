//! What the engine finds goes into the lake, and its incidents to the controllers.

use std::sync::Arc;

use causeway_controllers::IncidentFeed;
use causeway_engine::BundleFile;
use causeway_kubekit::{Activity, Busy};
use causeway_lake::Lake;
use causeway_model::{Table, events_batch, findings_batch};
use tokio::sync::mpsc;

use super::engine_host::Output;
use super::engine_state::EngineState;

/// Serves the engine's outputs until the engine is dropped.
pub(crate) async fn serve(
    lake: Lake,
    state: Arc<EngineState>,
    feed: IncidentFeed,
    activity: Activity,
    mut outputs: mpsc::UnboundedReceiver<(Output, Busy)>,
) {
    while let Some((output, busy)) = outputs.recv().await {
        let Output { findings, events, incidents, all, declared, bundles } = output;
        if let Some(declared) = declared {
            kept(state.declared(&declared).await, "declarations");
        }
        // Before the incident that names it is told.
        for BundleFile { fingerprint, bytes, .. } in bundles {
            if let Err(error) = lake.put_file(&bundle_path(&fingerprint), bytes).await {
                tracing::error!(%error, fingerprint, "an incident bundle was not kept");
            }
        }
        if !incidents.is_empty() {
            kept(state.incidents(&all).await, "incidents");
        }
        for incident in incidents {
            feed.publish(incident, activity.busy());
        }
        if !findings.is_empty() {
            store(&lake, Table::Findings, findings_batch(&findings).map(Arc::new)).await;
        }
        if !events.is_empty() {
            store(&lake, Table::Events, events_batch(&events).map(Arc::new)).await;
        }
        drop(busy);
    }
}

fn kept(result: anyhow::Result<()>, what: &str) {
    if let Err(error) = result {
        tracing::error!(error = format!("{error:#}"), what, "not kept for a restart");
    }
}

/// Where the bundle of an incident is kept in the lake.
pub(crate) fn bundle_path(fingerprint: &str) -> String {
    format!("bundles/{fingerprint}")
}

async fn store(
    lake: &Lake,
    table: Table,
    rows: Result<Arc<arrow::array::RecordBatch>, causeway_model::BatchError>,
) {
    let stored = match rows {
        Ok(rows) => lake.append(table, rows.as_ref().clone(), None).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = stored {
        tracing::error!(table = table.name(), error, "rows were not stored");
    }
}
