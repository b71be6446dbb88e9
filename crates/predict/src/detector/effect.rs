//! What declared events do to a series, remembered by name.

use serde::{Deserialize, Serialize};

use crate::calendar::PeakEvent;

/// Ratios kept while an event lasts.
const KEEP: usize = 48;
/// Factor on the scatter in an event of unknown size.
const DOUBT: f64 = 2.5;
/// Names kept.
const NAMES: usize = 16;

/// A name's learned effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Effect {
    name: String,
    ratio: f64,
    times: u32,
}

/// Learned effects, and the event that is running.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Effects {
    learned: Vec<Effect>,
    running: Option<(String, Vec<f32>)>,
}

/// What an event changes about the next point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Influence {
    /// Expected value relative to an ordinary day.
    pub(super) multiplier: f64,
    /// Factor on the scatter, for what is not known about the event.
    pub(super) doubt: f64,
    /// Whether the size is known, declared or learned; else only values below an ordinary day's are suspicious.
    pub(super) known: bool,
}

impl Influence {
    /// The influence at a share of the effect of an event with this declared multiplier, 0 to 1. In warm-up and cool-down
    /// nothing is certain, unless the event is declared to have no effect.
    pub(super) fn in_part(self, share: f64, declared: Option<f64>) -> Self {
        if share >= 1.0 || declared == Some(1.0) {
            return self;
        }
        Self { multiplier: self.multiplier.powf(share), doubt: self.doubt.max(DOUBT), known: false }
    }
}

impl Effects {
    /// Whether an event has been running, up to the point before.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Bytes held, beside settings.
    pub(super) fn memory(&self) -> usize {
        let names = self.learned.iter().map(|e| size_of::<Effect>() + e.name.capacity()).sum::<usize>();
        size_of::<Self>()
            + names
            + self.running.as_ref().map_or(0, |(name, ratios)| name.capacity() + 4 * ratios.capacity())
    }

    /// The influence of `event` on the next point.
    pub(super) fn influence(&self, event: &PeakEvent) -> Influence {
        let so_far = match &self.running {
            Some((name, ratios)) if *name == event.name => ratios.as_slice(),
            _ => &[],
        };
        let prior = event
            .multiplier
            .map(|m| (m, 1_u32))
            .or_else(|| self.learned.iter().find(|e| e.name == event.name).map(|e| (e.ratio, e.times)));
        match (prior, median(so_far)) {
            (Some((multiplier, times)), seen) => {
                // What today shows corrects what is known, once it rests on some points.
                let n = so_far.len() as f64;
                let trust = n / (n + 6.0);
                let multiplier = seen.map_or(multiplier, |s| multiplier * (s / multiplier).powf(trust));
                Influence { multiplier, doubt: if times > 1 { 1.1 } else { 1.2 }, known: true }
            }
            (None, Some(seen)) if so_far.len() >= 6 => {
                Influence { multiplier: seen, doubt: DOUBT, known: false }
            }
            (None, _) => Influence { multiplier: 1.0, doubt: DOUBT, known: false },
        }
    }

    /// What the event of this name does: as seen so far while it is running, else as remembered.
    pub(super) fn of(&self, name: &str) -> Option<f64> {
        let running = self.running.as_ref().filter(|(known, _)| known == name);
        let seen = running.and_then(|(_, ratios)| median(ratios));
        seen.or_else(|| self.learned.iter().find(|e| e.name == name).map(|e| e.ratio))
    }

    /// Learns, inside `event`, that the value was `ratio` times an ordinary day's.
    pub(super) fn learn(&mut self, event: &PeakEvent, ratio: f64) {
        if self.running.as_ref().is_none_or(|(name, _)| *name != event.name) {
            self.finish();
            self.running = Some((event.name.clone(), Vec::new()));
        }
        if let Some((_, ratios)) = &mut self.running {
            if ratios.len() == KEEP {
                ratios.remove(0);
            }
            ratios.push(ratio.clamp(0.01, 100.0) as f32);
        }
    }

    /// Files what the running event showed, when it is over.
    pub(super) fn finish(&mut self) {
        let Some((name, ratios)) = self.running.take() else { return };
        let Some(seen) = median(&ratios) else { return };
        if let Some(effect) = self.learned.iter_mut().find(|e| e.name == name) {
            effect.times += 1;
            effect.ratio += (seen - effect.ratio) / f64::from(effect.times.min(3));
        } else {
            if self.learned.len() == NAMES {
                self.learned.remove(0);
            }
            self.learned.push(Effect { name, ratio: seen, times: 1 });
        }
    }
}

fn median(values: &[f32]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).map(|&v| f64::from(v))
}
