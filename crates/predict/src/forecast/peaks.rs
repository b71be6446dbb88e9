//! Declared events: taken out of the history, learned by name, put onto the future.

use super::grid::Grid;
use crate::calendar::PeakEvent;

const DAY: i64 = 86_400;

/// Learned multipliers by name.
pub(super) struct Effects(Vec<(String, f64)>);

/// Replaces event points by those of the same hour a week or a day before, and learns their ratio.
pub(super) fn take_out(grid: &mut Grid, events: &[PeakEvent]) -> Effects {
    let mut learned: Vec<(String, f64)> = Vec::new();
    let mut ordered: Vec<&PeakEvent> = events.iter().collect();
    ordered.sort_by_key(|e| e.start);
    for event in ordered {
        let range = grid.slots(
            event.start.saturating_sub(event.warm_up.max(0)),
            event.end.saturating_add(event.cool_down.max(0)),
        );
        let core = grid.slots(event.start, event.end);
        if range.is_empty() {
            continue;
        }
        let week = (7 * DAY / grid.step) as usize;
        let day = (DAY / grid.step) as usize;
        let mut ratios = Vec::new();
        for i in range {
            let lag = if week > 0 && i >= week { week } else { day };
            if lag == 0 || i < lag {
                continue;
            }
            let ordinary = grid.values[i - lag];
            if ordinary > 0.0 && core.contains(&i) {
                ratios.push(grid.values[i] / ordinary);
            }
            grid.values[i] = ordinary;
        }
        ratios.sort_unstable_by(f64::total_cmp);
        if let Some(&ratio) = ratios.get(ratios.len() / 2) {
            // The newest occurrence counts most.
            match learned.iter_mut().find(|(name, _)| *name == event.name) {
                Some((_, known)) => *known = 0.3 * *known + 0.7 * ratio,
                None => learned.push((event.name.clone(), ratio)),
            }
        }
    }
    Effects(learned)
}

impl Effects {
    /// Multiplier of each coming point; 1 where nothing is known to happen.
    pub(super) fn ahead(&self, start: i64, step: i64, horizon: usize, events: &[PeakEvent]) -> Vec<f64> {
        (0..horizon as i64)
            .map(|i| {
                PeakEvent::at(events, start + i * step).map_or(1.0, |(e, share)| {
                    let learned = || self.0.iter().find(|(name, _)| *name == e.name).map(|&(_, m)| m);
                    e.multiplier.or_else(learned).unwrap_or(1.0).powf(share)
                })
            })
            .collect()
    }
}
