//! Streaming detectors: normal without thresholds.

mod effect;
mod evidence;
mod expert;
mod model;
mod scale;
mod season;
mod tail;
mod transform;
mod verdict;
mod warmup;
mod window;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::calendar::{Offsets, PeakEvent};
use crate::config::{Config, ModelKind, SignalKind};
pub(crate) use evidence::binomial_score;
use model::Model;
use transform::Transform;
pub use verdict::Verdict;
use warmup::Warmup;

/// Times farther than this from the epoch, some 3000 years, are no times.
const FARTHEST: i64 = 100_000_000_000;

/// Values beyond this are no measurements.
const LARGEST: f64 = 1e30;

/// One series' detector. O(1) a point, nothing is ever refitted; at most 2.6 KB.
///
/// A point is compared with the best of several one-step predictors and, in windows of 4 and 12 points, with its
/// season; each deviation becomes a tail probability from the series' own history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detector {
    config: Arc<Config>,
    state: State,
}

/// Everything a detector has learned, without its settings; see [`Detector::snapshot`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Last total and its time, for counters.
    total: Option<(i64, f64)>,
    newest: Option<i64>,
    phase: Phase,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Phase {
    Learning(Warmup),
    Running(Box<Model>),
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        Self {
            config: config.into(),
            state: State { total: None, newest: None, phase: Phase::Learning(Warmup::default()) },
        }
    }

    /// Continues from a snapshot under `config`.
    #[must_use]
    pub fn restore(config: impl Into<Arc<Config>>, state: State) -> Self {
        Self { config: config.into(), state }
    }

    /// What was learned. Serialises with any serde format that keeps 64-bit floats.
    #[must_use]
    pub fn snapshot(&self) -> &State {
        &self.state
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Share of the warm-up that has been seen, 0 to 1.
    #[must_use]
    pub fn learned(&self) -> f64 {
        match &self.state.phase {
            Phase::Learning(warmup) => warmup.share(&self.config),
            Phase::Running(_) => 1.0,
        }
    }

    /// Bytes that this detector holds, shared settings left out.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.state.phase {
                Phase::Learning(warmup) => warmup.memory(),
                Phase::Running(model) => size_of::<Model>() + model.memory(),
            }
    }

    /// Typical value and one-step error, for a [`crate::Prior`] of siblings. `None` while learning.
    #[must_use]
    pub fn typical(&self) -> Option<crate::Prior> {
        match &self.state.phase {
            Phase::Learning(_) => None,
            Phase::Running(model) => Some(model.typical()),
        }
    }

    /// Replaces what is declared about time: the offsets of the workload's time zone, and its events. What was learned stays.
    pub fn declare(&mut self, offsets: &Arc<Offsets>, events: &Arc<[PeakEvent]>) {
        if self.config.offsets != *offsets || self.config.events != *events {
            let config =
                Config { offsets: offsets.clone(), events: events.clone(), ..(*self.config).clone() };
            self.config = Arc::new(config);
        }
    }

    /// The value that stands to what is normal at `to` (unix seconds) as `value` stands to what is normal at `from`, by season and
    /// declared events: so the end of a band that was kept can be held against another hour. As it is while learning.
    #[must_use]
    pub fn moved(&self, value: f64, from: i64, to: i64) -> f64 {
        match &self.state.phase {
            Phase::Learning(_) => value,
            Phase::Running(model) => model.moved(&self.config, value, from, to),
        }
    }

    /// How many times an ordinary day's value the event of this name brings: seen so far while it is running, else
    /// remembered from the last times. `None` before it was seen.
    #[must_use]
    pub fn effect(&self, name: &str) -> Option<f64> {
        match &self.state.phase {
            Phase::Learning(_) => None,
            Phase::Running(model) => model.effect(name),
        }
    }

    /// Judges and learns one point.
    ///
    /// `t` is in unix seconds. `None`, NaN and infinities are gaps: they teach nothing and are never anomalous. A point
    /// that is not newer than the newest one is a gap too; see [`crate::Reorder`] for late data.
    pub fn observe(&mut self, t: i64, value: Option<f64>) -> Verdict {
        self.observe_weighted(t, value, None)
    }

    /// As [`Self::observe`], with the number of events behind the value: requests of a latency, trials of a ratio. A count
    /// is its own number of events: its weight is not used.
    pub fn observe_weighted(&mut self, t: i64, value: Option<f64>, weight: Option<f64>) -> Verdict {
        let sound = (-FARTHEST..FARTHEST).contains(&t);
        if !sound || self.state.newest.is_some_and(|newest| t <= newest) {
            return Verdict { ready: self.learned() >= 1.0, ..Verdict::default() };
        }
        self.state.newest = Some(t);
        let weight = weight.filter(|w| w.is_finite() && *w >= 0.0 && self.config.kind != SignalKind::Count);
        let value = value.filter(|v| v.is_finite() && v.abs() < LARGEST).and_then(|v| self.rate(t, v));
        if let ModelKind::Static { lower, upper } = self.config.model {
            return static_verdict(value, lower, upper, &self.config);
        }
        match &mut self.state.phase {
            Phase::Running(model) => model.observe(&self.config, t, value, weight),
            Phase::Learning(warmup) => {
                if let Some(value) = value
                    && let Some(model) = warmup.push(&self.config, t, value, weight)
                {
                    self.state.phase = Phase::Running(Box::new(model));
                }
                Verdict::default()
            }
        }
    }

    /// A counter's rate per second; the value itself for other kinds.
    fn rate(&mut self, t: i64, value: f64) -> Option<f64> {
        if self.config.kind != SignalKind::Counter {
            return Some(value);
        }
        let (before, total) = self.state.total.replace((t, value))?;
        let increase = if value >= total { value - total } else { value.max(0.0) };
        Some(increase / (t - before).max(1) as f64)
    }
}

fn static_verdict(value: Option<f64>, lower: Option<f64>, upper: Option<f64>, config: &Config) -> Verdict {
    let excess = value.map_or(0.0, |v| {
        let below = lower.map_or(0.0, |l| (v - l).min(0.0));
        let above = upper.map_or(0.0, |u| (v - u).max(0.0));
        below + above
    });
    let anomalous = config.direction.admits(excess);
    Verdict {
        lower,
        upper,
        score: if anomalous { tail::MAX_SCORE } else { 0.0 },
        anomalous,
        outside: anomalous,
        ready: true,
        ..Verdict::default()
    }
}
