//! Reads a case from its files. The caller does the I/O and the decompression.

use std::borrow::Cow;

use serde::Deserialize;

use crate::case::{
    Case, EdgeKind, LogLine, Severity, Span, SpanKind, SpanStatus, parse_span_id, parse_trace_id,
};
use crate::csv::Records;

/// Why a case could not be read. `E` is the error of the caller's reader.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The description of the case is not the JSON that is expected.
    #[error("case description: {0}")]
    Description(#[from] serde_json::Error),
    /// The start of the incident is not an RFC 3339 time.
    #[error("incident start {text:?}: {source}")]
    Start {
        /// The text found.
        text: String,
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// The caller's reader failed.
    #[error("{file}: {source}")]
    Read {
        /// The path as written in the description.
        file: String,
        /// The reader's error.
        source: E,
    },
    /// A file is not UTF-8.
    #[error("{file}: not UTF-8")]
    Encoding {
        /// The path as written in the description.
        file: String,
    },
    /// A file has other columns than expected, or none.
    #[error("{file}: {what}")]
    Columns {
        /// The path as written in the description.
        file: String,
        /// What is missing.
        what: &'static str,
    },
}

#[derive(Deserialize)]
struct Description {
    id: String,
    #[serde(default = "minute")]
    interval_seconds: u32,
    incident: IncidentText,
    files: Files,
}

fn minute() -> u32 {
    60
}

#[derive(Deserialize)]
struct IncidentText {
    entity: String,
    metric: String,
    #[serde(default)]
    stat: String,
    start: String,
}

#[derive(Deserialize)]
struct Files {
    metrics: String,
    graph: Option<String>,
    baseline_metrics: Option<String>,
    traces: Option<String>,
    baseline_traces: Option<String>,
    logs: Option<String>,
    baseline_logs: Option<String>,
}

impl Case {
    /// Reads a case: `case_json` describes it, `read` returns the (decompressed) bytes of a path that the description names.
    ///
    /// # Errors
    /// When the description, a time, the reader or the encoding or the header of a file is at fault. Broken rows are left out.
    pub fn from_files<E>(
        case_json: &str,
        read: &mut dyn FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, LoadError<E>> {
        let description: Description = serde_json::from_str(case_json)?;
        let incident = &description.incident;
        let start_us = parse_time(&incident.start)
            .map_err(|source| LoadError::Start { text: incident.start.clone(), source })?;
        let mut case = Case::new(
            &description.id,
            &incident.entity,
            &incident.metric,
            &incident.stat,
            start_us,
            description.interval_seconds,
        );
        let mut text = |file: &str| -> Result<String, LoadError<E>> {
            let bytes = read(file).map_err(|source| LoadError::Read { file: file.to_owned(), source })?;
            String::from_utf8(bytes).map_err(|_| LoadError::Encoding { file: file.to_owned() })
        };
        let files = &description.files;
        let incident = Table::read(&files.metrics, &text(&files.metrics)?)?;
        let baseline = match &files.baseline_metrics {
            Some(file) => Table::read(file, &text(file)?)?,
            None => Table::default(),
        };
        join_metrics(&mut case, incident, baseline);
        if let Some(file) = &files.graph {
            read_graph(&mut case, &text(file)?);
        }
        if let Some(file) = &files.traces {
            case.spans = read_spans(&mut case, &text(file)?);
        }
        if let Some(file) = &files.baseline_traces {
            case.baseline_spans = read_spans(&mut case, &text(file)?);
        }
        if let Some(file) = &files.logs {
            case.logs = read_logs(&mut case, &text(file)?);
        }
        if let Some(file) = &files.baseline_logs {
            case.baseline_logs = read_logs(&mut case, &text(file)?);
        }
        Ok(case)
    }
}

fn parse_time(text: &str) -> Result<i64, jiff::Error> {
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond)
}

/// A wide metric file: one column a series.
#[derive(Default)]
struct Table {
    times_us: Vec<i64>,
    columns: Vec<(String, Vec<f64>)>,
}

impl Table {
    fn read<E>(file: &str, text: &str) -> Result<Self, LoadError<E>> {
        let mut records = Records::new(text);
        let mut fields: Vec<Cow<'_, str>> = Vec::new();
        if !records.next_into(&mut fields) || fields.first().is_none_or(|f| f != "timestamp") {
            return Err(LoadError::Columns {
                file: file.to_owned(),
                what: "the first column must be `timestamp`",
            });
        }
        let mut table = Table {
            times_us: Vec::new(),
            columns: fields[1..].iter().map(|f| (f.to_string(), Vec::new())).collect(),
        };
        while records.next_into(&mut fields) {
            let Some(Ok(time)) = fields.first().map(|f| parse_time(f)) else {
                continue;
            };
            table.times_us.push(time);
            for (at, (_, values)) in table.columns.iter_mut().enumerate() {
                let value = fields.get(at + 1).and_then(|f| f.parse().ok()).unwrap_or(f64::NAN);
                values.push(value);
            }
        }
        Ok(table)
    }
}

fn join_metrics(case: &mut Case, incident: Table, mut baseline: Table) {
    case.times_us = incident.times_us;
    case.baseline_times_us = std::mem::take(&mut baseline.times_us);
    let mut normal: ahash::AHashMap<String, Vec<f64>> = baseline.columns.into_iter().collect();
    for (column, values) in incident.columns {
        let usual = normal.remove(&column).unwrap_or_default();
        push_column(case, &column, values, usual);
    }
    // Series that stopped altogether: sorted, so that the hash order never shows.
    let mut gone: Vec<_> = normal.into_iter().collect();
    gone.sort_by(|a, b| a.0.cmp(&b.0));
    for (column, usual) in gone {
        push_column(case, &column, Vec::new(), usual);
    }
}

fn push_column(case: &mut Case, column: &str, values: Vec<f64>, baseline: Vec<f64>) {
    // From the right: entity names may contain the separator, metric names do not.
    let mut parts = column.rsplitn(3, '|');
    let (stat, metric, entity) = (parts.next(), parts.next(), parts.next());
    if let (Some(entity), Some(metric), Some(stat)) = (entity, metric, stat) {
        case.add_series(entity, metric, stat, values, baseline);
    }
}

fn read_graph(case: &mut Case, text: &str) {
    let mut records = Records::new(text);
    let mut fields = Vec::new();
    records.next_into(&mut fields);
    while records.next_into(&mut fields) {
        if let [from, to, kind, ..] = fields.as_slice() {
            let kind = if kind == "runs_on" { EdgeKind::RunsOn } else { EdgeKind::Calls };
            case.add_edge(from, to, kind);
        }
    }
}

fn read_spans(case: &mut Case, text: &str) -> Vec<Span> {
    let mut records = Records::new(text);
    let mut fields = Vec::new();
    records.next_into(&mut fields);
    let mut spans = Vec::new();
    while records.next_into(&mut fields) {
        let [trace, span, parent, entity, operation, start, duration, ..] = fields.as_slice() else {
            continue;
        };
        let (Ok(start_us), Ok(duration_us)) = (start.parse(), duration.parse()) else {
            continue;
        };
        spans.push(Span {
            trace: parse_trace_id(trace),
            span: parse_span_id(span),
            parent: parse_span_id(parent),
            entity: case.names.intern(entity),
            operation: case.names.intern(operation),
            start_us,
            duration_us,
            kind: SpanKind::Unknown,
            status: SpanStatus::Unset,
        });
    }
    spans
}

fn read_logs(case: &mut Case, text: &str) -> Vec<LogLine> {
    let mut records = Records::new(text);
    let mut fields = Vec::new();
    records.next_into(&mut fields);
    let mut lines = Vec::new();
    while records.next_into(&mut fields) {
        let [time, entity, trace, span, message, ..] = fields.as_slice() else {
            continue;
        };
        let Ok(time_us) = time.parse() else { continue };
        lines.push(LogLine {
            time_us,
            entity: case.names.intern(entity),
            trace: parse_trace_id(trace),
            span: parse_span_id(span),
            severity: Severity::Unknown,
            message: message.as_ref().into(),
            template: None,
            count: 1,
        });
    }
    lines
}
