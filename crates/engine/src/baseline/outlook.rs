//! Looking ahead: whether a series will cross a bound within the horizon, and what became of having said so.

use std::collections::VecDeque;
use std::sync::Arc;

use causeway_model::{Micros, SeriesId};
use causeway_predict::{
    Direction, ForecastOptions, Grade, Ledger, PeakEvent, Prediction, Seen as After, crossing, forecast,
};
use serde::{Deserialize, Serialize};

use crate::detect::Point;

/// Points of history that a forecast learns from at most: 32 KB.
const HISTORY: usize = 2048;
/// Points below which nothing is foretold.
const FEWEST: usize = 60;
/// Points of a forecast at most.
const FARTHEST: i64 = 1000;
/// Points on the near side of the bound after which it can be crossed anew.
const SETTLED: i64 = 10;
/// Looks at the future while a horizon goes by.
const LOOKS: i64 = 24;
/// How many past predictions the stated probability counts as; see [`Ledger::calibrated`].
const PRIOR: f64 = 20.0;

/// What of the future is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutlookConfig {
    /// How far to look, microseconds.
    pub horizon_us: i64,
    /// The bound, in the unit that bounds of the Baseline have.
    pub threshold: f64,
    /// Above or Below it.
    pub direction: Direction,
    /// Least probability, 0 to 1.
    pub probability: f64,
    /// Least time that is left, microseconds.
    pub lead_us: i64,
}

/// A crossing that was foretold.
#[derive(Clone, Debug, PartialEq)]
pub struct Foretold {
    /// Which series.
    pub series: SeriesId,
    /// When it was said, Unix microseconds.
    pub made_us: Micros,
    /// By when, Unix microseconds.
    pub deadline_us: Micros,
    /// How probable, 0 to 1.
    pub probability: f64,
}

/// A prediction whose end is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Waiting {
    prediction: Prediction,
    seen: After,
    /// Points since, and those that had a value.
    points: u32,
    valued: u32,
}

/// A point that a series has come to.
pub(super) struct Seen<'a> {
    pub(super) point: &'a Point,
    /// While false nothing is foretold.
    pub(super) fit: bool,
    /// Events that are declared for the series.
    pub(super) events: &'a Arc<[PeakEvent]>,
}

/// What became of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// When it was made, Unix microseconds.
    pub(crate) made_us: Micros,
    pub(crate) grade: Grade,
}

/// The outlook of one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outlook {
    /// Unix seconds and value.
    history: VecDeque<(i64, f64)>,
    waiting: Option<Waiting>,
    /// Unix seconds of the last forecast.
    looked: Option<i64>,
    /// Unix seconds of the last point beyond the bound.
    beyond: Option<i64>,
    /// The prediction that was graded last, until it is taken.
    #[serde(default)]
    ended: Option<Ended>,
}

impl Outlook {
    /// Takes a point. Past predictions are graded into `ledger`.
    pub(super) fn observe(
        &mut self,
        config: &OutlookConfig,
        step_us: i64,
        seen: &Seen<'_>,
        ledger: &mut Ledger,
    ) {
        let &Seen { point, fit, events } = seen;
        let now = point.at_us.div_euclid(1_000_000);
        let value = Some(point.value).filter(|value| value.is_finite());
        let beyond = value.is_some_and(|value| match config.direction {
            Direction::Below => value < config.threshold,
            Direction::Above | Direction::Both => value > config.threshold,
        });
        // A series that wavers about its bound crosses it once.
        let rest = (SETTLED * step_us).max(config.lead_us) / 1_000_000;
        let wavers = self.beyond.is_some_and(|at| now - at <= rest);
        let crossed = beyond && !wavers;
        if beyond {
            self.beyond = Some(now);
        }
        if let Some(value) = value {
            self.history.push_back((now, value));
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        if crossed && self.waiting.is_none() && self.history.len() >= FEWEST && fit {
            ledger.add_unforeseen();
        }
        self.grade(now, value.is_some(), crossed, 2 * step_us / 1_000_000, ledger);
        let pause = (config.horizon_us / LOOKS).max(step_us) / 1_000_000;
        let rested = self.looked.is_none_or(|at| now - at >= pause);
        if fit && value.is_some() && !beyond && !wavers && self.waiting.is_none() && rested {
            self.looked = Some(now);
            self.look(config, step_us, now, events, ledger);
        }
    }

    fn grade(&mut self, now: i64, valued: bool, crossed: bool, grace: i64, ledger: &mut Ledger) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.points += 1;
        waiting.valued += u32::from(valued);
        waiting.seen.completeness = f64::from(waiting.valued) / f64::from(waiting.points);
        if crossed {
            waiting.seen.crossed.get_or_insert(now);
        }
        let Waiting { prediction, seen, .. } = *waiting;
        if let Some(grade) = prediction.grade(&seen, now, grace) {
            ledger.add(&prediction, grade, &seen);
            self.ended = Some(Ended { made_us: prediction.made * 1_000_000, grade });
            self.waiting = None;
        }
    }

    fn look(
        &mut self,
        config: &OutlookConfig,
        step_us: i64,
        now: i64,
        events: &Arc<[PeakEvent]>,
        ledger: &Ledger,
    ) {
        let points = (config.horizon_us / step_us.max(1)).clamp(1, FARTHEST);
        if self.history.len() < FEWEST {
            return;
        }
        let history: Vec<(i64, f64)> = self.history.iter().copied().collect();
        let options = ForecastOptions { step: Some(step_us / 1_000_000), events: events.clone() };
        // The history has values, and the horizon is in range.
        let Ok(ahead) = forecast(&history, points as usize, &options) else { return };
        let by = crossing(&ahead, config.threshold, config.direction);
        let stated = by.iter().map(|&p| ledger.calibrated(p, PRIOR));
        let Some((index, probability)) = stated.enumerate().find(|(_, p)| *p >= config.probability) else {
            return;
        };
        let deadline = ahead.start + index as i64 * ahead.step;
        if (deadline - now) * 1_000_000 < config.lead_us {
            return;
        }
        let prediction = Prediction { made: now, deadline, probability };
        self.waiting = Some(Waiting { prediction, seen: After::default(), points: 0, valued: 0 });
    }

    /// Takes the prediction that was graded since the last call.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Whether the point of this moment lay beyond the bound; `None` when it had no value.
    pub(super) fn is_beyond(&self, at_us: Micros) -> Option<bool> {
        let at = at_us.div_euclid(1_000_000);
        self.history.back().filter(|(time, _)| *time == at).map(|_| self.beyond == Some(at))
    }

    /// Somebody did something about the series at `at_us`.
    pub(super) fn acted(&mut self, at_us: Micros) {
        if let Some(waiting) = &mut self.waiting {
            waiting.seen.acted.get_or_insert(at_us.div_euclid(1_000_000));
        }
    }

    pub(super) fn foretold(&self, series: &SeriesId) -> Option<Foretold> {
        let prediction = self.waiting.as_ref()?.prediction;
        Some(Foretold {
            series: series.clone(),
            made_us: prediction.made * 1_000_000,
            deadline_us: prediction.deadline * 1_000_000,
            probability: prediction.probability,
        })
    }

    /// Whether enough is known to look ahead.
    pub(super) fn is_ready(&self) -> bool {
        self.history.len() >= FEWEST
    }
}

/// How the future of a Baseline's series looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutlookReport {
    /// Some series has enough history to be forecast.
    pub ready: bool,
    /// The crossing that is foretold next, in words.
    pub next: Option<(Foretold, String)>,
    /// What became of earlier predictions.
    pub graded: Graded,
    /// Mean squared error of their probabilities (Brier): 0 is perfect, 0.25 what always saying a half gets. `None` before any
    /// was decided.
    pub brier: Option<f64>,
}

/// How all forecasts fare.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecasting {
    /// What became of predictions.
    pub graded: Graded,
    /// Mean squared error of their probabilities; `None` before any was decided.
    pub brier: Option<f64>,
}

/// Counts of graded predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Graded {
    /// Happened in time.
    pub hits: u64,
    /// Did not happen.
    pub misses: u64,
    /// Did not happen after something was changed.
    pub prevented: u64,
    /// Too little was seen.
    pub unknown: u64,
    /// Crossings that nobody foretold.
    pub unforeseen: u64,
}

impl Graded {
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self {
            hits: ledger.count(Grade::Hit),
            misses: ledger.count(Grade::Miss),
            prevented: ledger.count(Grade::Prevented),
            unknown: ledger.count(Grade::Unknown),
            unforeseen: ledger.unforeseen(),
        }
    }
}
