//! How surprising a point is, and whether to say so.

use super::outlook::Outlook;
use super::{CHANNELS, DAY, DOUBTED, Model, Point};
use crate::config::{Config, SignalKind};
use crate::detector::{Verdict, evidence};

/// Seconds in which the memory of an alert halves.
const NOVELTY_HALVES: f64 = 43_200.0;
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

impl Model {
    pub(super) fn judge(&mut self, config: &Config, o: &Outlook, p: &Point, verdict: &mut Verdict) {
        let x = self.transform.forward(p.value);
        let residual = x - o.bases[o.base] - o.lift;
        let clip = 30.0 * self.residual.get().max(self.floor()) * o.factor;
        self.window.push(residual.clamp(-clip, clip));
        let trust = self.trust(p.weight);
        let error = self.outside_jitter(x, o);
        let surprise = self.news(error, residual, o.scatter);
        let mut deviations = [relative(surprise, o.scatter) * trust, 0.0, 0.0];
        let floor = self.floor();
        let means = WINDOWS.map(|(size, drop)| self.window.agreed(size, drop));
        for (c, deviation) in deviations.iter_mut().enumerate().skip(1) {
            let short_enough = c == 1 || self.step <= LONGEST / WINDOWS[c].0 as i64;
            if let Some(mean) = means[c].filter(|_| short_enough) {
                *deviation = relative(mean, self.scatter[c].get().max(floor) * o.factor) * trust;
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
            raw[1] = raw[1].max(self.silence.score(usual, p.value == 0.0));
        }
        self.decide(config, o, p, raw, verdict);
        if o.influence.is_none() && (!self.outside || !verdict.outside) {
            for (c, &z) in deviations.iter().enumerate() {
                self.tails[c][0].update(z);
                self.tails[c][1].update(-z);
            }
        }
        self.outside = verdict.outside;
        if o.influence.is_none() {
            let rate = 1.0 / self.memory_points() * if verdict.outside { DOUBTED } else { 1.0 };
            self.learn_scatter(o, x, residual, means, rate);
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

    fn decide(&mut self, config: &Config, o: &Outlook, p: &Point, mut raw: [f64; 2], verdict: &mut Verdict) {
        let points_per_day = DAY / self.step as f64;
        let budget = o.event_days.map_or(config.false_alarms_per_day, |days| {
            config.false_alarms_per_day.max(FALSE_ALARMS_PER_EVENT / days)
        });
        let threshold = (MULTIPLICITY * points_per_day / budget).log10();
        if self.told != [0.0; 2] {
            let fade = 0.5_f64.powf(p.steps * self.step as f64 / NOVELTY_HALVES) as f32;
            self.told = self.told.map(|told| told * fade);
        }
        let normal = self.transform.inverse(o.bases[o.base] + o.lift);
        let unlifted = self.transform.inverse(o.bases[o.base]);
        let difference = p.value - normal;
        if let Some(w) = p.weight {
            self.weight += (w - self.weight) * if self.weight == 0.0 { 1.0 } else { 0.05 };
            evidence::bound(self.kind, config, p.value, w, normal, &mut raw);
        }
        let enough = difference.abs() >= config.min_difference.max(config.min_change * normal.abs());
        for (side, sign) in [1.0, -1.0].into_iter().enumerate() {
            // An event of unknown size explains every rise, but no value below an ordinary day's.
            let explained = o.influence.is_some_and(|i| !i.known) && (side == 0 || p.value > 0.7 * unlifted);
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
}

/// A deviation in units of a scatter, which may be 0.
fn relative(deviation: f64, scatter: f64) -> f64 {
    if deviation == 0.0 { 0.0 } else { deviation / scatter }
}
