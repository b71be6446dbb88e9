//! What is declared about the normal of a series, and when a deviation counts.

use causeway_model::SeriesKind;
use causeway_predict::{Config, Direction, MissingData, ModelKind, Sensitivity, SignalKind, WindowRule};
use serde::{Deserialize, Serialize};

use super::outlook::OutlookConfig;
use crate::asked::{LATENESS_US, Question};
use crate::peak::Subject;

/// A Baseline as the engine follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineConfig {
    /// Namespace of the Baseline.
    pub namespace: String,
    /// Name of the Baseline.
    pub name: String,
    /// Entities in telemetry whose series are followed, such as `web` and `shop/web`.
    pub entities: Vec<String>,
    /// Which series.
    pub selector: Selector,
    /// Series followed at most.
    pub max_series: usize,
    /// How normal is known. Bounds of [`ModelKind::Static`] are seconds for latencies, a share for errors, requests a
    /// second for traffic, occurrences in a point for log patterns and counters, else the unit of the metric.
    pub model: ModelKind,
    /// Which side counts.
    pub direction: Direction,
    /// How many false alarms are tolerated.
    pub sensitivity: Sensitivity,
    /// Length of a point in microseconds, a multiple of the length of a window.
    pub resolution_us: i64,
    /// Points that open and close a finding.
    pub rule: WindowRule,
    /// What a point without data counts as.
    pub missing: MissingData,
    /// Fewer events than this in a point are too few to judge a latency, a share, or a rise of a count. Levels have none.
    pub minimum_events: f64,
    /// Microseconds of history below which nothing is raised.
    pub minimum_history_us: i64,
    /// Nothing is followed.
    pub suspended: bool,
    /// Whether to look ahead, and at what.
    #[serde(default)]
    pub outlook: Option<OutlookConfig>,
    /// Attributes of a metric that make a series each; the others are added up. Empty: every set of attributes is one.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// Microseconds after the end of a point during which late data counts. Beyond what gateways wait for, the lake is asked.
    #[serde(default)]
    pub delay_us: i64,
    /// Microseconds of the past, as the lake has it, that are learned from at the start.
    #[serde(default)]
    pub history_us: i64,
}

/// Which series a Baseline follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Selector {
    /// Mean duration of the requests served, in seconds; the service's own detector rests meanwhile.
    Latency,
    /// Share of the requests served that failed; the service's own detector rests meanwhile.
    Errors,
    /// Requests served in a second.
    Traffic,
    /// A metric by name: every set of its attributes is a series.
    Metric(String),
    /// Counts of log templates that contain this text: every template is a series.
    LogPattern(String),
    /// What the lake answers to a question.
    Query(Question),
}

impl Selector {
    /// What its series tell.
    pub(super) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Latency => Subject::Latency,
            Self::Errors => Subject::Errors,
            Self::Traffic => Subject::Traffic,
            Self::Metric(name) => Subject::Metric(name),
            Self::LogPattern(_) => Subject::Pattern,
            Self::Query(Question { kind: SeriesKind::Count, .. }) => Subject::Pattern,
            Self::Query(question) => Subject::Metric(&question.signal),
        }
    }
}

/// How the values of a point come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// Mean of levels.
    Level,
    /// Mean of durations.
    Duration,
    /// Bad ones in all.
    Share,
    /// Occurrences in the point; a point without any is a zero.
    Count,
}

/// Flagged points a day at most, by sensitivity, when several are needed: what single points of noise may cause.
const FLAGS: [(Sensitivity, f64); 3] =
    [(Sensitivity::Low, 3.0), (Sensitivity::Medium, 8.0), (Sensitivity::High, 24.0)];
/// Points of a learned model's warm-up.
const WARMUP: [i64; 2] = [20, 250];

impl BaselineConfig {
    /// The text that log templates contain, if these are followed.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.selector {
            Selector::LogPattern(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the same points are made as by `other`, so that what was learned stays of use.
    pub(super) fn learns_like(&self, other: &Self) -> bool {
        self.entities == other.entities
            && self.selector == other.selector
            && self.group_by == other.group_by
            && self.resolution_us == other.resolution_us
            && self.model == other.model
            && self.direction == other.direction
            && self.sensitivity == other.sensitivity
            && self.rule == other.rule
            && self.missing == other.missing
            && self.minimum_history_us == other.minimum_history_us
    }

    /// Whether windows do not hold its series, or not in time.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.selector, Selector::Query(_)) || self.delay_us > LATENESS_US
    }

    /// Microseconds without a value after which data counts as missing.
    pub(super) fn quiet_us(&self) -> i64 {
        let asked = if self.is_asked() { self.delay_us.max(LATENESS_US) + self.resolution_us } else { 0 };
        (2 * self.resolution_us).max(60_000_000) + asked
    }

    /// Settings of the detector of one series.
    pub(super) fn detector(&self, form: Form) -> Config {
        let kind = match form {
            Form::Level => SignalKind::Gauge,
            Form::Duration => SignalKind::Latency,
            Form::Share => SignalKind::Ratio,
            Form::Count => SignalKind::Count,
        };
        let warmup = (self.minimum_history_us / self.resolution_us.max(1)).clamp(WARMUP[0], WARMUP[1]);
        Config {
            model: self.scaled_model(),
            direction: self.direction,
            false_alarms_per_day: self.flags_per_day(),
            step: Some((self.resolution_us / 1_000_000).max(1)),
            warmup: warmup as usize,
            ..Config::golden(kind)
        }
    }

    /// Factor from the unit of people to that of the detector.
    pub(super) fn factor(&self) -> f64 {
        match self.selector {
            Selector::Traffic => self.resolution_us as f64 / 1e6,
            _ => 1.0,
        }
    }

    fn scaled_model(&self) -> ModelKind {
        match self.model {
            ModelKind::Static { lower, upper } => {
                let scale = |bound: Option<f64>| bound.map(|b| b * self.factor());
                ModelKind::Static { lower: scale(lower), upper: scale(upper) }
            }
            learned => learned,
        }
    }

    /// How many points a day may be flagged, so that so many of so many at once stay within the budget of the
    /// sensitivity: `N * C(m, n) * p^n` alarms a day for `N` points, with `C(m, n)` at most `(e m / n)^n`. Neighbouring
    /// points are not independent, hence the cap.
    fn flags_per_day(&self) -> f64 {
        let budget = self.sensitivity.false_alarms_per_day();
        let points = 86_400e6 / self.resolution_us.max(1) as f64;
        let (n, m) = (f64::from(self.rule.violating.max(1)), f64::from(self.rule.size.max(1)));
        if self.rule.violating <= 1 {
            return budget / m;
        }
        let share = (budget / points).powf(1.0 / n) * n / (std::f64::consts::E * m);
        let cap = FLAGS.iter().find(|(s, _)| *s == self.sensitivity).map_or(8.0, |(_, flags)| *flags);
        (share * points).clamp(budget, cap)
    }

    /// Whether the model learns.
    pub(crate) fn is_learned(&self) -> bool {
        !matches!(self.model, ModelKind::Static { .. })
    }
}
