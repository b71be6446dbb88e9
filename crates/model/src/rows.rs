//! Typed, borrowing access to the columns of a batch.

use arrow_array::{
    Array, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use crate::{BatchError, LogBatch, MetricBatch, SpanBatch, Table};

fn column<'a, T: 'static>(rows: &'a RecordBatch, name: &str, table: Table) -> Result<&'a T, BatchError> {
    rows.column_by_name(name)
        .and_then(|c| c.as_any().downcast_ref())
        .ok_or(BatchError::Schema { table: table.name() })
}

/// Value of a key in a text map, or `None`. Costs O(entries of the row).
#[must_use]
pub fn map_get<'a>(map: &'a MapArray, row: usize, key: &str) -> Option<&'a str> {
    let keys: &StringArray = map.keys().as_any().downcast_ref()?;
    let values: &StringArray = map.values().as_any().downcast_ref()?;
    let offsets = map.value_offsets();
    let (start, end) = (*offsets.get(row)? as usize, *offsets.get(row + 1)? as usize);
    (start..end).find(|i| keys.value(*i) == key && values.is_valid(*i)).map(|i| values.value(i))
}

macro_rules! rows {
    ($(#[$doc:meta])* $name:ident, $batch:ty, $table:expr, { $($(#[$field_doc:meta])* $field:ident : $ty:ty = $column:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            $($(#[$field_doc])* pub $field: &'a $ty,)*
        }

        impl<'a> $name<'a> {
            /// Borrows the columns.
            ///
            /// # Errors
            /// [`BatchError::Schema`] when a column is missing or of another type.
            pub fn new(batch: &'a $batch) -> Result<Self, BatchError> {
                let rows = batch.record_batch();
                Ok(Self { $($field: column(rows, $column, $table)?,)* })
            }
        }
    };
}

rows!(
    /// Columns of a [`LogBatch`].
    LogRows, LogBatch, Table::Logs, {
        /// Event time.
        time: TimestampMicrosecondArray = "time",
        /// Service.
        service: StringArray = "service",
        /// Severity number.
        severity_number: Int32Array = "severity_number",
        /// Severity text.
        severity_text: StringArray = "severity_text",
        /// Message.
        body: StringArray = "body",
        /// Template id.
        template_id: StringArray = "template_id",
        /// Trace id.
        trace_id: StringArray = "trace_id",
        /// Span id.
        span_id: StringArray = "span_id",
        /// Resource attributes.
        resource: MapArray = "resource",
        /// Record attributes.
        attributes: MapArray = "attributes",
    }
);

rows!(
    /// Columns of a [`MetricBatch`].
    MetricRows, MetricBatch, Table::Metrics, {
        /// Event time.
        time: TimestampMicrosecondArray = "time",
        /// Service.
        service: StringArray = "service",
        /// Metric name.
        name: StringArray = "name",
        /// Unit.
        unit: StringArray = "unit",
        /// Kind, see [`crate::MetricKind::as_str`].
        kind: StringArray = "kind",
        /// Delta temporality.
        delta: BooleanArray = "delta",
        /// Monotonic sum.
        monotonic: BooleanArray = "monotonic",
        /// Value.
        value: Float64Array = "value",
        /// Histogram count.
        count: Int64Array = "count",
        /// Histogram sum.
        sum: Float64Array = "sum",
        /// Bucket bounds.
        bounds: ListArray = "bounds",
        /// Bucket counts.
        bucket_counts: ListArray = "bucket_counts",
        /// Resource attributes.
        resource: MapArray = "resource",
        /// Point attributes.
        attributes: MapArray = "attributes",
    }
);

rows!(
    /// Columns of a [`SpanBatch`].
    SpanRows, SpanBatch, Table::Spans, {
        /// Start.
        time: TimestampMicrosecondArray = "time",
        /// Service.
        service: StringArray = "service",
        /// Operation.
        name: StringArray = "name",
        /// Kind, see [`crate::SpanKind::as_str`].
        kind: StringArray = "kind",
        /// Trace id.
        trace_id: StringArray = "trace_id",
        /// Span id.
        span_id: StringArray = "span_id",
        /// Parent's span id.
        parent_span_id: StringArray = "parent_span_id",
        /// Duration.
        duration_ns: Int64Array = "duration_ns",
        /// Status is error.
        error: BooleanArray = "error",
        /// Resource attributes.
        resource: MapArray = "resource",
        /// Span attributes.
        attributes: MapArray = "attributes",
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogBuilder, LogRow, SpanBuilder, SpanRow};

    #[test]
    fn rows_give_back_what_was_appended() {
        let mut b = LogBuilder::default();
        b.append(&LogRow { body: "a", attributes: &[("x", "1"), ("y", "2")], ..LogRow::default() }).unwrap();
        b.append(&LogRow { body: "b", trace_id: Some("00ff"), ..LogRow::default() }).unwrap();
        let batch = b.finish().unwrap();
        let rows = LogRows::new(&batch).unwrap();
        assert_eq!(rows.body.value(1), "b");
        assert_eq!(map_get(rows.attributes, 0, "y"), Some("2"));
        assert_eq!(map_get(rows.attributes, 1, "y"), None);
        assert!(rows.trace_id.is_null(0) && rows.trace_id.value(1) == "00ff");
        assert!(LogBatch::try_new(SpanBuilder::default().finish().unwrap().record_batch().clone()).is_err());
        let mut s = SpanBuilder::default();
        s.append(&SpanRow { duration_ns: 7, ..SpanRow::default() }).unwrap();
        assert_eq!(SpanRows::new(&s.finish().unwrap()).unwrap().duration_ns.value(0), 7);
    }
}
