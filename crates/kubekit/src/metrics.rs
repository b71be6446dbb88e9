//! Metrics of all controllers of a process.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::error::Category;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ControllerLabel {
    pub(crate) controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) controller: &'static str,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ErrorLabel {
    pub(crate) controller: &'static str,
    pub(crate) category: Category,
}

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Suspended,
}

/// Counters and timings of the harness, shared by all controllers of a process.
#[derive(Debug, Clone)]
pub struct ControllerMetrics {
    pub(crate) reconciles: Family<OutcomeLabel, Counter>,
    pub(crate) errors: Family<ErrorLabel, Counter>,
    pub(crate) duration: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    pub(crate) queued: Family<ControllerLabel, Gauge>,
    pub(crate) status_writes: Family<ControllerLabel, Counter>,
}

impl ControllerMetrics {
    /// Adds `causeway_controller_*` to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::detached();
        let registry = registry.sub_registry_with_prefix("controller");
        registry.register("reconciles", "Reconciles by outcome", metrics.reconciles.clone());
        registry.register(
            "errors",
            "Failed reconciles and invalid objects by category",
            metrics.errors.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time of one reconcile",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("queue_objects", "Objects that wait for a reconcile", metrics.queued.clone());
        registry.register(
            "status_writes",
            "Statuses written because they changed",
            metrics.status_writes.clone(),
        );
        metrics
    }

    /// Metrics that nobody reads, for tools and tests.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            reconciles: Family::default(),
            errors: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9))),
            queued: Family::default(),
            status_writes: Family::default(),
        }
    }
}
