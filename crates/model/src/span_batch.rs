//! Spans.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use serde::{Deserialize, Serialize};

use crate::batch::{TextMap, append_map, text_map, time_builder};
use crate::{Attributes, BatchError, Micros, Table};

crate::batch::typed_batch!(
    /// Spans with the schema of [`Table::Spans`].
    SpanBatch,
    Table::Spans
);

/// Kind of a span, as in OpenTelemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified,
    /// Inside one service.
    Internal,
    /// Handles a remote request.
    Server,
    /// Makes a remote request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives a message.
    Consumer,
}

impl SpanKind {
    /// The value of the `kind` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// The kind of that column value; unknown text is [`SpanKind::Unspecified`].
    #[must_use]
    pub fn from_column(text: &str) -> Self {
        match text {
            "internal" => Self::Internal,
            "server" => Self::Server,
            "client" => Self::Client,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// One span to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanRow<'a> {
    /// Start.
    pub time_us: Micros,
    /// Tenant.
    pub namespace: &'a str,
    /// Name of the LogSource.
    pub source: &'a str,
    /// Service.
    pub service: &'a str,
    /// Operation.
    pub name: &'a str,
    /// Kind.
    pub kind: SpanKind,
    /// Trace id in lower-case hex.
    pub trace_id: &'a str,
    /// Span id in lower-case hex.
    pub span_id: &'a str,
    /// Parent's span id in lower-case hex; `None` for a root.
    pub parent_span_id: Option<&'a str>,
    /// Duration, not negative.
    pub duration_ns: i64,
    /// Status code is error.
    pub error: bool,
    /// Status message.
    pub status_message: &'a str,
    /// Resource attributes.
    pub resource: Attributes<'a>,
    /// Span attributes.
    pub attributes: Attributes<'a>,
}

/// Builds a [`SpanBatch`].
#[derive(Debug)]
pub struct SpanBuilder {
    time: TimestampMicrosecondBuilder,
    text: [StringBuilder; 7],
    parent: StringBuilder,
    duration: Int64Builder,
    error: BooleanBuilder,
    status: StringBuilder,
    resource: TextMap,
    attributes: TextMap,
}

impl Default for SpanBuilder {
    fn default() -> Self {
        Self {
            time: time_builder(),
            text: Default::default(),
            parent: StringBuilder::new(),
            duration: Int64Builder::new(),
            error: BooleanBuilder::new(),
            status: StringBuilder::new(),
            resource: text_map(),
            attributes: text_map(),
        }
    }
}

impl SpanBuilder {
    /// Appends a span.
    ///
    /// # Errors
    /// When Arrow refuses the attributes.
    pub fn append(&mut self, row: &SpanRow<'_>) -> Result<(), BatchError> {
        append_map(&mut self.resource, row.resource)?;
        append_map(&mut self.attributes, row.attributes)?;
        self.time.append_value(row.time_us);
        let texts =
            [row.namespace, row.source, row.service, row.name, row.kind.as_str(), row.trace_id, row.span_id];
        for (builder, value) in self.text.iter_mut().zip(texts) {
            builder.append_value(value);
        }
        self.parent.append_option(row.parent_span_id);
        self.duration.append_value(row.duration_ns);
        self.error.append_value(row.error);
        self.status.append_value(row.status_message);
        Ok(())
    }

    /// Ends the batch.
    ///
    /// # Errors
    /// When Arrow refuses the columns.
    pub fn finish(mut self) -> Result<SpanBatch, BatchError> {
        let [mut namespace, mut source, mut service, mut name, mut kind, mut trace, mut span] = self.text;
        let rows = RecordBatch::try_new(
            Table::Spans.schema(),
            vec![
                Arc::new(self.time.finish()),
                Arc::new(namespace.finish()),
                Arc::new(source.finish()),
                Arc::new(service.finish()),
                Arc::new(name.finish()),
                Arc::new(kind.finish()),
                Arc::new(trace.finish()),
                Arc::new(span.finish()),
                Arc::new(self.parent.finish()),
                Arc::new(self.duration.finish()),
                Arc::new(self.error.finish()),
                Arc::new(self.status.finish()),
                Arc::new(self.resource.finish()),
                Arc::new(self.attributes.finish()),
            ],
        )?;
        Ok(SpanBatch(rows))
    }
}
