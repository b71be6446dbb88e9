//! Rows to Parquet files: sorted, one file a day.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use causeway_model::{Micros, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

const DAY_US: i64 = 86_400_000_000;
/// Rows that are gathered and encoded at a time.
const STEP: usize = 8192;
/// Rows of a row group: the unit of pruning, and of memory in reading.
const ROW_GROUP: usize = 131_072;

/// A file ready to be put.
#[derive(Debug)]
pub(crate) struct EncodedFile {
    /// Day of all rows, as in the partition `date`.
    pub(crate) day: i32,
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
    pub(crate) min_us: Micros,
    pub(crate) max_us: Micros,
}

/// Days since the epoch of a time.
pub(crate) fn day_of(time: Micros) -> i32 {
    i32::try_from(time.div_euclid(DAY_US)).unwrap_or(0)
}

/// A day as Delta writes partition values: `2026-11-22`.
pub(crate) fn day_text(day: i32) -> String {
    Date32Type::to_naive_date_opt(day).map_or_else(|| "1970-01-01".to_owned(), |date| date.to_string())
}

/// The column that rows are sorted by before the time, where the table has one.
pub(crate) fn sort_column(table: Table) -> Option<&'static str> {
    matches!(table, Table::Logs | Table::Metrics | Table::Spans).then_some("service")
}

/// The column `time`, which every table has first.
pub(crate) fn times(batch: &RecordBatch) -> Result<&TimestampMicrosecondArray, ArrowError> {
    batch
        .column_by_name("time")
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(|| ArrowError::SchemaError("no column time in microseconds".to_owned()))
}

/// Writes one file; the encoded bytes stay in memory.
pub(crate) struct FileWriter {
    writer: ArrowWriter<Vec<u8>>,
    day: i32,
    rows: u64,
    min_us: Micros,
    max_us: Micros,
}

impl FileWriter {
    pub(crate) fn new(table: Table, day: i32) -> Result<Self, ParquetError> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .set_created_by(concat!("causeway ", env!("CARGO_PKG_VERSION")).to_owned());
        if table.schema().column_with_name("trace_id").is_some() {
            properties = properties
                .set_column_bloom_filter_enabled(ColumnPath::from("trace_id"), true)
                .set_column_bloom_filter_max_ndv(ColumnPath::from("trace_id"), ROW_GROUP as u64);
        }
        let writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties.build()))?;
        Ok(Self { writer, day, rows: 0, min_us: Micros::MAX, max_us: Micros::MIN })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        for time in times(batch)?.values() {
            self.min_us = self.min_us.min(*time);
            self.max_us = self.max_us.max(*time);
        }
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch)
    }

    /// Bytes so far, encoded or still in buffers.
    pub(crate) fn size(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// `None` when nothing was written.
    pub(crate) fn finish(self) -> Result<Option<EncodedFile>, ParquetError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let bytes = self.writer.into_inner()?.into();
        Ok(Some(EncodedFile {
            day: self.day,
            bytes,
            rows: self.rows,
            min_us: self.min_us,
            max_us: self.max_us,
        }))
    }
}

/// Sorts the rows of all batches by day, service and time, and encodes one file a day.
///
/// O(n log n); beside the batches it holds 40 bytes a row and the encoded files.
pub(crate) fn encode(table: Table, batches: &[RecordBatch]) -> Result<Vec<EncodedFile>, ParquetError> {
    let mut keys = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (number, batch) in batches.iter().enumerate() {
        let services: Option<&StringArray> =
            sort_column(table).and_then(|name| batch.column_by_name(name)).and_then(|c| c.as_string_opt());
        for (row, time) in times(batch)?.values().iter().enumerate() {
            let service = services.map_or("", |s| s.value(row));
            keys.push((day_of(*time), service, *time, number as u32, row as u32));
        }
    }
    keys.sort_unstable();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut files = Vec::new();
    for day in keys.chunk_by(|a, b| a.0 == b.0) {
        let mut writer = FileWriter::new(table, day[0].0)?;
        for step in day.chunks(STEP) {
            let picks: Vec<(usize, usize)> = step.iter().map(|k| (k.3 as usize, k.4 as usize)).collect();
            writer.write(&interleave_record_batch(&batches, &picks)?)?;
        }
        files.extend(writer.finish()?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use causeway_model::{LogBatch, LogBuilder, LogRow, LogRows};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn days_before_the_epoch_have_a_name_too() {
        for (time, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (1_795_374_896_000_000, "2026-11-22"),
            (i64::MIN, "1970-01-01"),
        ] {
            assert_eq!(day_text(day_of(time)), text);
        }
    }

    #[test]
    fn rows_are_sorted_and_split_by_day() {
        let mut builders = [LogBuilder::default(), LogBuilder::default()];
        for (i, (time, service)) in
            [(DAY_US + 5, "b"), (3, "b"), (1, "b"), (2, "a"), (DAY_US, "a")].into_iter().enumerate()
        {
            let row = LogRow { time_us: time, service, attributes: &[("k", "v")], ..LogRow::default() };
            builders[i % 2].append(&row).unwrap();
        }
        let batches: Vec<RecordBatch> =
            builders.into_iter().map(|b| b.finish().unwrap().record_batch().clone()).collect();
        let files = encode(Table::Logs, &batches).unwrap();
        let shape: Vec<_> = files.iter().map(|f| (f.day, f.rows, f.min_us, f.max_us)).collect();
        assert_eq!(shape, [(0, 3, 1, 3), (1, 2, DAY_US, DAY_US + 5)]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap();
        assert!(reader.metadata().row_group(0).column(9).bloom_filter_offset().is_some());
        let rows = reader.build().unwrap().next().unwrap().unwrap();
        let batch = LogBatch::try_new(rows).unwrap();
        let logs = LogRows::new(&batch).unwrap();
        let read: Vec<_> = (0..3).map(|i| (logs.service.value(i), logs.time.value(i))).collect();
        assert_eq!(read, [("a", 2), ("b", 1), ("b", 3)]);
    }
}
