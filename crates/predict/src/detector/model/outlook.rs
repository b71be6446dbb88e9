//! What is expected of a point before it is seen.

use super::{BASES, GAP, Model};
use crate::calendar::PeakEvent;
use crate::config::{Config, ModelKind};
use crate::detector::Verdict;
use crate::detector::effect::{Effects, Influence};
use crate::detector::season::Slot;

/// Bins on either side that the smooth day averages.
const REACH: usize = 3;

/// What was predicted for a point before it was seen.
#[derive(Clone, Copy)]
pub(super) struct Outlook<'a> {
    pub(super) slot: Slot,
    pub(super) bases: [f64; BASES],
    /// Autocorrelations of the experts.
    pub(super) phis: [f64; BASES],
    /// The base that the windows are judged against.
    pub(super) base: usize,
    /// That base in the unit of the series.
    pub(super) ordinary: f64,
    pub(super) expected: f64,
    /// One-step scatter.
    pub(super) scatter: f64,
    /// Factor of hour and event on every scatter.
    pub(super) factor: f64,
    /// What an event adds, on the transformed scale.
    pub(super) lift: f64,
    pub(super) influence: Option<Influence>,
    /// The event that is running, and the share of its effect.
    pub(super) event: Option<(&'a PeakEvent, f64)>,
}

impl Model {
    pub(super) fn outlook<'a>(&self, config: &'a Config, t: i64, steps: f64) -> Outlook<'a> {
        let slot = self.season.slot(config.offsets.local(t));
        let day = self.season.day(slot) + self.level;
        let week = self.season.week(slot);
        let visited = self.season.visits(slot) > 0;
        let bases = if !visited {
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
        let (best, base) = self.experts.best(candidates);
        let event = PeakEvent::at(&config.events, t);
        let influence = event.map(|(e, share)| {
            let whole =
                self.effects.as_deref().map_or_else(|| Effects::default().influence(e), |f| f.influence(e));
            whole.in_part(share, e.multiplier)
        });
        let ordinary = self.transform.inverse(bases[base]);
        let lift = influence.map_or(0.0, |i| self.transform.forward(ordinary * i.multiplier) - bases[base]);
        let phis = self.experts.phis();
        let widening = influence.map_or(1.0, |i| i.doubt * self.transform.widening(i.multiplier));
        let memory = if influence.is_some() || self.in_event() || steps > GAP {
            0.0
        } else {
            let switched = visited != self.on_profile;
            if switched && best > 0 { 0.0 } else { self.experts.predict(best, phis[best]) }
        };
        let factor = self.hours.get(slot.hour) * widening;
        let anchor = if influence.is_some() { base } else { best };
        Outlook {
            slot,
            bases,
            phis,
            base,
            ordinary,
            expected: bases[anchor] + memory + lift,
            scatter: (self.scatter[0].get().max(self.floor())) * factor,
            factor,
            lift,
            influence,
            event,
        }
    }

    /// The value that stands to what is normal at `to` as `value` stands to what is normal at `from`, by season and declared
    /// events; what is not finite stays as it is.
    pub(in crate::detector) fn moved(&self, config: &Config, value: f64, from: i64, to: i64) -> f64 {
        if !value.is_finite() {
            return value;
        }
        let normal = |t: i64| {
            let outlook = self.outlook(config, t, 1.0);
            let multiplier = outlook.influence.map_or(1.0, |influence| influence.multiplier);
            (outlook.bases[outlook.base] + outlook.lift, self.transform.widening(multiplier))
        };
        let ((before, wide), (after, wide_after)) = (normal(from), normal(to));
        self.transform.inverse(after + (self.transform.forward(value) - before) * wide_after / wide)
    }

    /// What the event of this name does to the series; `None` before it was seen.
    pub(in crate::detector) fn effect(&self, name: &str) -> Option<f64> {
        self.effects.as_ref()?.of(name)
    }

    /// Whether the point before lay in an event.
    pub(super) fn in_event(&self) -> bool {
        self.effects.as_ref().is_some_and(|e| e.is_running())
    }

    pub(super) fn band(&self, outlook: &Outlook) -> Verdict {
        let inverse = |x: f64| Some(self.transform.inverse(x));
        let reach = |side: usize| 1.4 * self.tails.quantile(0, side) * outlook.scatter;
        Verdict {
            expected: inverse(outlook.expected),
            ordinary: Some(outlook.ordinary),
            lower: inverse(outlook.expected - reach(1)),
            upper: inverse(outlook.expected + reach(0)),
            ready: true,
            ..Verdict::default()
        }
    }
}
