//! Plays a recording: loops its normal stretch, then its fault, then the normal stretch again, re-timed to data time.

use std::collections::HashSet;

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span as OtlpSpan, span::SpanKind};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::otlp::{Payload, attribute, gauge, nanos};
use crate::recording::{Recording, Rows, Segment, Trace};

const MINUTE_US: i64 = 60_000_000;
/// Statistics that are a unit rather than a quantile.
const UNITS: [(&str, &str); 5] =
    [("pct", "%"), ("millicores", "m{cpu}"), ("mib", "MiBy"), ("bytes", "By"), ("ops", "{request}/s")];

/// Which stretch is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Before the fault, and after its repair.
    Normal,
    /// During the fault.
    Fault,
}

/// Position in a recording. Deterministic: the same steps give the same bytes.
#[derive(Debug)]
pub struct Feeder {
    recording: Recording,
    mode: Mode,
    /// Data time at which the present stretch began to play.
    since_us: i64,
    /// How many stretches were played; makes ids unique.
    stretch: u64,
    metric_row: usize,
}

impl Feeder {
    /// Starts with normal data at `start_us`.
    #[must_use]
    pub fn new(recording: Recording, start_us: i64) -> Self {
        Self { recording, mode: Mode::Normal, since_us: start_us, stretch: 0, metric_row: 0 }
    }

    /// What is played.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Plays another stretch from `at_us` on, from its beginning.
    pub fn switch(&mut self, mode: Mode, at_us: i64) {
        self.mode = mode;
        self.since_us = at_us;
        self.stretch += 1;
        self.metric_row = 0;
    }

    /// Records of `from_us..to_us`. Traces are whole: one that begins inside brings all of its records.
    pub fn step(&mut self, from_us: i64, to_us: i64) -> Payload {
        let mut payload = Payload::default();
        let segment = match self.mode {
            Mode::Normal => &self.recording.normal,
            Mode::Fault => &self.recording.fault,
        };
        let length_us = segment.length_us.max(1);
        let (start, end) = (from_us - self.since_us, to_us - self.since_us);
        for lap in start.div_euclid(length_us)..=(end - 1).div_euclid(length_us) {
            let base = lap * length_us;
            let salt = format!("{}/{lap}", self.stretch);
            for trace in within(segment, start - base, end - base) {
                play(trace, self.since_us + base, &salt, &mut payload);
            }
        }
        let rows = match self.mode {
            Mode::Normal => &self.recording.normal_rows,
            Mode::Fault => &self.recording.fault_rows,
        };
        let mut minute = from_us.div_euclid(MINUTE_US) * MINUTE_US;
        while minute < to_us {
            if minute >= from_us {
                row(rows, self.metric_row, minute, &mut payload);
                self.metric_row += 1;
            }
            minute += MINUTE_US;
        }
        payload
    }
}

fn within(segment: &Segment, from: i64, to: i64) -> &[Trace] {
    let first = segment.traces.partition_point(|t| t.offset_us < from);
    let last = segment.traces.partition_point(|t| t.offset_us < to);
    segment.traces.get(first..last).unwrap_or_default()
}

fn play(trace: &Trace, base_us: i64, salt: &str, payload: &mut Payload) {
    let trace_id = if trace.id.is_empty() {
        Vec::new()
    } else {
        xxh3_128(format!("{salt}/{}", trace.id).as_bytes()).to_be_bytes().to_vec()
    };
    let span_id = |id: &str| -> Vec<u8> {
        if id.is_empty() {
            Vec::new()
        } else {
            xxh3_64(format!("{salt}/{id}").as_bytes()).to_be_bytes().to_vec()
        }
    };
    let service_of: std::collections::HashMap<&str, &str> =
        trace.spans.iter().map(|s| (s.id.as_str(), s.service.as_str())).collect();
    let callers: HashSet<&str> = trace
        .spans
        .iter()
        .filter(|s| service_of.get(s.parent.as_str()).is_some_and(|p| *p != s.service))
        .map(|s| s.parent.as_str())
        .collect();
    for span in &trace.spans {
        // The recording has no kinds; they follow from which spans cross from one service into another.
        let parent = service_of.get(span.parent.as_str());
        let kind = if parent.is_none_or(|p| *p != span.service) {
            SpanKind::Server
        } else if callers.contains(span.id.as_str()) {
            SpanKind::Client
        } else {
            SpanKind::Internal
        };
        let start = base_us + span.offset_us;
        payload.spans.entry(span.service.clone()).or_default().push(OtlpSpan {
            trace_id: trace_id.clone(),
            span_id: span_id(&span.id),
            parent_span_id: span_id(&span.parent),
            name: span.operation.clone(),
            kind: kind.into(),
            start_time_unix_nano: nanos(start),
            end_time_unix_nano: nanos(start + span.duration_us),
            ..OtlpSpan::default()
        });
    }
    for (index, line) in trace.lines.iter().enumerate() {
        let uid = format!(
            "{:032x}",
            xxh3_128(format!("{salt}/{}/{}/{index}", trace.id, trace.offset_us).as_bytes())
        );
        let (severity_text, severity_number) = severity(&line.message);
        payload.logs.entry(line.service.clone()).or_default().push(LogRecord {
            time_unix_nano: nanos(base_us + line.offset_us),
            observed_time_unix_nano: nanos(base_us + line.offset_us),
            severity_number,
            severity_text: severity_text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(line.message.clone())) }),
            attributes: vec![attribute("log.record.uid", &uid)],
            trace_id: trace_id.clone(),
            span_id: span_id(&line.span),
            ..LogRecord::default()
        });
    }
}

/// Level as the recorded applications print it (Logback), behind the time.
fn severity(message: &str) -> (&'static str, i32) {
    let head = message.get(..message.floor_char_boundary(32)).unwrap_or(message);
    for (name, number) in [("ERROR", 17), ("WARN", 13), ("INFO", 9), ("DEBUG", 5), ("TRACE", 1)] {
        if head.contains(name) {
            return (name, number);
        }
    }
    ("", 0)
}

fn row(rows: &Rows, index: usize, time_us: i64, payload: &mut Payload) {
    if rows.rows.is_empty() {
        return;
    }
    let Some(values) = rows.rows.get(index % rows.rows.len()) else { return };
    for (column, value) in rows.columns.iter().zip(values) {
        let Some(value) = value else { continue };
        let unit = UNITS.iter().find(|(stat, _)| *stat == column.stat).map(|(_, unit)| *unit);
        let (unit, attributes) = match unit {
            Some(unit) => (unit, Vec::new()),
            None => ("s", vec![attribute("stat", &column.stat)]),
        };
        payload.metrics.entry(column.service.clone()).or_default().push(gauge(
            &column.metric,
            unit,
            time_us,
            *value,
            attributes,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn feeder() -> Feeder {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/train-ticket/recordings/280661e3");
        Feeder::new(Recording::load(&folder).unwrap(), 0)
    }

    fn uids(payload: &Payload) -> Vec<String> {
        payload.logs.values().flatten().map(|r| format!("{:?}", r.attributes[0].value)).collect()
    }

    #[test]
    fn steps_cover_the_loop_once_whatever_their_length() {
        let (mut fine, mut coarse) = (feeder(), feeder());
        let mut a: Vec<String> =
            (0..30).flat_map(|i| uids(&fine.step(i * 10_000_000, (i + 1) * 10_000_000))).collect();
        let mut b = uids(&coarse.step(0, 300_000_000));
        let total = a.len();
        a.sort();
        b.sort();
        assert_eq!(a, b);
        a.dedup();
        assert_eq!(a.len(), total, "every record has an id of its own, in every lap");
        assert!(total > 1_000);
    }

    #[test]
    fn one_metric_row_a_minute() {
        let mut feeder = feeder();
        assert!(!feeder.step(0, 10_000_000).metrics.is_empty());
        assert!(feeder.step(10_000_000, 60_000_000).metrics.is_empty());
        assert!(!feeder.step(60_000_000, 70_000_000).metrics.is_empty());
    }
}
