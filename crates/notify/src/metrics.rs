//! Metrics of all targets of a process.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Kind of a channel, as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Channel {
    /// Slack.
    Slack,
    /// A generic webhook.
    Webhook,
}

/// What became of a notice, as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Result {
    Sent,
    Edited,
    Unchanged,
    Filtered,
    HeldBack,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    channel: Channel,
    result: Result,
}

/// Counters of notices.
#[derive(Debug, Clone, Default)]
pub struct NotifyMetrics {
    notices: Family<Label, Counter>,
}

impl NotifyMetrics {
    /// Adds `causeway_notify_notices_total{channel, result}` to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "notify_notices",
            "Notices by channel and what became of them",
            metrics.notices.clone(),
        );
        metrics
    }

    pub(crate) fn count(&self, channel: Channel, result: Result) {
        self.notices.get_or_create(&Label { channel, result }).inc();
    }
}
