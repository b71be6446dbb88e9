//! The tables of the lake and their Arrow schemas.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

/// A table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
    /// Spans.
    Spans,
    /// Events: changes, Kubernetes events, silent sources.
    Events,
    /// Findings of detectors.
    Findings,
    /// Decisions and actions.
    Audit,
}

impl Table {
    /// All tables, in a fixed order.
    pub const ALL: [Self; 6] =
        [Self::Logs, Self::Metrics, Self::Spans, Self::Events, Self::Findings, Self::Audit];

    /// Name in SQL and on the object store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Spans => "spans",
            Self::Events => "events",
            Self::Findings => "findings",
            Self::Audit => "audit",
        }
    }

    /// The table of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Arrow schema. Every table has `time`, microseconds in UTC, as its first column, and `namespace` (the tenant) as its second.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Logs => LOGS.clone(),
            Self::Metrics => METRICS.clone(),
            Self::Spans => SPANS.clone(),
            Self::Events => EVENTS.clone(),
            Self::Findings => FINDINGS.clone(),
            Self::Audit => AUDIT.clone(),
        }
    }
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn maybe(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// A map of text to text, laid out as Parquet's and Arrow's builders do.
pub(crate) fn map(name: &str) -> Field {
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Utf8, true),
    ]);
    Field::new(
        name,
        DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false),
        false,
    )
}

fn list(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("item", item, true))), true)
}

static LOGS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        text("source"),
        text("service"),
        time("observed_time"),
        Field::new("severity_number", DataType::Int32, false),
        text("severity_text"),
        text("body"),
        maybe("template_id", DataType::Utf8),
        maybe("trace_id", DataType::Utf8),
        maybe("span_id", DataType::Utf8),
        map("resource"),
        map("attributes"),
    ]))
});

static METRICS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        text("source"),
        text("service"),
        text("name"),
        text("unit"),
        text("kind"),
        Field::new("delta", DataType::Boolean, false),
        Field::new("monotonic", DataType::Boolean, false),
        maybe("value", DataType::Float64),
        maybe("count", DataType::Int64),
        maybe("sum", DataType::Float64),
        list("bounds", DataType::Float64),
        list("bucket_counts", DataType::Int64),
        map("resource"),
        map("attributes"),
    ]))
});

static SPANS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        text("source"),
        text("service"),
        text("name"),
        text("kind"),
        text("trace_id"),
        text("span_id"),
        maybe("parent_span_id", DataType::Utf8),
        Field::new("duration_ns", DataType::Int64, false),
        Field::new("error", DataType::Boolean, false),
        text("status_message"),
        map("resource"),
        map("attributes"),
    ]))
});

static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        text("kind"),
        text("entity"),
        text("reason"),
        text("message"),
        map("attributes"),
    ]))
});

static FINDINGS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        text("id"),
        text("entity"),
        text("signal"),
        text("state"),
        maybe("observed", DataType::Float64),
        maybe("expected", DataType::Float64),
        maybe("lower", DataType::Float64),
        maybe("upper", DataType::Float64),
        Field::new("score", DataType::Float64, false),
        Field::new("completeness", DataType::Float64, false),
    ]))
});

static AUDIT: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time("time"),
        text("namespace"),
        Field::new("sequence", DataType::Int64, false),
        text("actor"),
        text("action"),
        text("subject"),
        text("detail"),
        text("previous_hash"),
        text("hash"),
    ]))
});
