//! What a gateway tells the engine: aggregates of one window of data time, and stubs of its spans.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{LogHistogram, Micros, SourceRef, SpanKind, Window};

/// A series: a signal of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesId {
    /// Entity name as in the `service` column; for metrics of instances the instance's service.
    pub entity: Arc<str>,
    /// Signal, such as `requests`, `errors`, `latency`, a metric name, or `pattern:<template id>`.
    pub signal: Arc<str>,
    /// Sub-series of the signal, such as an operation or an attribute set; empty for the whole.
    pub group: Arc<str>,
}

/// How the values of a series combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SeriesKind {
    /// A level: the mean of the window matters.
    #[default]
    Gauge,
    /// Occurrences: the sum of the window matters; a window without any is a zero.
    Count,
    /// Durations in seconds: the mean and the distribution matter.
    Latency,
}

/// Aggregate of one series in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesPartial {
    /// How its values combine.
    pub kind: SeriesKind,
    /// Number of values.
    pub count: u64,
    /// Sum of values.
    pub sum: f64,
    /// Latest value by event time.
    pub last: f64,
    /// Event time of the latest value.
    pub last_us: Micros,
    /// Distribution, for latencies in seconds.
    pub histogram: Option<LogHistogram>,
}

impl SeriesPartial {
    /// Adds a value observed at `t`.
    pub fn add(&mut self, t: Micros, value: f64) {
        self.count += 1;
        self.sum += value;
        if t >= self.last_us {
            self.last_us = t;
            self.last = value;
        }
    }

    /// Adds all of another partial of the same series and window.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        if other.last_us >= self.last_us {
            self.last_us = other.last_us;
            self.last = other.last;
        }
        if let Some(theirs) = &other.histogram {
            self.histogram.get_or_insert_default().merge(theirs);
        }
    }
}

/// What of a span is needed for topology and blame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanStub {
    /// Trace id, folded to 64 bits.
    pub trace: u64,
    /// Span id.
    pub span: u64,
    /// Parent's span id; 0 for a root.
    pub parent: u64,
    /// Service.
    pub service: Arc<str>,
    /// Operation.
    pub operation: Arc<str>,
    /// Kind.
    pub kind: SpanKind,
    /// Start.
    pub start_us: Micros,
    /// Duration.
    pub duration_us: i64,
    /// Whether its status is error.
    pub error: bool,
    /// Whom the span calls, if it says so: `Database/…`, `Queue/…`, `Function/…`, `Agent/…`, `Tool/…` or `Model/…` with
    /// the name, else a service, a host name or an address.
    pub peer: Option<Arc<str>>,
}

/// Occurrences of one template in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateCount {
    /// Service.
    pub service: Arc<str>,
    /// Template id.
    pub template: u64,
    /// Highest OpenTelemetry severity number seen.
    pub severity: i32,
    /// Occurrences.
    pub count: u64,
    /// The first occurrence.
    pub first: LogSample,
}

/// One log line kept as an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogSample {
    /// Event time.
    pub time_us: Micros,
    /// Message, cut at 500 characters.
    pub body: Arc<str>,
    /// Trace id in hex, or empty.
    pub trace_id: Arc<str>,
}

/// All that one source contributed to one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// Source.
    pub source: SourceRef,
    /// Window of data time.
    pub window: Window,
    /// Series aggregates.
    pub series: Vec<(SeriesId, SeriesPartial)>,
    /// Span stubs.
    pub spans: Vec<SpanStub>,
    /// Log templates.
    pub templates: Vec<TemplateCount>,
    /// Template generalisations, old id to new.
    pub aliases: Vec<(u64, u64)>,
    /// Texts of templates that this partial mentions for the first time.
    pub template_texts: Vec<(u64, Arc<str>)>,
    /// Records counted in.
    pub records: u64,
    /// Newest event time of the source when the partial was closed.
    pub newest_us: Micros,
}
