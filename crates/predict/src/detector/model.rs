//! The running model of a series: predict, judge, learn.

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::effect::{Effects, Influence};
use super::evidence::{self, Silence};
use super::expert::Expert;
use super::scale::{HourFactors, Scale};
use super::season::{Season, Slot};
use super::tail::Tail;
use super::transform::Transform;
use super::window::{LONG, Window};
use crate::config::{Config, ModelKind, Prior, SignalKind};

const DAY: f64 = 86_400.0;
/// Seconds in which the memory of an alert halves.
const NOVELTY_HALVES: f64 = 43_200.0;
/// How much a point counts for learning while a deviation is open.
const DOUBTED: f64 = 0.25;
/// Missing steps after which sums of a window start anew.
const GAP: f64 = 3.5;
/// Deviations that are judged on their own: one step, short window, long window.
const CHANNELS: usize = 3;
/// Points in each channel's window, and how many of them may disagree.
const WINDOWS: [(usize, usize); CHANNELS] = [(1, 0), (4, 1), (12, 3)];
/// Seconds of the longest window: beyond it a day's shape shows, not a deviation.
const LONGEST: i64 = 21_600;
/// Score taken off each channel: neighbouring windows overlap, and drift accumulates in them.
const PENALTIES: [f64; CHANNELS] = [0.0, 1.5, 1.5];
/// Channels and sides: how many tails a point is compared with.
const MULTIPLICITY: f64 = 9.0;
/// Budget of false alarms in one event of known size: an outage in a peak costs more than anywhere else.
const FALSE_ALARMS_PER_EVENT: f64 = 0.05;
/// Bases: slow mean; day; day and week; smooth day and week.
const BASES: usize = 4;
/// Bins on either side that the smooth day averages.
const REACH: usize = 3;

/// What was predicted for a point before it was seen.
#[derive(Clone, Copy)]
struct Outlook {
    slot: Slot,
    bases: [f64; BASES],
    /// The base that the windows are judged against.
    base: usize,
    expected: f64,
    /// One-step scatter.
    scatter: f64,
    /// Factor of hour and event on every scatter.
    factor: f64,
    /// What an event adds, on the transformed scale.
    lift: f64,
    influence: Option<Influence>,
    /// Length of the running event, in days.
    event_days: Option<f64>,
}

/// Learned state of one series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Model {
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
    experts: [Expert; BASES],
    hours: HourFactors,
    scatter: [Scale; CHANNELS],
    residual: Scale,
    tails: [[Tail; 2]; CHANNELS],
    window: Window,
    told: [f32; 2],
    worst: [f32; 2],
    run: i32,
    jolt: f64,
    silence: Silence,
    outside: bool,
    on_profile: bool,
    effects: Option<Box<Effects>>,
}

impl Model {
    pub(super) fn new(kind: SignalKind, step: i64, level: f64, scale: f64) -> Self {
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
            experts: Default::default(),
            hours: HourFactors::new(),
            scatter: [Scale::new(scale), Scale::new(0.6 * scale), Scale::new(0.4 * scale)],
            residual: Scale::new(scale),
            tails: [[Tail::new(); 2]; CHANNELS],
            window: Window::default(),
            told: [0.0; 2],
            worst: [0.0; 2],
            run: 0,
            jolt: 0.0,
            silence: Silence::default(),
            outside: false,
            on_profile: false,
            effects: None,
        }
    }

    /// Ends the warm-up: nothing that it alerted on counts as told.
    pub(super) fn settle(&mut self) {
        self.told = [0.0; 2];
        self.outside = false;
    }

    pub(super) fn memory(&self) -> usize {
        self.season.memory() + self.effects.as_ref().map_or(0, |e| e.memory())
    }

    pub(super) fn typical(&self) -> Prior {
        let level = self.transform.inverse(self.mean + self.level);
        let scale = (self.transform.inverse(self.mean + self.level + self.scatter[0].get()) - level).abs();
        Prior { level, scale }
    }

    /// Judges, then learns. `weight` is the number of events behind the value.
    pub(super) fn observe(
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
            self.experts.iter_mut().for_each(|e| e.fade(steps - 1.0));
        }
        self.last_t = t;
        self.judge(config, &outlook, value, weight, steps, &mut verdict);
        verdict.shifted = self.learn(config, t, &outlook, value);
        verdict
    }

    fn outlook(&self, config: &Config, t: i64, steps: f64) -> Outlook {
        let slot = self.season.slot(config.offsets.local(t));
        let day = self.season.day(slot) + self.level;
        let week = self.season.week(slot);
        let bases = if self.season.visits(slot) == 0 {
            [self.mean; BASES]
        } else {
            let smooth = self.season.smooth_day(slot, REACH) + self.level;
            [self.mean, day, day + week, smooth + week]
        };
        let candidates = match config.model {
            ModelKind::Adaptive => 0..1,
            ModelKind::Seasonal => 1..BASES,
            ModelKind::Auto | ModelKind::Static { .. } => 0..BASES,
        };
        let (mut best, mut base) = ((f64::INFINITY, candidates.start), (f64::INFINITY, candidates.start));
        for i in candidates {
            let (error, alone) = (self.experts[i].predict().1, self.experts[i].base_error());
            if error < best.0 {
                best = (error, i);
            }
            if alone < base.0 {
                base = (alone, i);
            }
        }
        let event = config.events.iter().find(|e| e.contains(t));
        let influence = event.map(|e| {
            self.effects.as_deref().map_or_else(|| Effects::default().influence(e), |f| f.influence(e))
        });
        let lift = influence.map_or(0.0, |i| {
            self.transform.forward(self.transform.inverse(bases[base.1]) * i.multiplier) - bases[base.1]
        });
        let widening = influence.map_or(1.0, |i| i.doubt * self.transform.widening(i.multiplier));
        let memory = if influence.is_some() || self.in_event() || steps > GAP {
            0.0
        } else {
            let switched = (self.season.visits(slot) > 0) != self.on_profile;
            if switched && best.1 > 0 { 0.0 } else { self.experts[best.1].predict().0 }
        };
        let factor = self.hours.get(slot.hour) * widening;
        let anchor = if influence.is_some() { base.1 } else { best.1 };
        Outlook {
            slot,
            bases,
            base: base.1,
            expected: bases[anchor] + memory + lift,
            scatter: (self.scatter[0].get().max(self.floor())) * factor,
            factor,
            lift,
            influence,
            event_days: event.map(|e| (e.end.saturating_sub(e.start) as f64 / DAY).max(1.0 / 24.0)),
        }
    }

    /// Whether the point before lay in an event.
    fn in_event(&self) -> bool {
        self.effects.as_ref().is_some_and(|e| e.is_running())
    }

    /// Smallest believable scatter: of the kind, and a share of the range ever seen.
    fn floor(&self) -> f64 {
        let range = if self.high > self.low { self.high - self.low } else { 0.0 };
        self.transform.floor().max(0.003 * range)
    }

    fn band(&self, outlook: &Outlook) -> Verdict {
        let inverse = |x: f64| Some(self.transform.inverse(x));
        let reach = |side: usize| 1.4 * self.tails[0][side].quantile() * outlook.scatter;
        Verdict {
            expected: inverse(outlook.expected),
            ordinary: inverse(outlook.bases[outlook.base]),
            lower: inverse(outlook.expected - reach(1)),
            upper: inverse(outlook.expected + reach(0)),
            ready: true,
            ..Verdict::default()
        }
    }

    fn judge(
        &mut self,
        config: &Config,
        o: &Outlook,
        value: f64,
        weight: Option<f64>,
        steps: f64,
        verdict: &mut Verdict,
    ) {
        let x = self.transform.forward(value);
        let residual = x - o.bases[o.base] - o.lift;
        let clip = 30.0 * self.residual.get().max(self.floor()) * o.factor;
        self.window.push(residual.clamp(-clip, clip));
        let trust = self.trust(weight);
        let error = self.outside_jitter(x, o);
        let surprise = self.news(error, residual, o.scatter);
        let mut deviations = [surprise / o.scatter * trust, 0.0, 0.0];
        let floor = self.floor();
        for c in 1..CHANNELS {
            if c > 1 && self.step > LONGEST / WINDOWS[c].0 as i64 {
                continue;
            }
            if let Some(mean) = self.window.agreed(WINDOWS[c].0, WINDOWS[c].1) {
                deviations[c] = mean / (self.scatter[c].get().max(floor) * o.factor) * trust;
            }
        }
        let mut raw = [0.0_f64; 2];
        for (c, &z) in deviations.iter().enumerate() {
            for (side, sign) in [1.0, -1.0].into_iter().enumerate() {
                raw[side] = raw[side].max(self.tails[c][side].score(sign * z) - PENALTIES[c]);
            }
        }
        self.add_range(x, o, deviations[0], &mut raw);
        if self.kind == SignalKind::Count {
            let usual = self.transform.inverse(o.bases[o.base]);
            raw[1] = raw[1].max(self.silence.score(usual, value == 0.0));
        }
        self.decide(config, o, value, weight, steps, raw, verdict);
        if o.influence.is_none() && (!self.outside || !verdict.outside) {
            for (c, &z) in deviations.iter().enumerate() {
                self.tails[c][0].update(z);
                self.tails[c][1].update(-z);
            }
        }
        self.outside = verdict.outside;
        if o.influence.is_none() {
            let rate = 1.0 / self.memory_points() * if verdict.outside { DOUBTED } else { 1.0 };
            self.learn_scatter(o, x, residual, rate);
        }
    }

    /// The one-step error, less what a profile that is a few minutes early or late explains: a job does not start on the
    /// second. Only where bins are that narrow.
    fn outside_jitter(&self, x: f64, o: &Outlook) -> f64 {
        let error = x - o.expected;
        let Some((low, high)) = self.season.neighbours(o.slot) else { return error };
        let (low, high) = (low + self.level + o.lift, high + self.level + o.lift);
        if error > 0.0 { error.min((x - high).max(0.0)) } else { error.max((x - low).min(0.0)) }
    }

    /// The part of a one-step error that is news: shortly after a jolt, coming back to the base is not.
    fn news(&mut self, error: f64, residual: f64, scatter: f64) -> f64 {
        self.jolt *= 0.8;
        let news = if self.jolt <= 0.2 {
            error
        } else if error * residual <= 0.0 {
            0.0
        } else {
            error.signum() * error.abs().min(residual.abs())
        };
        if news.abs() > 3.0 * scatter {
            self.jolt = 1.0;
        }
        news
    }

    fn learn_scatter(&mut self, o: &Outlook, x: f64, residual: f64, rate: f64) {
        let floor = self.floor();
        let error = (x - o.expected) / o.factor;
        let whole = self.scatter[0].get().max(floor);
        if whole > 0.0 {
            let relative = (x - o.expected).abs() / whole;
            let per_hour = (3600.0 / self.step as f64).max(1.0);
            self.hours.learn(o.slot.hour, relative, 0.03 / per_hour.sqrt());
        }
        self.scatter[0].learn(error, rate, floor);
        self.residual.learn(residual / o.factor, rate, floor);
        for c in 1..CHANNELS {
            if let Some(mean) = self.window.agreed(WINDOWS[c].0, WINDOWS[c].1) {
                self.scatter[c].learn(mean / o.factor, rate, floor);
            }
        }
    }

    /// A value beyond everything seen before is more surprising than the tail of the steps tells.
    fn add_range(&self, x: f64, o: &Outlook, z: f64, raw: &mut [f64; 2]) {
        let range = self.high - self.low;
        if o.influence.is_some() || !range.is_finite() || range <= 0.0 {
            return;
        }
        for (side, excess) in [(x - self.high) / range, (self.low - x) / range].into_iter().enumerate() {
            let sign = if side == 0 { 1.0 } else { -1.0 };
            if excess > 0.05 && sign * z > 2.0 {
                let record = (self.seen.max(1.0).log10() - 2.0).max(0.0);
                raw[side] += 2.0 * record + 3.0 * (excess / 0.5).min(1.0);
            }
        }
    }

    /// How much of a deviation to believe: few events behind a value scatter more than usual.
    fn trust(&self, weight: Option<f64>) -> f64 {
        match weight {
            Some(w) if self.weight > 0.0 => (w / self.weight).clamp(0.0, 1.0).sqrt(),
            _ => 1.0,
        }
    }

    fn decide(
        &mut self,
        config: &Config,
        o: &Outlook,
        value: f64,
        weight: Option<f64>,
        steps: f64,
        raw: [f64; 2],
        verdict: &mut Verdict,
    ) {
        let points_per_day = DAY / self.step as f64;
        let budget = o.event_days.map_or(config.false_alarms_per_day, |days| {
            config.false_alarms_per_day.max(FALSE_ALARMS_PER_EVENT / days)
        });
        let threshold = (MULTIPLICITY * points_per_day / budget).log10();
        let fade = 0.5_f64.powf(steps * self.step as f64 / NOVELTY_HALVES) as f32;
        self.told.iter_mut().for_each(|told| *told *= fade);
        let normal = self.transform.inverse(o.bases[o.base] + o.lift);
        let unlifted = self.transform.inverse(o.bases[o.base]);
        let difference = value - normal;
        let mut raw = raw;
        if let Some(w) = weight {
            self.weight += (w - self.weight) * if self.weight == 0.0 { 1.0 } else { 0.05 };
            evidence::bound(self.kind, config, value, w, normal, &mut raw);
        }
        let enough = difference.abs() >= config.min_difference.max(config.min_change * normal.abs());
        for (side, sign) in [1.0, -1.0].into_iter().enumerate() {
            // An event of unknown size explains every rise, but no value below an ordinary day's.
            let explained = o.influence.is_some_and(|i| !i.known) && (side == 0 || value > 0.7 * unlifted);
            let watched = config.direction.admits(sign) && !explained && enough;
            if !watched {
                continue;
            }
            let score = raw[side] - config.novelty * f64::from(self.told[side]);
            verdict.score = verdict.score.max(score);
            verdict.outside |= raw[side] >= 0.6 * threshold && sign * difference > 0.0;
            // One alert a deviation, unless it becomes much worse.
            let worse =
                config.novelty == 0.0 || !self.outside || raw[side] >= f64::from(self.worst[side]) + 3.0;
            if !self.outside {
                self.worst[side] = 0.0;
            }
            if score >= threshold && worse {
                self.worst[side] = raw[side] as f32;
                verdict.anomalous = true;
                verdict.outside = true;
                self.told[side] = self.told[side].max(raw[side].min(threshold + 3.0) as f32);
            }
        }
    }

    fn memory_points(&self) -> f64 {
        (DAY / self.step as f64).clamp(24.0, 720.0)
    }

    /// Learns a point; whether a level shift was accepted.
    fn learn(&mut self, config: &Config, t: i64, o: &Outlook, value: f64) -> bool {
        let x = self.transform.forward(value);
        if let Some(event) = config.events.iter().find(|e| e.contains(t)) {
            let ordinary = self.transform.inverse(o.bases[o.base]);
            if ordinary.abs() > 0.0 {
                self.effects.get_or_insert_default().learn(event, value / ordinary);
            }
            return false;
        }
        if self.in_event() {
            self.effects.get_or_insert_default().finish();
            self.window.clear();
        }
        self.low = self.low.min(x);
        self.high = self.high.max(x);
        self.seen += 1.0;
        // Who wants to see a fault to its end must not learn it meanwhile.
        let doubt = if self.outside && config.novelty == 0.0 { DOUBTED } else { 1.0 };
        let rate = doubt * (1.0 / self.seen).max(1.0 / self.memory_points());
        let sigma = self.residual.get().max(self.floor()) * o.factor;
        let visited = self.season.visits(o.slot) > 0;
        if visited != self.on_profile {
            // The bases left the slow mean for the profile, or fell back to it: what they remember is of the other.
            self.on_profile = visited;
            self.experts[1..].iter_mut().for_each(Expert::forget);
        }
        for (expert, base) in self.experts.iter_mut().zip(o.bases) {
            expert.learn(x - base, rate, 4.0 * sigma);
        }
        let clip = |r: f64, by: f64| if self.seen < 100.0 { r } else { r.clamp(-by * sigma, by * sigma) };
        let mean_move = rate * clip(x - self.mean, 6.0);
        self.mean += mean_move;
        if visited {
            let off_day = x - o.bases[1];
            self.level += rate * clip(off_day, 4.0);
            self.season.learn(o.slot, clip(off_day, 3.0), clip(x - o.bases[3], 3.0));
        } else {
            self.season.learn(o.slot, x - self.level, 0.0);
        }
        self.shift(config, x - o.bases[o.base], sigma)
    }

    /// A deviation of one sign that lasts is the new level.
    fn shift(&mut self, config: &Config, residual: f64, sigma: f64) -> bool {
        let sign = if residual > sigma {
            1
        } else if residual < -sigma {
            -1
        } else {
            0
        };
        self.run = if sign != 0 && sign == self.run.signum() { self.run + sign } else { sign };
        if self.run.unsigned_abs() < config.shift_points.max(LONG as u32) {
            return false;
        }
        let by = self.window.median();
        self.level += by;
        self.mean += by;
        self.window.rebase(by);
        self.experts.iter_mut().for_each(|e| e.rebase(by));
        self.run = 0;
        true
    }
}
