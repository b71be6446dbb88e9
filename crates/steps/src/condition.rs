//! Small typed conditions that select rows of a batch.

use std::collections::BTreeMap;

use arrow_array::{Array, BooleanArray, Int32Array, MapArray, RecordBatch, StringArray};
use causeway_model::{Batch, map_get};
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StepError;

/// Largest compiled size of a user's regular expression, in bytes.
pub(crate) const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// Signal of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignalType {
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
    /// Spans.
    Spans,
}

/// Severity of a log record, by the ranges of OpenTelemetry's severity numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SeverityLevel {
    /// 1 to 4.
    Trace,
    /// 5 to 8.
    Debug,
    /// 9 to 12.
    Info,
    /// 13 to 16.
    Warn,
    /// 17 to 20.
    Error,
    /// 21 to 24.
    Fatal,
}

impl SeverityLevel {
    /// Lowest severity number of the level.
    #[must_use]
    pub fn first_number(self) -> i32 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }
}

/// Conditions on a record; all that are given must hold. Conditions on severity and body hold for log records only,
/// and a record of unknown severity meets no condition on severity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchSpec {
    /// The record is of this signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalType>,
    /// Severity is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<SeverityLevel>,
    /// Severity is known and below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_below: Option<SeverityLevel>,
    /// Service, as `namespace/name` or a bare name, equals this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
    /// The body contains this text, case-sensitively.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub body_contains: Option<String>,
    /// The body matches this regular expression somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub body_matches: Option<String>,
    /// Attributes of the record, or else of its resource, have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub attributes: BTreeMap<String, String>,
}

/// A compiled [`MatchSpec`].
#[derive(Debug)]
pub(crate) struct Condition {
    spec: MatchSpec,
    body: Option<Regex>,
}

impl Condition {
    /// Compiles the regular expression.
    ///
    /// # Errors
    /// [`StepError::Regex`] when it is not one or is too large, [`StepError::EmptyMatch`] without any condition.
    pub(crate) fn compile(step: &str, spec: &MatchSpec) -> Result<Self, StepError> {
        if *spec == MatchSpec::default() {
            return Err(StepError::EmptyMatch { step: step.to_owned() });
        }
        let body = spec.body_matches.as_deref().map(|text| user_regex(step, text)).transpose()?;
        Ok(Self { spec: spec.clone(), body })
    }

    /// One value a row: whether all conditions hold.
    pub(crate) fn select(&self, batch: &Batch) -> BooleanArray {
        let rows = batch.record_batch();
        let count = rows.num_rows();
        let signal = match batch {
            Batch::Logs(_) => SignalType::Logs,
            Batch::Metrics(_) => SignalType::Metrics,
            Batch::Spans(_) => SignalType::Spans,
        };
        let s = &self.spec;
        let log_only = s.min_severity.is_some()
            || s.severity_below.is_some()
            || s.body_contains.is_some()
            || s.body_matches.is_some();
        if s.signal.is_some_and(|want| want != signal) || (log_only && signal != SignalType::Logs) {
            return BooleanArray::from(vec![false; count]);
        }
        let mut keep = vec![true; count];
        if s.min_severity.is_some() || s.severity_below.is_some() {
            self.by_severity(rows, &mut keep);
        }
        if let Some(service) = &s.service {
            retain::<StringArray>(rows, "service", &mut keep, |c, i| c.value(i) == service);
        }
        if let Some(text) = &s.body_contains {
            retain::<StringArray>(rows, "body", &mut keep, |c, i| c.value(i).contains(text));
        }
        if let Some(regex) = &self.body {
            retain::<StringArray>(rows, "body", &mut keep, |c, i| regex.is_match(c.value(i)));
        }
        for (key, want) in &s.attributes {
            let own: Option<&MapArray> = column(rows, "attributes");
            retain::<MapArray>(rows, "resource", &mut keep, |resource, i| {
                own.and_then(|own| map_get(own, i, key)).or_else(|| map_get(resource, i, key)) == Some(want)
            });
        }
        BooleanArray::from(keep)
    }

    fn by_severity(&self, rows: &RecordBatch, keep: &mut [bool]) {
        let from = self.spec.min_severity.map_or(1, SeverityLevel::first_number).max(1);
        let below = self.spec.severity_below.map_or(i32::MAX, SeverityLevel::first_number);
        retain::<Int32Array>(rows, "severity_number", keep, |c, i| (from..below).contains(&c.value(i)));
    }
}

/// A regular expression of a user, with a bound on its compiled size.
pub(crate) fn user_regex(step: &str, text: &str) -> Result<Regex, StepError> {
    RegexBuilder::new(text)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|e| StepError::Regex { step: step.to_owned(), reason: e.to_string() })
}

fn column<'a, T: 'static>(rows: &'a RecordBatch, name: &str) -> Option<&'a T> {
    rows.column_by_name(name).and_then(|c| c.as_any().downcast_ref())
}

/// Clears the rows for which `holds` is false; all of them when the column is missing.
fn retain<T: Array + 'static>(
    rows: &RecordBatch,
    name: &str,
    keep: &mut [bool],
    holds: impl Fn(&T, usize) -> bool,
) {
    let column: Option<&T> = column(rows, name);
    for (row, keep) in keep.iter_mut().enumerate() {
        *keep = *keep && column.is_some_and(|c| holds(c, row));
    }
}
