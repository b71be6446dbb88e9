//! Settings of the engine, and what is declared about services.

use causeway_predict::Offsets;
use serde::{Deserialize, Serialize};

/// Settings of an [`crate::Engine`]. All durations are data time in microseconds unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Length of a window of the partials; 10 s.
    pub window_us: i64,
    /// A source that handed on nothing for this long of `now` no longer holds the others up; 30 s.
    pub idle_us: i64,
    /// A symptom without data for this long of `now` is in state "no data"; 60 s.
    pub silence_us: i64,
    /// How much history of every series is kept; 1 h.
    pub history_us: i64,
    /// How long spans and log templates are kept; 20 min.
    pub recent_us: i64,
    /// Span stubs kept at most. Where more come, only every second, fourth, eighth trace is kept.
    pub max_spans: usize,
    /// Series at most; further ones are counted and ignored.
    pub max_series: usize,
    /// Wait between the first symptom and the first ranking, so that evidence comes in; 10 s. Two rankings in a row must
    /// agree before a cause is told.
    pub settle_us: i64,
    /// Causes are ranked again with every window for this long after the first ranking; 2 min.
    pub refine_us: i64,
    /// An incident whose symptoms have been clear for this long is resolved; 5 min, doubled by every reopening up to
    /// sixteen times.
    pub resolve_us: i64,
    /// A symptom that comes back within this time after the resolution reopens the incident; 30 min.
    pub reopen_us: i64,
    /// A new symptom of the same cause joins an open incident whose newest symptom began at most this long ago; 90 min.
    pub merge_us: i64,
    /// Whether every decision is packed into a file by which it can be made again; see [`crate::Bundle`].
    pub bundles: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        const SECOND: i64 = 1_000_000;
        Self {
            window_us: 10 * SECOND,
            idle_us: 30 * SECOND,
            silence_us: 60 * SECOND,
            history_us: 3_600 * SECOND,
            recent_us: 1_200 * SECOND,
            max_spans: 300_000,
            max_series: 200_000,
            settle_us: 10 * SECOND,
            refine_us: 120 * SECOND,
            resolve_us: 300 * SECOND,
            reopen_us: 1_800 * SECOND,
            merge_us: 5_400 * SECOND,
            bundles: false,
        }
    }
}

/// What a MonitoredService declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// Namespace of the MonitoredService.
    pub namespace: String,
    /// Name of the MonitoredService.
    pub name: String,
    /// Service as in telemetry, `service.namespace/service.name` or the bare name.
    pub telemetry_name: String,
    /// Whether people depend on it directly: its golden signals are symptoms even when others call it.
    pub entry_point: bool,
    /// ISO currency, and the revenue per hour that passes through it as a decimal.
    pub revenue_per_hour: Option<(String, String)>,
    /// Offsets of the time zone that its users live by; UTC without.
    #[serde(default)]
    pub offsets: Option<Offsets>,
}

impl ServiceConfig {
    /// Whether an entity of telemetry is this service: by its name there, or by that name below its namespace.
    pub(crate) fn is(&self, entity: &str) -> bool {
        self.telemetry_name == entity
            || entity
                .split_once('/')
                .is_some_and(|(namespace, name)| namespace == self.namespace && name == self.telemetry_name)
    }
}
