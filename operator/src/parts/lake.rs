//! The lake of a process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_lake::{Lake, LakeMetrics, LakeOptions};
use causeway_model::Table;
use causeway_telemetry::Metrics;

use super::clock::ProcessClock;
use super::forecast_function::ForecastFunction;
use super::store::StoreArguments;

/// What a process does with its lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stores and commits, alone.
    Standalone,
    /// Stores; an operator commits.
    Gateway,
    /// Commits, while it leads.
    Operator,
}

/// Opens the lake in a data folder.
pub(crate) async fn open(
    data: &Path,
    store: StoreArguments,
    role: Role,
    clock: &Arc<ProcessClock>,
    metrics: &Metrics,
) -> Result<Lake> {
    let mut options = LakeOptions::new(data, clock.clone());
    if let Some(store) = store.options()? {
        options.store = store;
    }
    options.hand_over = role == Role::Gateway;
    if role == Role::Operator {
        // The chain of the audit log is continued from what was committed, maybe by another operator meanwhile. What is
        // missing in it is recorded again from the Remediations.
        options.forget = vec![Table::Audit];
    }
    options.metrics = metrics.register(LakeMetrics::register);
    options.series_functions = vec![Arc::new(ForecastFunction)];
    let lake =
        Lake::open(options).await.with_context(|| format!("cannot open the lake in {}", data.display()))?;
    tracing::info!(report = ?lake.recovery(), "lake opened");
    Ok(lake)
}
