//! Findings of detectors, and events.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde::{Deserialize, Serialize};

use crate::batch::{append_map, text_map};
use crate::{BatchError, Micros, SeriesId, Table};

/// How much of the expected data a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completeness {
    /// Newest event time minus allowed lateness, over all sources of the series.
    pub watermark_us: Micros,
    /// Records seen in the window.
    pub seen: u64,
    /// Records expected in the window, from the recent rate.
    pub expected: f64,
}

impl Completeness {
    /// Share of the expected records, 0 to 1; 1 when nothing was expected.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.expected <= 0.0 { 1.0 } else { (self.seen as f64 / self.expected).min(1.0) }
    }
}

/// State of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FindingState {
    /// The signal is outside of its normal band.
    Open,
    /// It came back, with data flowing.
    Closed,
    /// Data stopped: neither abnormal nor recovered.
    NoData,
}

impl FindingState {
    /// The value of the `state` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::NoData => "no-data",
        }
    }
}

/// A detector's verdict that something changed state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable id: hash of the series and of the window in which it opened.
    pub id: String,
    /// Tenant.
    pub namespace: String,
    /// Series.
    pub series: SeriesId,
    /// State.
    pub state: FindingState,
    /// End of the window that led to the verdict, in data time.
    pub at_us: Micros,
    /// Start of the first abnormal window.
    pub since_us: Micros,
    /// Observed value.
    pub observed: f64,
    /// Expected value.
    pub expected: f64,
    /// Band, low.
    pub lower: f64,
    /// Band, high.
    pub upper: f64,
    /// −log10 of the tail probability.
    pub score: f64,
    /// What the verdict rests on.
    pub completeness: Completeness,
    /// A sentence for people, where the numbers alone do not tell what they mean; else empty.
    #[serde(default)]
    pub note: String,
}

/// Findings as rows of [`Table::Findings`].
///
/// # Errors
/// When Arrow refuses the columns.
pub fn findings_batch(findings: &[Finding]) -> Result<RecordBatch, BatchError> {
    let text = |f: fn(&Finding) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(findings.iter().map(f)))
    };
    let number = |f: fn(&Finding) -> f64| -> ArrayRef {
        let mut b = Float64Builder::with_capacity(findings.len());
        findings.iter().map(f).for_each(|v| b.append_option(v.is_finite().then_some(v)));
        Arc::new(b.finish())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times(findings.iter().map(|f| f.at_us))),
        text(|f| f.namespace.clone()),
        text(|f| f.id.clone()),
        text(|f| f.series.entity.to_string()),
        text(|f| match f.series.group.as_ref() {
            "" => f.series.signal.to_string(),
            group => format!("{} {group}", f.series.signal),
        }),
        text(|f| f.state.as_str().to_owned()),
        number(|f| f.observed),
        number(|f| f.expected),
        number(|f| f.lower),
        number(|f| f.upper),
        Arc::new(Float64Array::from_iter_values(findings.iter().map(|f| f.score))),
        Arc::new(Float64Array::from_iter_values(findings.iter().map(|f| f.completeness.share()))),
    ];
    Ok(RecordBatch::try_new(Table::Findings.schema(), columns)?)
}

/// Something that happened at one moment: a change, a Kubernetes event, a source that fell silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time_us: Micros,
    /// Tenant.
    pub namespace: String,
    /// Kind, such as `Change` or `SourceSilent`.
    pub kind: String,
    /// What it happened to, as in [`crate::EntityRef`]'s text.
    pub entity: String,
    /// Machine-readable reason.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Details, such as the field, its old and its new value.
    pub attributes: Vec<(String, String)>,
}

/// Events as rows of [`Table::Events`].
///
/// # Errors
/// When Arrow refuses the columns.
pub fn events_batch(events: &[Event]) -> Result<RecordBatch, BatchError> {
    let mut texts: [StringBuilder; 5] = Default::default();
    let mut attributes = text_map();
    for e in events {
        for (builder, value) in
            texts.iter_mut().zip([&e.namespace, &e.kind, &e.entity, &e.reason, &e.message])
        {
            builder.append_value(value);
        }
        let pairs: Vec<(&str, &str)> = e.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        append_map(&mut attributes, &pairs)?;
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(times(events.iter().map(|e| e.time_us)))];
    for mut builder in texts {
        columns.push(Arc::new(builder.finish()));
    }
    columns.push(Arc::new(attributes.finish()));
    Ok(RecordBatch::try_new(Table::Events.schema(), columns)?)
}

fn times(values: impl Iterator<Item = Micros>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC")
}
