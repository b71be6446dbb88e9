//! Metrics of the transports.

use causeway_model::SourceRef;
use causeway_wire::DecodeStats;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    transport: &'static str,
    protocol: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    namespace: String,
    source: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    namespace: String,
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    transport: &'static str,
}

/// Counters of the transports; clones share them. Names begin with the registry's prefix and `ingest`.
#[derive(Clone, Debug, Default)]
pub struct IngestMetrics {
    requests: Family<RequestLabels, Counter>,
    records: Family<RecordLabels, Counter>,
    bytes: Family<SourceLabels, Counter>,
    connections: Family<ConnectionLabels, Gauge>,
    refused: Family<ConnectionLabels, Counter>,
}

impl IngestMetrics {
    /// Makes the metrics and adds them to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "ingest_requests",
            "Requests and Forward messages by transport, protocol and outcome",
            metrics.requests.clone(),
        );
        registry.register(
            "ingest_records",
            "Records by source and outcome: accepted, rejected, duplicate, and of the accepted ones time_adjusted and truncated",
            metrics.records.clone(),
        );
        registry.register(
            "ingest_body_bytes",
            "Bytes of accepted bodies by source, after decompression",
            metrics.bytes.clone(),
        );
        registry.register("ingest_connections", "Open connections by transport", metrics.connections.clone());
        registry.register(
            "ingest_connections_refused",
            "Connections closed because too many were open",
            metrics.refused.clone(),
        );
        metrics
    }

    pub(crate) fn request(&self, transport: &'static str, protocol: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&RequestLabels { transport, protocol, outcome }).inc();
    }

    pub(crate) fn accepted(
        &self,
        source: &SourceRef,
        stats: DecodeStats,
        rows: usize,
        duplicate: bool,
        bytes: usize,
    ) {
        let outcome = if duplicate { "duplicate" } else { "accepted" };
        let rows = if duplicate { stats.records } else { rows };
        let counts = [
            (outcome, rows),
            ("rejected", stats.rejected),
            ("time_adjusted", stats.time_adjusted),
            ("truncated", stats.truncated),
        ];
        for (outcome, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let labels =
                RecordLabels { namespace: source.namespace.clone(), source: source.name.clone(), outcome };
            self.records.get_or_create(&labels).inc_by(count as u64);
        }
        let labels = SourceLabels { namespace: source.namespace.clone(), source: source.name.clone() };
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    pub(crate) fn opened(&self, transport: &'static str) -> OpenConnection {
        let gauge = self.connections.get_or_create(&ConnectionLabels { transport }).clone();
        gauge.inc();
        OpenConnection { gauge }
    }

    pub(crate) fn refused(&self, transport: &'static str) {
        self.refused.get_or_create(&ConnectionLabels { transport }).inc();
    }
}

/// Counts a connection as open until it is dropped.
pub(crate) struct OpenConnection {
    gauge: Gauge,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
