//! The running model of a series: predict, judge, learn.

mod judge;
mod learn;
mod outlook;

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::effect::Effects;
use super::evidence::Silence;
use super::expert::Experts;
use super::scale::{HourFactors, Scale};
use super::season::Season;
use super::tail::Tails;
use super::transform::Transform;
use super::window::Window;
use crate::config::{Config, Prior, SignalKind};

const DAY: f64 = 86_400.0;
/// Seconds in which the memory of an alert halves.
const NOVELTY_HALVES: f64 = 43_200.0;
/// Missing steps after which sums of a window start anew.
const GAP: f64 = 3.5;
/// How much a point counts for learning while a deviation is open.
const DOUBTED: f64 = 0.25;
/// Share of the range ever seen below which a scatter is not believed: in a stretch that is unusually calm, what is small
/// against what the series does at other times is no surprise.
const CALMEST: f64 = 0.006;
/// Deviations that are judged on their own: one step, short window, long window.
const CHANNELS: usize = 3;
/// Bases: slow mean; day; day and week; smooth day and week.
const BASES: usize = 4;

/// Learned state of one series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::detector) struct Model {
    kind: SignalKind,
    transform: Transform,
    step: i64,
    last_t: i64,
    seen: f64,
    mean: f64,
    level: f64,
    low: f64,
    high: f64,
    weight: f64,
    season: Season,
    experts: Experts<BASES>,
    hours: HourFactors,
    scatter: [Scale; CHANNELS],
    residual: Scale,
    tails: Tails<CHANNELS>,
    window: Window,
    told: [f32; 2],
    worst: [f32; 2],
    run: i32,
    jolt: f64,
    silence: Silence,
    outside: bool,
    on_profile: bool,
    effects: Option<Box<Effects>>,
    pace: Pace,
    /// A budget of false alarms, and the score that it asks for.
    threshold: (f32, f32),
}

/// What follows from the distance of points.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pace {
    /// Slowest rate of learning.
    rate: f32,
    /// Rate of an hour's factor.
    hour: f32,
    /// Halvings of the memory of an alert in one step.
    halves: f32,
}

impl Pace {
    fn of(step: i64) -> Self {
        let step = step as f64;
        Self {
            rate: (1.0 / (DAY / step).clamp(24.0, 720.0)) as f32,
            hour: (0.03 / (3600.0 / step).max(1.0).sqrt()) as f32,
            halves: (step / NOVELTY_HALVES) as f32,
        }
    }
}

/// A point, `steps` after the one before.
struct Point {
    value: f64,
    /// Number of events behind it.
    weight: Option<f64>,
    steps: f64,
}

impl Model {
    pub(in crate::detector) fn new(kind: SignalKind, step: i64, level: f64, scale: f64) -> Self {
        let transform = Transform::of(kind);
        let scale = scale.max(transform.floor());
        Self {
            kind,
            transform,
            step,
            last_t: i64::MIN,
            seen: 0.0,
            mean: level,
            level: 0.0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            weight: 0.0,
            season: Season::new(step, level),
            experts: Experts::new(),
            hours: HourFactors::new(),
            scatter: [Scale::new(scale), Scale::new(0.6 * scale), Scale::new(0.4 * scale)],
            residual: Scale::new(scale),
            tails: Tails::new(),
            window: Window::default(),
            told: [0.0; 2],
            worst: [0.0; 2],
            run: 0,
            jolt: 0.0,
            silence: Silence::default(),
            outside: false,
            on_profile: false,
            effects: None,
            pace: Pace::of(step),
            threshold: (0.0, 0.0),
        }
    }

    /// Ends the warm-up: nothing that it alerted on counts as told.
    pub(in crate::detector) fn settle(&mut self) {
        self.told = [0.0; 2];
        self.outside = false;
    }

    pub(in crate::detector) fn memory(&self) -> usize {
        self.season.memory() + self.effects.as_ref().map_or(0, |e| e.memory())
    }

    pub(in crate::detector) fn typical(&self) -> Prior {
        let level = self.transform.inverse(self.mean + self.level);
        let scale = (self.transform.inverse(self.mean + self.level + self.scatter[0].get()) - level).abs();
        Prior { level, scale }
    }

    /// Judges, then learns. `weight` is the number of events behind the value.
    pub(in crate::detector) fn observe(
        &mut self,
        config: &Config,
        t: i64,
        value: Option<f64>,
        weight: Option<f64>,
    ) -> Verdict {
        let steps = if self.last_t == i64::MIN {
            1.0
        } else {
            ((t - self.last_t) as f64 / self.step as f64).max(0.0)
        };
        let outlook = self.outlook(config, t, steps);
        let mut verdict = self.band(&outlook);
        let Some(value) = value else { return verdict };
        if steps > GAP {
            self.window.clear();
            self.run = 0;
        }
        if steps > 1.5 {
            self.experts.fade(steps - 1.0);
        }
        self.last_t = t;
        let point = Point { value, weight, steps };
        self.judge(config, &outlook, &point, &mut verdict);
        verdict.shifted = self.learn(config, &outlook, value);
        verdict
    }

    /// Smallest believable scatter: of the kind, and a share of the range ever seen.
    fn floor(&self) -> f64 {
        let range = if self.high > self.low { self.high - self.low } else { 0.0 };
        self.transform.floor().max(CALMEST * range)
    }
}
