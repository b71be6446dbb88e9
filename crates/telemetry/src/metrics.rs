//! One metric registry for a process.

use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::build_info::BuildInfo;
use crate::process::MemoryCollector;

/// The content type of [`Metrics::encode`]'s text.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the registry could not be written as text.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A metric failed to encode itself.
    #[error("metrics could not be encoded")]
    Encode(#[from] std::fmt::Error),
}

/// The metric registry of this process; clones share it. Every name starts with `causeway_`.
///
/// A crate offers `fn register(registry: &mut Registry) -> Self` on its own metrics struct, and the composition
/// root calls `metrics.register(EngineMetrics::register)`.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<RwLock<Registry>>,
}

impl Metrics {
    /// Makes a registry that already has `causeway_build_info` and the memory gauges of the process.
    #[must_use]
    pub fn new(build: &BuildInfo) -> Self {
        let mut registry = Registry::with_prefix("causeway");
        registry.register("build", "What is running", Info::new(build.clone()));
        registry.register_collector(Box::new(MemoryCollector));
        Self { registry: Arc::new(RwLock::new(registry)) }
    }

    /// Adds metrics: hands the registry (already prefixed) to `register` and returns what it returns.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.write())
    }

    /// Writes all metrics in the OpenMetrics text format, ending in `# EOF`.
    ///
    /// # Errors
    /// [`MetricsError::Encode`] when a metric can't encode itself.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry.read())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn names_are_prefixed_and_counters_end_in_total() {
        let metrics = Metrics::new(&BuildInfo::new("gateway", "0.1.0", ""));
        let counter: Counter = metrics.register(|registry| {
            let counter = Counter::default();
            registry.register("ingest_rows", "Rows", counter.clone());
            counter
        });
        counter.inc_by(3);
        let text = metrics.encode().unwrap();
        assert!(text.contains("causeway_ingest_rows_total 3"), "{text}");
        assert!(
            text.contains(r#"causeway_build_info{name="gateway",version="0.1.0",commit="unknown"} 1"#),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_read_at_scrape_time() {
        let text = Metrics::new(&BuildInfo::new("x", "1", "c")).encode().unwrap();
        assert!(text.contains("\ncauseway_process_peak_resident_memory_bytes "), "{text}");
    }
}
