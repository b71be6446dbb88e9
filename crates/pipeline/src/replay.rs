//! Rows that are durable already, back into windows.

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_select::filter::filter_record_batch;
use causeway_model::{Batch, BatchError, LogBatch, MetricBatch, Micros, SourceRef, SpanBatch, Table};

use crate::Gateway;

impl Gateway {
    /// Aggregates rows of a table that are durable already, of whatever sources, without those that are older than `since`
    /// says of their source. Gives their number. Tables without telemetry are passed over.
    ///
    /// # Errors
    /// When the rows are not of that table.
    pub fn replay_rows(
        &self,
        table: Table,
        rows: &RecordBatch,
        since: impl Fn(&SourceRef) -> Option<Micros>,
    ) -> Result<u64, BatchError> {
        if !matches!(table, Table::Logs | Table::Metrics | Table::Spans) || rows.num_rows() == 0 {
            return Ok(0);
        }
        // A query engine may hand out other field metadata than the tables' own.
        let rows = RecordBatch::try_new(table.schema(), rows.columns().to_vec())?;
        let (namespaces, names) = (text(&rows, "namespace"), text(&rows, "source"));
        let times: Option<&TimestampMicrosecondArray> =
            rows.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let (Some(namespaces), Some(names), Some(times)) = (namespaces, names, times) else { return Ok(0) };
        let of = |row: usize| (namespaces.value(row), names.value(row));
        let mut sources: Vec<(&str, &str)> = (0..rows.num_rows()).map(of).collect();
        sources.sort_unstable();
        sources.dedup();
        let mut count = 0;
        for (namespace, name) in sources {
            let source = SourceRef { namespace: namespace.to_owned(), name: name.to_owned() };
            let since_us = since(&source).unwrap_or(Micros::MIN);
            let wanted = |row| of(row) == (namespace, name) && times.value(row) >= since_us;
            let mask: BooleanArray = (0..rows.num_rows()).map(|row| Some(wanted(row))).collect();
            let part = filter_record_batch(&rows, &mask)?;
            if part.num_rows() > 0 {
                count += part.num_rows() as u64;
                self.replay(&source, &batch(table, part)?)?;
            }
        }
        Ok(count)
    }
}

fn text<'a>(rows: &'a RecordBatch, column: &str) -> Option<&'a StringArray> {
    rows.column_by_name(column).and_then(|c| c.as_string_opt::<i32>())
}

fn batch(table: Table, rows: RecordBatch) -> Result<Batch, BatchError> {
    Ok(match table {
        Table::Metrics => Batch::Metrics(MetricBatch::try_new(rows)?),
        Table::Spans => Batch::Spans(SpanBatch::try_new(rows)?),
        _ => Batch::Logs(LogBatch::try_new(rows)?),
    })
}
