//! Every signal of every service after a change, with its interval.

use super::level::{EIGHTY, Scale, mean, now, scatter, usual, wander, windows};
use super::load::Load;
use super::system::{Change, Service, System};
use super::time::{Three, latencies};
use super::{Foretold, MEASURE_S, SETTLE_S, Signal, failure};

/// Signals in the order in which they are shown.
pub(super) const SIGNALS: [Signal; 5] =
    [Signal::Latency, Signal::Errors, Signal::Rate, Signal::Cpu, Signal::Pool];
/// Signals that are shown.
const SHOWN: usize = 12;
/// Share of a difference by which a model is off, for each one that it foretells.
const OFF: f64 = 0.02;
/// Least difference that counts, as a share.
const COUNTS: f64 = 0.1;
/// Spread where the history is too short to know: by factors, and by differences.
const UNKNOWN: (f64, f64) = (0.5, 0.02);
/// Least spread of what has left its usual level, by factors and by differences: nobody knows that it stays where it is.
const UNUSUAL: (f64, f64) = (0.12, 0.05);
/// Distance from the usual level, by factors and by differences, from which it has been left.
const LEFT: (f64, f64) = (0.6, 0.03);
/// Spread of the mean that no series goes below: by factors, and by differences.
const LEAST: (f64, f64) = (0.001, 0.0005);
/// Seconds before a change that count as its before, and after it as its after.
const AROUND_S: f64 = 300.0;

/// One signal of one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub(super) now: f64,
    pub(super) likely: Three,
    /// Standard deviation of what happens by itself, on the scale of the signal.
    spread: f64,
    scale: Scale,
}

/// All of them.
pub(super) struct Outlook<'a> {
    system: &'a System,
    touched: Vec<usize>,
    bands: Vec<[Band; 5]>,
}

fn series(service: &Service, signal: Signal) -> &[f64] {
    match signal {
        Signal::Rate => &service.rate,
        Signal::Latency => &service.latency,
        Signal::Errors => &service.errors,
        Signal::Cpu => &service.cpu,
        Signal::Pool => &service.pool,
    }
}

fn scale(signal: Signal) -> Scale {
    if signal == Signal::Errors { Scale::Difference } else { Scale::Factor }
}

/// Whether a series has left its usual level.
fn is_unusual(values: &[f64], scale: Scale, window_s: f64) -> bool {
    let by = (scale.of(now(values, window_s)) - scale.of(usual(values, window_s))).abs();
    by > if scale == Scale::Factor { LEFT.0 } else { LEFT.1 }
}

impl<'a> Outlook<'a> {
    pub(super) fn of(system: &'a System, changes: &[Change], present: &[Load], after: &[Load]) -> Self {
        let seconds = latencies(system, present, after);
        let (failed, worse) = failure::shares(system, present, after);
        let retries = failure::retries(system, &worse);
        let overloaded = present.iter().any(|load| load.bound() >= 1.0);
        let mut touched: Vec<usize> = changes.iter().flat_map(|change| system.touched(change)).collect();
        touched.sort_unstable();
        touched.dedup();
        let ahead = windows(MEASURE_S, system.window_s);
        let gap = windows(SETTLE_S, system.window_s);
        let band = |at: usize, signal: Signal| {
            let service = &system.services[at];
            let values = series(service, signal);
            let before = now(values, system.window_s);
            let moved = |old: f64, new: f64| retries[at].map(|times| before * (new * times) / old);
            let capped =
                |old: f64, new: f64| retries[at].map(|times| before * (new * times).min(1.0) / old.min(1.0));
            let mut likely = match signal {
                Signal::Latency => seconds[at],
                Signal::Errors => failed[at],
                Signal::Rate => moved(present[at].rate, after[at].rate),
                Signal::Cpu => capped(present[at].cpu, after[at].cpu),
                Signal::Pool => capped(present[at].pool, after[at].pool),
            };
            // Where something has too little already, something else may turn out to be what counts.
            if overloaded {
                likely = [likely[0].min(before), likely[1], likely[2].max(before)];
            }
            let known = likely.iter().all(|v| v.is_finite());
            let scale = scale(signal);
            let (unknown, least) = match scale {
                Scale::Factor => (UNKNOWN.0, LEAST.0),
                Scale::Difference => (UNKNOWN.1, LEAST.1),
            };
            let spread = wander(values, scale, system.window_s, gap, ahead);
            let spread = if spread.is_finite() { spread.max(least) } else { unknown };
            let spread = if is_unusual(values, scale, system.window_s) {
                spread.max(if scale == Scale::Factor { UNUSUAL.0 } else { UNUSUAL.1 })
            } else {
                spread
            };
            Band { now: before, likely: if known { likely } else { [before; 3] }, spread, scale }
        };
        let bands = (0..system.services.len()).map(|at| SIGNALS.map(|signal| band(at, signal))).collect();
        let mut outlook = Self { system, touched, bands };
        outlook.replace(changes);
        outlook
    }

    /// What leads to another state than load can tell: changes that are taken back, instances that are made anew.
    fn replace(&mut self, changes: &[Change]) {
        let system = self.system;
        let mut anew = Vec::new();
        let mut taken_back = false;
        for change in changes {
            let of = system.touched(change);
            let around = [system.above(&of), system.below(&of)].concat();
            match change {
                Change::UndoRelease { .. } | Change::UndoConfig { .. } => {
                    let made =
                        of.first().map(|target| &system.services[*target]).map(|service| match change {
                            Change::UndoRelease { .. } => (&service.releases, service.rate.len()),
                            _ => (&service.configs, service.rate.len()),
                        });
                    match made.and_then(|(made, length)| Around::newest(made, length, system.window_s)) {
                        Some(moment) => {
                            taken_back = true;
                            around.into_iter().for_each(|at| self.back(at, &moment));
                        }
                        None => anew.extend(around),
                    }
                }
                Change::Roll { .. } | Change::Remove { .. } | Change::Empty { .. } => anew.extend(around),
                // New instances may be as usual, or the share of a bad one becomes smaller.
                Change::Instances { .. } | Change::Bounds { .. } | Change::Cpu { .. } => anew.extend(around),
                Change::Nothing { .. } => {}
            }
        }
        for change in changes {
            self.warm_up(change);
        }
        anew.sort_unstable();
        anew.dedup();
        // What taking back leads to is known better than what new instances alone do.
        for at in anew.into_iter().filter(|_| !taken_back) {
            self.perhaps_as_usual(at);
        }
    }

    /// What new instances do until they are warm: an autoscaler may see it and add more, which stay for a while; or what comes
    /// meanwhile is too much, and callers that ask again keep it so.
    fn warm_up(&mut self, change: &Change) {
        let (most, target) = match change {
            Change::Roll { most, target, .. } => (*most, *target),
            Change::Empty { .. } => (f64::NAN, f64::NAN),
            _ => return,
        };
        for at in self.system.touched(change) {
            let service = &self.system.services[at];
            let Some(cpu) = self.band(at, Signal::Cpu).map(|band| band.likely[1]) else { continue };
            let instances = now(&service.instances, self.system.window_s);
            let cold = super::cold::factor(self.system, at);
            let wish = (instances * cpu * cold / target).ceil().min(most).max(instances);
            if wish.is_finite() {
                for signal in [Signal::Cpu, Signal::Pool] {
                    if let Some(band) = self.band_mut(at, signal) {
                        band.likely[0] = band.likely[0].min(band.likely[1] * instances / wish);
                    }
                }
            }
            if cpu * cold > 1.0 {
                for other in self.system.above(&[at]) {
                    for (signal, high) in [(Signal::Latency, f64::NAN), (Signal::Errors, 1.0)] {
                        if let Some(band) = self.band_mut(other, signal) {
                            let high = if high.is_nan() { 30.0 * band.likely[1] } else { high };
                            band.likely[2] = band.likely[2].max(high);
                        }
                    }
                }
            }
        }
    }

    fn band_mut(&mut self, at: usize, signal: Signal) -> Option<&mut Band> {
        let of = SIGNALS.iter().position(|s| *s == signal)?;
        self.bands.get_mut(at)?.get_mut(of)
    }

    /// Back to the level before a change, where the change made a difference.
    fn back(&mut self, at: usize, moment: &Around) {
        for (signal, band) in SIGNALS.into_iter().zip(&mut self.bands[at]) {
            let values = series(&self.system.services[at], signal);
            let (before, then) = (mean(moment.before(values)), mean(moment.after(values)));
            if !before.is_finite() || !then.is_finite() {
                continue;
            }
            let (old, new, now) = (band.scale.of(before), band.scale.of(then), band.scale.of(band.now));
            let least = if band.scale == Scale::Factor { COUNTS } else { 0.01 };
            let noise = scatter(moment.before(values).iter().map(|value| band.scale.of(*value)));
            if (new - old).abs() > least.max(2.0 * noise) && (now - old).abs() > least {
                band.likely = [before; 3];
                let off = OFF * (now - old).abs().min(1.0);
                band.likely[0] = band.scale.back(old - off);
                band.likely[2] = band.scale.back(old + off);
                band.likely[0] = band.likely[0].max(0.0);
            }
        }
    }

    /// Either as load tells, or better or worse by as much as now is from what is usual.
    fn perhaps_as_usual(&mut self, at: usize) {
        for (signal, band) in SIGNALS.into_iter().zip(&mut self.bands[at]) {
            let normal = usual(series(&self.system.services[at], signal), self.system.window_s);
            let (scale, now) = (band.scale, band.scale.of(band.now));
            let by = scale.of(normal) - now;
            if !by.is_finite() || by.abs() < 2.0 * band.spread {
                continue;
            }
            let [low, likely, high] = band.likely;
            let other = scale.back(scale.of(likely) + by).max(0.0);
            band.likely = [low.min(other), likely, high.max(other)];
        }
    }

    /// One signal of one service.
    pub(super) fn band(&self, at: usize, signal: Signal) -> Option<&Band> {
        let of = SIGNALS.iter().position(|s| *s == signal)?;
        self.bands.get(at)?.get(of)
    }

    /// What is worth showing: all of what is touched, and neighbours by how much changes.
    pub(super) fn signals(&self) -> Vec<Foretold> {
        let mut shown: Vec<(bool, f64, Foretold)> = Vec::new();
        for (at, bands) in self.bands.iter().enumerate() {
            for (signal, band) in SIGNALS.into_iter().zip(bands) {
                let Some(foretold) = band.foretold(&self.system.services[at].entity, signal) else {
                    continue;
                };
                let is_target = self.touched.contains(&at);
                let worth =
                    is_target || band.moves() > COUNTS || signal == Signal::Latency && self.is_near(at);
                // A share of failures that is nothing and stays so says nothing.
                let silent = signal == Signal::Errors && foretold.now < 1e-4 && foretold.high < 5e-3;
                if worth && !silent {
                    shown.push((!is_target, -band.moves(), foretold));
                }
            }
        }
        shown.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        shown.into_iter().take(SHOWN).map(|(_, _, foretold)| foretold).collect()
    }

    /// Whether a service calls what is touched, is called by it, or shares a store or a node with it.
    fn is_near(&self, at: usize) -> bool {
        let other = |with: usize| self.touched.contains(&with);
        let calls = self.system.calls.iter();
        let by_call = calls.clone().any(|c| c.from == at && other(c.to) || c.to == at && other(c.from));
        let shares = |own: usize| {
            self.system.stores.iter().any(|store| {
                let has = |service: usize| store.clients.iter().any(|(client, _, _)| *client == service);
                has(at) && has(own)
            })
        };
        by_call || self.touched.iter().any(|own| shares(*own))
    }
}

impl Band {
    /// How far it moves, on its scale.
    pub(super) fn moves(&self) -> f64 {
        let by = (self.scale.of(self.likely[1]) - self.scale.of(self.now)).abs();
        if by.is_finite() { by } else { 0.0 }
    }

    fn foretold(&self, entity: &str, signal: Signal) -> Option<Foretold> {
        let [low, median, high] = self.likely.map(|v| self.scale.of(v));
        if !median.is_finite() || !self.now.is_finite() {
            return None;
        }
        let off = OFF * (median - self.scale.of(self.now)).abs().min(1.0);
        let by_itself = EIGHTY * self.spread;
        let reach = |model: f64| (by_itself.powi(2) + model.powi(2) + off.powi(2)).sqrt();
        let share = matches!(signal, Signal::Errors | Signal::Cpu | Signal::Pool);
        let bounded = |value: f64| {
            let value = self.scale.back(value).max(0.0);
            if share { value.min(1.0) } else { value }
        };
        Some(Foretold {
            entity: entity.to_owned(),
            signal,
            now: self.now,
            median: bounded(median),
            low: bounded(median - reach(median - low)),
            high: bounded(median + reach(high - median)),
        })
    }
}

/// Windows before a change and after it.
struct Around {
    before: (usize, usize),
    after: (usize, usize),
}

impl Around {
    /// Of the newest of the changes, up to those next to it; `None` where too little of it is remembered.
    fn newest(made: &[usize], length: usize, window_s: f64) -> Option<Self> {
        let (at, earlier) = made.split_last()?;
        let long = windows(AROUND_S, window_s);
        let begin = earlier.last().map_or(0, |other| other + 2).max(at.saturating_sub(long));
        let after = (at + 2, (at + 2 + long).min(length));
        (at.saturating_sub(begin) >= 3 && after.1 >= after.0 + 2)
            .then_some(Self { before: (begin, *at), after })
    }

    fn before<'v>(&self, values: &'v [f64]) -> &'v [f64] {
        values.get(self.before.0..self.before.1.min(values.len())).unwrap_or_default()
    }

    fn after<'v>(&self, values: &'v [f64]) -> &'v [f64] {
        values.get(self.after.0..self.after.1.min(values.len())).unwrap_or_default()
    }
}
