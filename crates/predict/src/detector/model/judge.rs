//! How surprising a point is, and whether to say so.

use super::outlook::Outlook;
use super::{CHANNELS, DAY, DOUBTED, Model, Point};
use crate::config::{Config, SignalKind};
use crate::detector::{Verdict, evidence};

/// Scores of alerts below this are forgotten.
const FORGOTTEN: f32 = 0.01;
/// Points in the windows of the channels after the first; a quarter of them may disagree.
const SHORT: usize = 4;
const LONG: usize = 12;
/// Seconds of the longest window: beyond it a day's shape shows, not a deviation.
const LONGEST: i64 = 21_600;
/// Score taken off each channel: neighbouring windows overlap, and drift accumulates in them.
const PENALTIES: [f64; CHANNELS] = [0.0, 1.25, 1.25];
/// Share of a window's mean that its newest point must show.
const PRESENT: f64 = 0.3;
/// Score that any number of events can prove.
const PROVED: f64 = 2.0;
/// Most that is taken off the score of a young series.
const CAUTION: f64 = 1.5;
const WEEK: f64 = 7.0 * DAY;
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
        let means = [None, self.window.agreed::<SHORT, 1>(), self.window.agreed::<LONG, 3>()];
        let long_enough = self.step > LONGEST / LONG as i64;
        for (c, deviation) in deviations.iter_mut().enumerate().skip(1) {
            // What is over no longer counts: the newest point must still deviate.
            let lasts = |mean: &f64| residual * mean.signum() >= PRESENT * mean.abs();
            if let Some(mean) = means[c].filter(lasts).filter(|_| c == 1 || !long_enough) {
                *deviation = relative(mean, self.scatter[c].get().max(floor) * o.factor) * trust;
            }
        }
        let mut raw = [0.0_f64; 2];
        for (c, &z) in deviations.iter().enumerate() {
            let side = usize::from(z < 0.0);
            raw[side] = raw[side].max(self.tails.score(c, z) - PENALTIES[c]);
        }
        self.add_range(x, o, deviations[0], &mut raw);
        let alone = deviations[1] == 0.0 && deviations[2] == 0.0;
        if alone && self.kind == SignalKind::Count && raw[0].max(raw[1]) > PROVED {
            let proof = evidence::poisson_score(p.value, self.transform.inverse(o.expected));
            raw = raw.map(|score| score.min(proof));
        }
        let caution = self.caution(config);
        raw = raw.map(|score| score - caution);
        if self.kind == SignalKind::Count {
            raw[1] = raw[1].max(self.silence.score(o.ordinary, p.value == 0.0));
        }
        self.decide(config, o, p, raw, verdict);
        if o.influence.is_none() && (!self.outside || !verdict.outside) {
            self.tails.update(&deviations);
        }
        self.outside = verdict.outside;
        if o.influence.is_none() {
            let rate = f64::from(self.pace.rate) * if verdict.outside { DOUBTED } else { 1.0 };
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
        let inside = (self.low..=self.high).contains(&x);
        if inside || o.influence.is_some() || !(range > 0.0 && range < f64::INFINITY) {
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

    /// Score that is taken off before a week was seen: a night, a weekend, a weekly job is still to come. The rarer
    /// alarms are to be, the more.
    fn caution(&self, config: &Config) -> f64 {
        let unseen = 1.0 - self.seen * self.step as f64 / WEEK;
        if unseen <= 0.0 || config.false_alarms_per_day >= 1.0 {
            return 0.0;
        }
        unseen * (-0.75 * config.false_alarms_per_day.log10()).min(CAUTION)
    }

    /// How much of a deviation to believe: few events behind a value scatter more than usual.
    fn trust(&self, weight: Option<f64>) -> f64 {
        match weight {
            Some(w) if self.weight > 0.0 => (w / self.weight).clamp(0.0, 1.0).sqrt(),
            _ => 1.0,
        }
    }

    fn threshold(&mut self, config: &Config, o: &Outlook) -> f64 {
        if let Some((event, _)) = o.event {
            let days = (event.end.saturating_sub(event.start) as f64 / DAY).max(1.0 / 24.0);
            return score_of(self.step, config.false_alarms_per_day.max(FALSE_ALARMS_PER_EVENT / days));
        }
        let budget = config.false_alarms_per_day;
        if self.threshold.0 != budget as f32 {
            self.threshold = (budget as f32, score_of(self.step, budget) as f32);
        }
        f64::from(self.threshold.1)
    }

    fn decide(&mut self, config: &Config, o: &Outlook, p: &Point, mut raw: [f64; 2], verdict: &mut Verdict) {
        let threshold = self.threshold(config, o);
        if self.told != [0.0; 2] {
            let fade = (-p.steps * f64::from(self.pace.halves)).exp2() as f32;
            self.told = self.told.map(|told| if told > FORGOTTEN { told * fade } else { 0.0 });
        }
        let unlifted = o.ordinary;
        let normal = if o.lift == 0.0 { unlifted } else { self.transform.inverse(o.bases[o.base] + o.lift) };
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

/// Score of a point that `budget` false alarms a day leave to chance.
fn score_of(step: i64, budget: f64) -> f64 {
    (MULTIPLICITY * DAY / step as f64 / budget).log10()
}

/// A deviation in units of a scatter, which may be 0.
fn relative(deviation: f64, scatter: f64) -> f64 {
    if deviation == 0.0 { 0.0 } else { deviation / scatter }
}
