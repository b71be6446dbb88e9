//! A recording on disk: spans, logs and metric rows around one real fault, without its label.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// One span, with its start relative to the segment.
#[derive(Clone, Debug)]
pub struct Span {
    /// Span id in hex.
    pub id: String,
    /// Parent's id, empty for a root.
    pub parent: String,
    /// Service.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Microseconds since the start of the segment.
    pub offset_us: i64,
    /// Duration in microseconds.
    pub duration_us: i64,
}

/// One log line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Service.
    pub service: String,
    /// Span id, may be empty.
    pub span: String,
    /// Microseconds since the start of the segment.
    pub offset_us: i64,
    /// Message as recorded.
    pub message: String,
}

/// All that belongs to one trace, so that a trace is played whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Trace id in hex; empty for lines without one.
    pub id: String,
    /// Earliest record.
    pub offset_us: i64,
    /// Spans by time.
    pub spans: Vec<Span>,
    /// Lines by time.
    pub lines: Vec<Line>,
}

/// A stretch of recorded time that can be looped.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Traces by time.
    pub traces: Vec<Trace>,
    /// Length in microseconds.
    pub length_us: i64,
}

/// A column of the metric table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Service.
    pub service: String,
    /// Metric name.
    pub metric: String,
    /// Statistic or unit, as recorded.
    pub stat: String,
}

/// Metric rows at one a minute; missing cells are `None`.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Columns.
    pub columns: Vec<Column>,
    /// Values by row and column.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// A recording, split at the start of the fault. Normal data is from before the fault only.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the case.
    pub name: String,
    /// Normal spans and logs.
    pub normal: Segment,
    /// Spans and logs of the fault.
    pub fault: Segment,
    /// Normal metrics.
    pub normal_rows: Rows,
    /// Metrics of the fault.
    pub fault_rows: Rows,
}

#[derive(Deserialize)]
struct CaseFile {
    id: String,
    incident: IncidentStart,
    files: HashMap<String, String>,
}

#[derive(Deserialize)]
struct IncidentStart {
    start: jiff::Timestamp,
}

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Metric rows of normal operation that are looped at most.
const MAX_NORMAL_ROWS: usize = 26;

impl Recording {
    /// Reads the folder of a case.
    ///
    /// # Errors
    /// When a file is missing or malformed; the message names it.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("case.json");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let case: CaseFile =
            serde_json::from_str(&text).with_context(|| format!("{} is not a case", path.display()))?;
        let start_us = case.incident.start.as_microsecond();
        let file = |key: &str| -> Result<PathBuf> {
            let name =
                case.files.get(key).with_context(|| format!("{} names no file `{key}`", path.display()))?;
            Ok(folder.join(name))
        };
        let mut own = traces(&file("traces")?, &file("logs")?)?;
        let before = traces(&file("baseline_traces")?, &file("baseline_logs")?)?;
        let split = own.partition_point(|t| t.offset_us < start_us);
        let fault = own.split_off(split);
        let mut normal = Segment::default();
        // The baseline minute of the day may lie after this fault: then it must not be used.
        if before.last().is_some_and(|t| t.offset_us < start_us) {
            normal.append(before);
        }
        normal.append(own);
        if normal.traces.is_empty() || fault.is_empty() {
            bail!("{}: no traces before or after the start of the fault", folder.display());
        }
        let mut faulty = Segment::default();
        faulty.append(fault);
        let minute = start_us.div_euclid(MINUTE_US) * MINUTE_US;
        let (times, table) = metric_table(&file("metrics")?)?;
        let (base_times, base) = metric_table(&file("baseline_metrics")?)?;
        let mut normal_rows = select(&base, &base_times, |t| t < minute);
        let own_rows = select(&table, &times, |t| t < minute);
        if normal_rows.rows.len() < 2 || base.columns.len() != table.columns.len() {
            normal_rows = own_rows;
        }
        let surplus = normal_rows.rows.len().saturating_sub(MAX_NORMAL_ROWS);
        normal_rows.rows.drain(..surplus);
        let fault_rows = select(&table, &times, |t| t >= minute);
        Ok(Self { name: case.id, normal, fault: faulty, normal_rows, fault_rows })
    }

    /// Names of all services in the recording, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .normal
            .traces
            .iter()
            .chain(&self.fault.traces)
            .flat_map(|t| t.spans.iter().map(|s| s.service.clone()))
            .chain(self.normal_rows.columns.iter().map(|c| c.service.clone()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Segment {
    /// Appends traces in absolute time behind what is there, without a gap.
    fn append(&mut self, traces: Vec<Trace>) {
        let (Some(first), Some(last)) = (traces.first(), traces.last()) else { return };
        let base = first.offset_us;
        // The next one starts a mean gap after the last.
        let span = last.offset_us - base;
        let gap = span / i64::try_from(traces.len()).unwrap_or(1).max(1);
        let shift = self.length_us - base;
        for mut trace in traces {
            trace.offset_us += shift;
            trace.spans.iter_mut().for_each(|s| s.offset_us += shift);
            trace.lines.iter_mut().for_each(|l| l.offset_us += shift);
            self.traces.push(trace);
        }
        self.length_us += span + gap.max(1);
    }
}

fn open(path: &Path) -> Result<Vec<Vec<String>>> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot unpack {}", path.display()))?;
    Ok(csv_records(&text))
}

/// Traces in absolute time, sorted by their first record.
fn traces(spans: &Path, logs: &Path) -> Result<Vec<Trace>> {
    let mut by_id: HashMap<String, Trace> = HashMap::new();
    for row in open(spans)?.into_iter().skip(1) {
        let [trace, id, parent, service, operation, start, duration] = fields(row, spans)?;
        let span = Span {
            id,
            parent,
            service,
            operation,
            offset_us: number(&start, spans)?,
            duration_us: number(&duration, spans)?,
        };
        by_id.entry(trace).or_default().spans.push(span);
    }
    for row in open(logs)?.into_iter().skip(1) {
        let [time, service, trace, span, message] = fields(row, logs)?;
        let line = Line { service, span, offset_us: number(&time, logs)?, message };
        // A line without a trace is a unit of its own.
        let key = if trace.is_empty() { format!("line:{}", by_id.len()) } else { trace };
        by_id.entry(key).or_default().lines.push(line);
    }
    let mut traces: Vec<Trace> = by_id
        .into_iter()
        .map(|(id, mut trace)| {
            trace.spans.sort_by_key(|s| s.offset_us);
            // Some recorded lines carry times of the year 1754: they happened with their trace.
            if let Some(begin) = trace.spans.first().map(|s| s.offset_us) {
                for line in trace.lines.iter_mut().filter(|l| (l.offset_us - begin).abs() > HOUR_US) {
                    line.offset_us = begin;
                }
            }
            trace.lines.retain(|l| l.offset_us > 0);
            trace.lines.sort_by_key(|l| l.offset_us);
            let first =
                trace.spans.iter().map(|s| s.offset_us).chain(trace.lines.iter().map(|l| l.offset_us));
            trace.offset_us = first.min().unwrap_or_default();
            trace.id = if id.starts_with("line:") { String::new() } else { id };
            trace
        })
        .collect();
    traces.retain(|t| !t.spans.is_empty() || !t.lines.is_empty());
    traces.sort_by(|a, b| (a.offset_us, &a.id).cmp(&(b.offset_us, &b.id)));
    Ok(traces)
}

fn fields<const N: usize>(row: Vec<String>, path: &Path) -> Result<[String; N]> {
    let got = row.len();
    row.try_into().map_err(|_| anyhow::anyhow!("{}: a row has {got} fields, not {N}", path.display()))
}

fn number(text: &str, path: &Path) -> Result<i64> {
    text.parse().with_context(|| format!("{}: `{text}` is not a whole number", path.display()))
}

fn metric_table(path: &Path) -> Result<(Vec<i64>, Rows)> {
    let mut records = open(path)?.into_iter();
    let header = records.next().with_context(|| format!("{} is empty", path.display()))?;
    let columns = header
        .iter()
        .skip(1)
        .map(|name| match name.split('|').collect::<Vec<_>>()[..] {
            [service, metric, stat] => {
                Ok(Column { service: service.into(), metric: metric.into(), stat: stat.into() })
            }
            _ => bail!("{}: column `{name}` is not entity|metric|stat", path.display()),
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut times, mut rows) = (Vec::new(), Vec::new());
    for record in records {
        let mut cells = record.into_iter();
        let time = cells.next().unwrap_or_default();
        let time: jiff::Timestamp =
            time.parse().with_context(|| format!("{}: `{time}` is not a time", path.display()))?;
        times.push(time.as_microsecond());
        rows.push(cells.map(|c| c.parse::<f64>().ok().filter(|v| v.is_finite())).collect());
    }
    Ok((times, Rows { columns, rows }))
}

fn select(table: &Rows, times: &[i64], keep: impl Fn(i64) -> bool) -> Rows {
    let rows = table.rows.iter().zip(times).filter(|(_, t)| keep(**t)).map(|(row, _)| row.clone()).collect();
    Rows { columns: table.columns.clone(), rows }
}

/// Records of a CSV text (RFC 4180: quotes, doubled quotes, line breaks inside quotes).
fn csv_records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            (true, '"') => quoted = false,
            (true, c) => field.push(c),
            (false, '"') => quoted = true,
            (false, ',') => record.push(std::mem::take(&mut field)),
            (false, '\r') => {}
            (false, '\n') => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            (false, c) => field.push(c),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recordings() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/train-ticket/recordings")
    }

    #[test]
    fn quoted_fields_keep_commas_quotes_and_line_breaks() {
        assert_eq!(csv_records("a,\"b,\"\"c\"\"\nd\"\n1,2\n"), [vec!["a", "b,\"c\"\nd"], vec!["1", "2"]]);
    }

    #[test]
    fn every_shipped_recording_loads_and_uses_no_data_from_after_the_fault() {
        let mut count = 0;
        for entry in std::fs::read_dir(recordings()).unwrap() {
            let folder = entry.unwrap().path();
            if !folder.join("case.json").exists() {
                continue;
            }
            let recording = Recording::load(&folder).unwrap();
            assert!(
                !recording.normal_rows.rows.is_empty() && !recording.fault_rows.rows.is_empty(),
                "{folder:?}"
            );
            for segment in [&recording.normal, &recording.fault] {
                assert!(segment.traces.windows(2).all(|w| w[0].offset_us <= w[1].offset_us), "{folder:?}");
                assert!(segment.traces.iter().all(|t| (0..segment.length_us).contains(&t.offset_us)));
            }
            count += 1;
        }
        assert_eq!(count, 15);
    }
}
