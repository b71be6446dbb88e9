//! Metrics of the gateway.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of the gateway's data path.
#[derive(Clone, Debug, Default)]
pub struct PipelineMetrics {
    /// Records dropped by steps.
    pub dropped: Counter,
    /// Records changed by steps, such as masked ones.
    pub changed: Counter,
    /// Records that came after their window had closed.
    pub late: Counter,
    /// Partials handed to the engine.
    pub partials: Counter,
}

impl PipelineMetrics {
    /// Registers them under `causeway_pipeline_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("pipeline");
        r.register("records_dropped", "Records dropped by steps", metrics.dropped.clone());
        r.register("records_changed", "Records changed by steps", metrics.changed.clone());
        r.register("records_late", "Records that came after their window had closed", metrics.late.clone());
        r.register("partials", "Partial aggregates handed to the engine", metrics.partials.clone());
        metrics
    }
}
