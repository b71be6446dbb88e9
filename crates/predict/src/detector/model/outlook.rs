//! What is expected of a point before it is seen.

use super::{BASES, DAY, GAP, Model};
use crate::config::{Config, ModelKind};
use crate::detector::Verdict;
use crate::detector::effect::{Effects, Influence};
use crate::detector::season::Slot;

/// Bins on either side that the smooth day averages.
const REACH: usize = 3;

/// What was predicted for a point before it was seen.
#[derive(Clone, Copy)]
pub(super) struct Outlook {
    pub(super) slot: Slot,
    pub(super) bases: [f64; BASES],
    /// The base that the windows are judged against.
    pub(super) base: usize,
    pub(super) expected: f64,
    /// One-step scatter.
    pub(super) scatter: f64,
    /// Factor of hour and event on every scatter.
    pub(super) factor: f64,
    /// What an event adds, on the transformed scale.
    pub(super) lift: f64,
    pub(super) influence: Option<Influence>,
    /// Length of the running event, in days.
    pub(super) event_days: Option<f64>,
}

impl Model {
    pub(super) fn outlook(&self, config: &Config, t: i64, steps: f64) -> Outlook {
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
    pub(super) fn in_event(&self) -> bool {
        self.effects.as_ref().is_some_and(|e| e.is_running())
    }

    pub(super) fn band(&self, outlook: &Outlook) -> Verdict {
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
}
