//! What a user, or the engine, may say about a series before a detector sees it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::{Offsets, PeakEvent};

/// What the numbers of a series mean; it decides the scale on which deviations are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignalKind {
    /// Decided from the warm-up points: non-negative whole numbers are a [`Self::Count`], all else a [`Self::Gauge`].
    #[default]
    Auto,
    /// Any real number. Verdicts do not depend on its unit: scaling and shifting change nothing.
    Gauge,
    /// A total that only grows; judged as a rate per second. A fall is a reset, and the value after it is the increase.
    Counter,
    /// Events in one step. Judged on a square-root scale, at low rates by a negative binomial tail.
    Count,
    /// A share between 0 and 1. With the number of trials given as weight, a deviation must also be
    /// improbable for a binomial of that many trials.
    Ratio,
    /// A positive duration; judged on a logarithmic scale, so that only relative changes matter.
    Latency,
}

/// Which side of normal is a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// High values only.
    Above,
    /// Low values only.
    Below,
    /// Both.
    #[default]
    Both,
}

impl Direction {
    /// Whether a deviation of this sign counts.
    #[must_use]
    pub fn admits(self, deviation: f64) -> bool {
        match self {
            Self::Above => deviation > 0.0,
            Self::Below => deviation < 0.0,
            Self::Both => deviation != 0.0,
        }
    }
}

/// How many false alarms a user tolerates, for one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Sensitivity {
    /// One in about a year.
    Low,
    /// One in about 100 days.
    #[default]
    Medium,
    /// One in about ten days.
    High,
}

impl Sensitivity {
    /// The budget of false alarms, per day and series.
    #[must_use]
    pub fn false_alarms_per_day(self) -> f64 {
        match self {
            Self::Low => 0.003,
            Self::Medium => 0.01,
            Self::High => 0.1,
        }
    }
}

/// How normal is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum ModelKind {
    /// Nothing is learned: a value outside of the bounds is abnormal at once. An absent bound is not checked.
    Static {
        /// Lowest normal value, in the unit of the series.
        lower: Option<f64>,
        /// Highest normal value, in the unit of the series.
        upper: Option<f64>,
    },
    /// A level that follows the series; no seasons.
    Adaptive,
    /// Daily and weekly profiles, even while another expert would predict better.
    Seasonal,
    /// The expert with the lowest running error.
    #[default]
    Auto,
}

/// What siblings (the same signal of other pods or services) teach about a new series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prior {
    /// Typical value, in the unit of the series.
    pub level: f64,
    /// Typical absolute one-step prediction error, in the unit of the series; above 0.
    pub scale: f64,
}

impl Prior {
    /// What siblings have in common: the medians of their levels and scales. `None` of none. Give at least three; one
    /// among them that is off then does no harm.
    #[must_use]
    pub fn of_siblings(siblings: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| {
            let mut values: Vec<f64> = siblings.iter().map(of).filter(|v| v.is_finite()).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some(Self { level: median(|p| p.level)?, scale: median(|p| p.scale).filter(|&s| s > 0.0)? })
    }
}

/// Flagged windows a day of a golden signal, before the window rule asks for several.
const GOLDEN_FLAGS_PER_DAY: f64 = 8.0;

/// Settings of one detector. Cheap to share: detectors hold it in an [`Arc`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Meaning of the numbers.
    pub kind: SignalKind,
    /// Model.
    pub model: ModelKind,
    /// Side that is a problem.
    pub direction: Direction,
    /// Budget of false alarms, per day and series; above 0.
    pub false_alarms_per_day: f64,
    /// Seconds between points; learned from the warm-up when absent.
    pub step: Option<i64>,
    /// Points before the first verdict, 5 to 250. With a prior, a sixth of it.
    pub warmup: usize,
    /// What siblings teach.
    pub prior: Option<Prior>,
    /// Points of one sign after which a deviation is the new normal.
    pub shift_points: u32,
    /// Share (0 to 1) of the last alert's score that a new one must exceed it by; it fades within days.
    /// 0 keeps a lasting fault anomalous until it ends or becomes the new normal.
    pub novelty: f64,
    /// Smallest relative change of the value that may alert: 0.5 is half of the expected value. 0 for none.
    pub min_change: f64,
    /// Smallest absolute change of the value that may alert, in the unit of the series. 0 for none.
    pub min_difference: f64,
    /// Fewest bad events (weight times value) that make a high ratio an alert, and fewest trials for any
    /// weighted verdict.
    pub min_events: f64,
    /// Offsets of the workload's time zone from UTC.
    pub offsets: Arc<Offsets>,
    /// Declared peaks and calendar windows.
    pub events: Arc<[PeakEvent]>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: SignalKind::Auto,
            model: ModelKind::Auto,
            direction: Direction::Both,
            false_alarms_per_day: Sensitivity::Medium.false_alarms_per_day(),
            step: None,
            warmup: 50,
            prior: None,
            shift_points: 24,
            novelty: 0.8,
            min_change: 0.0,
            min_difference: 0.0,
            min_events: 0.0,
            offsets: Arc::default(),
            events: Arc::from([]),
        }
    }
}

impl Config {
    /// The preset for a golden signal in short windows of live data, such as 10 s, read through the default
    /// [`crate::WindowRule`] (3 of 5 windows).
    ///
    /// Ready after 20 points (4 with a [`Prior`]). With 60 normal points before, a lasting rise of latency to 3x is flagged in
    /// its first window when windows scatter by a tenth, within about ten (median two) when they scatter by a third; scatter of a
    /// half (log scale) needs 5x. Single windows of noise are flagged a few times a day at most, which the rule swallows. The
    /// fault stays `outside` for half an hour, then it is the new normal. Give the number of requests as weight: windows
    /// with fewer than usual are trusted less.
    ///
    /// - [`SignalKind::Latency`]: above only, at least 1.5 times the expected value, two requests or more.
    /// - [`SignalKind::Ratio`]: above only, at least 2 points of percent and three bad events.
    /// - [`SignalKind::Count`] and others: both sides, at least 40 % of the expected value.
    #[must_use]
    pub fn golden(kind: SignalKind) -> Self {
        let base = Self {
            kind,
            model: ModelKind::Auto,
            false_alarms_per_day: GOLDEN_FLAGS_PER_DAY,
            warmup: 20,
            shift_points: 180,
            novelty: 0.0,
            ..Self::default()
        };
        match kind {
            SignalKind::Latency => {
                Self { direction: Direction::Above, min_change: 0.5, min_events: 2.0, ..base }
            }
            SignalKind::Ratio => {
                Self { direction: Direction::Above, min_difference: 0.02, min_events: 3.0, ..base }
            }
            _ => Self { min_change: 0.4, ..base },
        }
    }

    /// The same settings with the budget of a named sensitivity.
    #[must_use]
    pub fn with_sensitivity(mut self, sensitivity: Sensitivity) -> Self {
        self.false_alarms_per_day = sensitivity.false_alarms_per_day();
        self
    }
}
