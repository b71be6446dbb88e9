//! Answers as text.

use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::sync::Arc;

/// One JSON object a line, nulls included; maps are objects, times RFC 3339.
///
/// # Errors
/// When a column has a type without JSON form.
pub fn to_ndjson(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut out = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    drop(writer);
    String::from_utf8(out).map_err(|e| ArrowError::JsonError(e.to_string()))
}

/// Comma-separated values with a header line; maps and lists are JSON text, nulls are empty.
///
/// # Errors
/// When a column can't be shown.
pub fn to_csv(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut out = Vec::new();
    let mut writer = arrow::csv::Writer::new(&mut out);
    for batch in batches {
        writer.write(&as_texts(batch)?)?;
    }
    drop(writer);
    String::from_utf8(out).map_err(|e| ArrowError::CsvError(e.to_string()))
}

/// Cells as text; the first row has the column names. Maps and lists are JSON text, nulls are empty.
///
/// # Errors
/// When a column can't be shown.
pub fn to_rows(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut rows = vec![first.schema_ref().fields().iter().map(|f| f.name().clone()).collect()];
    for batch in batches {
        let texts = as_texts(batch)?;
        let columns: Vec<&StringArray> = texts.columns().iter().filter_map(|c| c.as_string_opt()).collect();
        for row in 0..batch.num_rows() {
            let cell =
                |c: &&StringArray| if c.is_null(row) { String::new() } else { c.value(row).to_owned() };
            rows.push(columns.iter().map(cell).collect());
        }
    }
    Ok(rows)
}

fn as_texts(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> =
        batch.schema_ref().fields().iter().map(|f| Field::new(f.name(), DataType::Utf8, true)).collect();
    let columns: Result<Vec<ArrayRef>, ArrowError> = batch.columns().iter().map(column_texts).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns?, &options)
}

fn column_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts: Vec<Option<String>> = if column.data_type().is_nested() {
        json_texts(column)?
    } else {
        let options = FormatOptions::new();
        let format = ArrayFormatter::try_new(column, &options)?;
        let text = |row| column.is_valid(row).then(|| format.value(row).try_to_string()).transpose();
        (0..column.len()).map(text).collect::<Result<_, _>>()?
    };
    Ok(Arc::new(StringArray::from(texts)))
}

/// Each cell as JSON, by way of lines with one member.
fn json_texts(column: &ArrayRef) -> Result<Vec<Option<String>>, ArrowError> {
    let schema = Schema::new(vec![Field::new("v", column.data_type().clone(), true)]);
    let lines = to_ndjson(&[RecordBatch::try_new(Arc::new(schema), vec![column.clone()])?])?;
    let cell = |(row, line): (usize, &str)| {
        let inner = line.strip_prefix("{\"v\":")?.strip_suffix('}')?;
        column.is_valid(row).then(|| inner.to_owned())
    };
    Ok(lines.lines().enumerate().map(cell).collect())
}

#[cfg(test)]
mod tests {
    use causeway_model::{LogBuilder, LogRow};

    use super::*;

    fn answer() -> Vec<RecordBatch> {
        let mut logs = LogBuilder::default();
        let row = LogRow {
            time_us: 1_795_374_896_123_456,
            body: "a \"quoted\", text",
            attributes: &[("k", "v"), ("n", "1")],
            ..LogRow::default()
        };
        logs.append(&row).unwrap();
        let batch = logs.finish().unwrap().record_batch().clone();
        let columns: Vec<usize> = ["time", "body", "trace_id", "attributes"]
            .iter()
            .map(|name| batch.schema().index_of(name).unwrap())
            .collect();
        vec![batch.project(&columns).unwrap()]
    }

    #[test]
    fn all_three_forms_show_maps_times_and_nulls() {
        assert_eq!(
            to_ndjson(&answer()).unwrap(),
            "{\"time\":\"2026-11-22T19:14:56.123456Z\",\"body\":\"a \\\"quoted\\\", text\",\"trace_id\":null,\"attributes\":{\"k\":\"v\",\"n\":\"1\"}}\n"
        );
        assert_eq!(
            to_csv(&answer()).unwrap(),
            "time,body,trace_id,attributes\n2026-11-22T19:14:56.123456Z,\"a \"\"quoted\"\", text\",,\"{\"\"k\"\":\"\"v\"\",\"\"n\"\":\"\"1\"\"}\"\n"
        );
        let rows = to_rows(&answer()).unwrap();
        assert_eq!(rows[0], ["time", "body", "trace_id", "attributes"]);
        assert_eq!(
            rows[1],
            ["2026-11-22T19:14:56.123456Z", "a \"quoted\", text", "", "{\"k\":\"v\",\"n\":\"1\"}"]
        );
        assert!(to_rows(&[]).unwrap().is_empty());
    }
}
