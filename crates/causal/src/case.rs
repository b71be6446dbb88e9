//! The plain input of a ranking: what was observed around a symptom, and what is normal.

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use crate::state::StateKind;

/// An interned string of one [`Case`]. Only meaningful together with the [`Names`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sym(pub u32);

/// String table: entities, operations and signals are stored once and compared by number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Box<str>>", into = "Vec<Box<str>>")]
pub struct Names {
    texts: Vec<Box<str>>,
    index: AHashMap<Box<str>, Sym>,
}

impl From<Vec<Box<str>>> for Names {
    fn from(texts: Vec<Box<str>>) -> Self {
        let index = texts.iter().zip(0..).map(|(text, number)| (text.clone(), Sym(number))).collect();
        Self { texts, index }
    }
}

impl From<Names> for Vec<Box<str>> {
    fn from(names: Names) -> Self {
        names.texts
    }
}

impl Names {
    /// The symbol of `text`, new or known.
    pub fn intern(&mut self, text: &str) -> Sym {
        if let Some(known) = self.index.get(text) {
            return *known;
        }
        let sym = Sym(self.texts.len() as u32);
        self.texts.push(text.into());
        self.index.insert(text.into(), sym);
        sym
    }

    /// The symbol of `text` when it was interned before.
    pub fn get(&self, text: &str) -> Option<Sym> {
        self.index.get(text).copied()
    }

    /// The text of a symbol; empty for a symbol of another table.
    pub fn text(&self, sym: Sym) -> &str {
        self.texts.get(sym.0 as usize).map_or("", |t| t)
    }

    /// Number of distinct strings.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether nothing was interned.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// The signal that raised the alarm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Symptom {
    /// Entity that shows the symptom: usually a service or an entry point.
    pub entity: Sym,
    /// Metric name as in [`Series::metric`].
    pub metric: String,
    /// Statistic as in [`Series::stat`].
    pub stat: String,
    /// When the alarm was raised, microseconds since the Unix epoch; may be late by a few points.
    pub start_us: i64,
}

/// One metric series: values around the symptom, and values of normal operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// The entity that the series describes.
    pub entity: Sym,
    /// Metric name, for example `latency` or `http.server.request.duration`.
    pub metric: String,
    /// Statistic or unit, for example `p99`, `Average`, `pct`; may be empty.
    pub stat: String,
    /// One value for each of [`Case::times_us`]; NaN where missing. May be shorter: the rest is missing.
    pub values: Vec<f64>,
    /// Values of normal operation, one for each of [`Case::baseline_times_us`] where those are known; NaN where missing.
    pub baseline: Vec<f64>,
}

/// What an edge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EdgeKind {
    /// The source calls the target.
    Calls,
    /// The source is placed on the target.
    RunsOn,
}

/// A directed edge of the topology at the time of the symptom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Caller, or the thing that is placed.
    pub from: Sym,
    /// Callee, or the host.
    pub to: Sym,
    /// Which of the two.
    pub kind: EdgeKind,
}

/// Role of a span in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpanKind {
    /// Not stated; derived from the entities of parent and child.
    #[default]
    Unknown,
    /// The caller's side.
    Client,
    /// The callee's side.
    Server,
    /// Inside one process.
    Internal,
}

/// Whether a span failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpanStatus {
    /// Not stated.
    #[default]
    Unset,
    /// Stated as success.
    Ok,
    /// Stated as failed.
    Error,
}

/// A span, reduced to what attribution needs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Trace; see [`parse_trace_id`].
    pub trace: u128,
    /// Span; see [`parse_span_id`]. 0 is invalid.
    pub span: u64,
    /// Parent span, 0 for a root.
    pub parent: u64,
    /// Service that made the span.
    pub entity: Sym,
    /// Operation name, interned in [`Case::names`].
    pub operation: Sym,
    /// Start, microseconds since the Unix epoch.
    pub start_us: i64,
    /// Duration, microseconds.
    pub duration_us: i64,
    /// Role.
    pub kind: SpanKind,
    /// Outcome.
    pub status: SpanStatus,
}

/// Severity of a log line, coarse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Not stated; derived from the text.
    #[default]
    Unknown,
    /// Debug and trace.
    Debug,
    /// Info.
    Info,
    /// Warning.
    Warn,
    /// Error and fatal.
    Error,
}

/// A log line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// When, microseconds since the Unix epoch.
    pub time_us: i64,
    /// Service that wrote it.
    pub entity: Sym,
    /// Trace, 0 when unknown.
    pub trace: u128,
    /// Span, 0 when unknown.
    pub span: u64,
    /// Severity; [`Severity::Unknown`] makes the ranking look for a level word in the text.
    pub severity: Severity,
    /// The message; the skeleton of the template where only counts are known.
    pub message: Box<str>,
    /// Template id where the caller has one; else the message is masked here.
    pub template: Option<u64>,
    /// How many lines this one stands for, at least 1 (more when the caller sends counts by template).
    pub count: u32,
}

/// Kind of a change event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    /// New code: an image, a rollout, a function version.
    Release,
    /// ConfigMap, Secret, environment, feature flag.
    Config,
    /// Replica count, autoscaler bounds, limits.
    Scaling,
    /// Node added, removed, cordoned, drained, or a pod moved.
    Infrastructure,
    /// Anything else that was announced.
    Other,
}

/// One changed field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// Path of the field, for example `data.NL`.
    pub path: String,
    /// Old value; a hash for secrets; empty when it did not exist.
    pub old: String,
    /// New value; empty when it was removed.
    pub new: String,
}

/// A change that was observed before or during the symptom. A candidate, never a cause without a symptom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// When it was observed, microseconds since the Unix epoch.
    pub time_us: i64,
    /// The service it touches, or the host that services run on.
    pub entity: Sym,
    /// The changed object where it differs from the entity, for example `ConfigMap/shop/tax-rates`; may be empty.
    pub object: String,
    /// Kind.
    pub kind: ChangeKind,
    /// One sentence for people; plays no part in the ranking.
    pub description: String,
    /// Changed fields.
    pub diff: Vec<FieldDiff>,
    /// Who, empty when unknown.
    pub author: String,
    /// The declared event whose change freeze held then; empty when none did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub frozen_by: String,
}

/// Something that is wrong in itself at the time of the symptom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Since when, microseconds since the Unix epoch.
    pub since_us: i64,
    /// The service, or the host that services run on.
    pub entity: Sym,
    /// What is wrong.
    pub kind: StateKind,
    /// The object, for example `Pod/shop/tax-7d9f-x2`; may be empty.
    pub object: String,
    /// A sentence for people.
    pub note: String,
}

/// Everything known around one symptom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Name of the case, repeated in the output.
    pub id: String,
    /// Strings of the case.
    pub names: Names,
    /// The symptom.
    pub symptom: Symptom,
    /// Distance of two metric points, seconds.
    pub interval_s: u32,
    /// Metric timestamps around the symptom, ascending, microseconds since the Unix epoch.
    pub times_us: Vec<i64>,
    /// Timestamps of the baseline values, ascending; empty when unknown.
    pub baseline_times_us: Vec<i64>,
    /// Metric series.
    pub series: Vec<Series>,
    /// Topology.
    pub edges: Vec<Edge>,
    /// Spans of the incident window.
    pub spans: Vec<Span>,
    /// Spans of normal operation, any duration.
    pub baseline_spans: Vec<Span>,
    /// Log lines of the incident window.
    pub logs: Vec<LogLine>,
    /// Log lines of normal operation.
    pub baseline_logs: Vec<LogLine>,
    /// Changes.
    pub changes: Vec<Change>,
    /// States that are wrong in themselves.
    #[serde(default)]
    pub states: Vec<State>,
}

impl Case {
    /// An empty case about one symptom. `interval_s` is the distance of two metric points (at least 1).
    pub fn new(id: &str, entity: &str, metric: &str, stat: &str, start_us: i64, interval_s: u32) -> Self {
        let mut names = Names::default();
        let entity = names.intern(entity);
        Self {
            id: id.to_owned(),
            names,
            symptom: Symptom { entity, metric: metric.to_owned(), stat: stat.to_owned(), start_us },
            interval_s: interval_s.max(1),
            times_us: Vec::new(),
            baseline_times_us: Vec::new(),
            series: Vec::new(),
            edges: Vec::new(),
            spans: Vec::new(),
            baseline_spans: Vec::new(),
            logs: Vec::new(),
            baseline_logs: Vec::new(),
            changes: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Adds an edge between two entities by name.
    pub fn add_edge(&mut self, from: &str, to: &str, kind: EdgeKind) {
        let (from, to) = (self.names.intern(from), self.names.intern(to));
        self.edges.push(Edge { from, to, kind });
    }

    /// Adds a metric series; `values` align with [`Case::times_us`], `baseline` with [`Case::baseline_times_us`].
    pub fn add_series(
        &mut self,
        entity: &str,
        metric: &str,
        stat: &str,
        values: Vec<f64>,
        baseline: Vec<f64>,
    ) {
        let entity = self.names.intern(entity);
        self.series.push(Series {
            entity,
            metric: metric.to_owned(),
            stat: stat.to_owned(),
            values,
            baseline,
        });
    }

    /// Text of a symbol.
    pub fn name(&self, sym: Sym) -> &str {
        self.names.text(sym)
    }
}

/// A trace id from its hex text (up to 32 digits); other texts are hashed, the empty text is 0.
pub fn parse_trace_id(text: &str) -> u128 {
    if text.is_empty() {
        return 0;
    }
    match u128::from_str_radix(text, 16) {
        Ok(id) if text.len() <= 32 => id,
        _ => xxhash_rust::xxh3::xxh3_128(text.as_bytes()).max(1),
    }
}

/// A span id from its hex text (up to 16 digits); other texts are hashed, the empty text is 0.
pub fn parse_span_id(text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    match u64::from_str_radix(text, 16) {
        Ok(id) if text.len() <= 16 => id,
        _ => xxhash_rust::xxh3::xxh3_64(text.as_bytes()).max(1),
    }
}
