//! The vocabulary of Causeway: Arrow-backed batches of telemetry, windows and partial aggregates,
//! entities, findings, and the ports [`Sink`], [`Query`], [`Insight`] and [`Clock`] between the tiers.
//!
//! Pure: no clock, no I/O, no randomness. Times are microseconds since the Unix epoch, in UTC.

mod batch;
mod entity;
mod finding;
mod histogram;
mod insight;
mod log_batch;
mod metric_batch;
mod partial;
mod port;
mod rows;
mod span_batch;
mod table;
mod time;

pub use batch::{Attributes, Batch, BatchError};
pub use entity::{EntityKind, EntityRef, service_name};
pub use finding::{Completeness, Event, Finding, FindingState, events_batch, findings_batch};
pub use histogram::LogHistogram;
pub use insight::{BandPoint, CallEdge, Insight, Rows, ServiceView, SignalView, TextFormat};
pub use log_batch::{LogBatch, LogBuilder, LogRow};
pub use metric_batch::{MetricBatch, MetricBuilder, MetricKind, MetricRow};
pub use partial::{LogSample, Partial, SeriesId, SeriesKind, SeriesPartial, SpanStub, TemplateCount};
pub use port::{
    Accepted, BoxFuture, Caller, Clock, Delivery, Query, QueryError, QueryResult, Sink, SinkError, SourceRef,
};
pub use rows::{LogRows, MetricRows, SpanRows, map_get};
pub use span_batch::{SpanBatch, SpanBuilder, SpanKind, SpanRow};
pub use table::Table;
pub use time::{AcceptedRange, Micros, Window, parse_duration_us, rfc3339};
