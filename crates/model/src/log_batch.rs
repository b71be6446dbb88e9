//! Log records.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{Int32Builder, StringBuilder, TimestampMicrosecondBuilder};

use crate::batch::{TextMap, append_map, text_map, time_builder};
use crate::{Attributes, BatchError, Micros, Table};

crate::batch::typed_batch!(
    /// Log records with the schema of [`Table::Logs`].
    LogBatch,
    Table::Logs
);

/// One log record to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRow<'a> {
    /// Event time.
    pub time_us: Micros,
    /// Time of observation.
    pub observed_us: Micros,
    /// Tenant: namespace of the LogSource.
    pub namespace: &'a str,
    /// Name of the LogSource.
    pub source: &'a str,
    /// Service, see [`crate::service_name`].
    pub service: &'a str,
    /// OpenTelemetry severity number, 1 to 24; 0 when unknown.
    pub severity_number: i32,
    /// Severity as the sender wrote it.
    pub severity_text: &'a str,
    /// Message.
    pub body: &'a str,
    /// Trace id in lower-case hex.
    pub trace_id: Option<&'a str>,
    /// Span id in lower-case hex.
    pub span_id: Option<&'a str>,
    /// Resource attributes.
    pub resource: Attributes<'a>,
    /// Record attributes.
    pub attributes: Attributes<'a>,
}

/// Builds a [`LogBatch`].
#[derive(Debug)]
pub struct LogBuilder {
    time: TimestampMicrosecondBuilder,
    namespace: StringBuilder,
    source: StringBuilder,
    service: StringBuilder,
    observed: TimestampMicrosecondBuilder,
    severity_number: Int32Builder,
    severity_text: StringBuilder,
    body: StringBuilder,
    template: StringBuilder,
    trace: StringBuilder,
    span: StringBuilder,
    resource: TextMap,
    attributes: TextMap,
}

impl Default for LogBuilder {
    fn default() -> Self {
        Self {
            time: time_builder(),
            namespace: StringBuilder::new(),
            source: StringBuilder::new(),
            service: StringBuilder::new(),
            observed: time_builder(),
            severity_number: Int32Builder::new(),
            severity_text: StringBuilder::new(),
            body: StringBuilder::new(),
            template: StringBuilder::new(),
            trace: StringBuilder::new(),
            span: StringBuilder::new(),
            resource: text_map(),
            attributes: text_map(),
        }
    }
}

impl LogBuilder {
    /// Appends a record; its template id is null until the pipeline sets it.
    ///
    /// # Errors
    /// When Arrow refuses the attributes.
    pub fn append(&mut self, row: &LogRow<'_>) -> Result<(), BatchError> {
        append_map(&mut self.resource, row.resource)?;
        append_map(&mut self.attributes, row.attributes)?;
        self.time.append_value(row.time_us);
        self.namespace.append_value(row.namespace);
        self.source.append_value(row.source);
        self.service.append_value(row.service);
        self.observed.append_value(row.observed_us);
        self.severity_number.append_value(row.severity_number);
        self.severity_text.append_value(row.severity_text);
        self.body.append_value(row.body);
        self.template.append_null();
        self.trace.append_option(row.trace_id);
        self.span.append_option(row.span_id);
        Ok(())
    }

    /// Ends the batch.
    ///
    /// # Errors
    /// When Arrow refuses the columns.
    pub fn finish(mut self) -> Result<LogBatch, BatchError> {
        let rows = RecordBatch::try_new(
            Table::Logs.schema(),
            vec![
                Arc::new(self.time.finish()),
                Arc::new(self.namespace.finish()),
                Arc::new(self.source.finish()),
                Arc::new(self.service.finish()),
                Arc::new(self.observed.finish()),
                Arc::new(self.severity_number.finish()),
                Arc::new(self.severity_text.finish()),
                Arc::new(self.body.finish()),
                Arc::new(self.template.finish()),
                Arc::new(self.trace.finish()),
                Arc::new(self.span.finish()),
                Arc::new(self.resource.finish()),
                Arc::new(self.attributes.finish()),
            ],
        )?;
        Ok(LogBatch(rows))
    }
}
