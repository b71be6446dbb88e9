//! The lake of a process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_lake::{Lake, LakeMetrics, LakeOptions};
use causeway_telemetry::Metrics;

use super::clock::ProcessClock;
use super::forecast_function::ForecastFunction;
use super::store::StoreArguments;

/// Opens the lake in a data folder; with `hand_over`, another process commits what is sealed here.
pub(crate) async fn open(
    data: &Path,
    store: StoreArguments,
    hand_over: bool,
    clock: &Arc<ProcessClock>,
    metrics: &Metrics,
) -> Result<Lake> {
    let mut options = LakeOptions::new(data, clock.clone());
    if let Some(store) = store.options()? {
        options.store = store;
    }
    options.hand_over = hand_over;
    options.metrics = metrics.register(LakeMetrics::register);
    options.series_functions = vec![Arc::new(ForecastFunction)];
    let lake =
        Lake::open(options).await.with_context(|| format!("cannot open the lake in {}", data.display()))?;
    tracing::info!(report = ?lake.recovery(), "lake opened");
    Ok(lake)
}
