//! Daily and weekly profiles.

use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400;
const HOURS_OF_WEEK: usize = 168;
const MAX_DAY_BINS: i64 = 288;
/// Seconds by which a daily job may be early or late.
const JITTER: i64 = 600;

/// Bins by time of day (288 at most) and hour of week, each an exponentially weighted mean whose first visits
/// count `1/n`. 5 bytes a bin: 2.3 KB at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Season {
    width: i64,
    day: Vec<f32>,
    day_visits: Vec<u8>,
    week: Vec<f32>,
    week_visits: Vec<u8>,
    /// Whether several points fall into one bin.
    shared: bool,
    pending: Pending,
}

/// What the bin of the newest points has to learn.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pending {
    bin: usize,
    sum: f64,
    count: f64,
}

/// Where an instant falls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) day: usize,
    pub(super) hour: usize,
    week: usize,
}

impl Season {
    /// Bins for points `step` seconds apart.
    pub(super) fn new(step: i64) -> Self {
        let width = step.clamp(DAY / MAX_DAY_BINS, DAY);
        let bins = ((DAY + width - 1) / width) as usize;
        Self {
            width,
            day: vec![0.0; bins],
            day_visits: vec![0; bins],
            week: vec![0.0; HOURS_OF_WEEK],
            week_visits: vec![0; HOURS_OF_WEEK],
            shared: step < width,
            pending: Pending::default(),
        }
    }

    /// The bins of an instant in local seconds.
    pub(super) fn slot(&self, local: i64) -> Slot {
        let second = local.rem_euclid(DAY);
        // The epoch was a Thursday; any fixed weekday order does.
        let weekday = local.div_euclid(DAY).rem_euclid(7);
        let hour = second / 3600;
        Slot {
            day: ((second / self.width) as usize).min(self.day.len() - 1),
            hour: hour as usize,
            week: (weekday * 24 + hour) as usize,
        }
    }

    /// Visits of the day bin.
    pub(super) fn visits(&self, slot: Slot) -> u8 {
        self.day_visits[slot.day]
    }

    /// Day profile at the slot.
    pub(super) fn day(&self, slot: Slot) -> f64 {
        f64::from(self.day[slot.day])
    }

    /// Day profile, averaged over the visited bins within `reach` of the slot.
    pub(super) fn smooth_day(&self, slot: Slot, reach: usize) -> f64 {
        let bins = self.day.len();
        let (mut sum, mut n) = (0.0, 0.0);
        for offset in 0..=2 * reach {
            let i = (slot.day + bins + offset - reach) % bins;
            if self.day_visits[i] > 0 {
                sum += f64::from(self.day[i]);
                n += 1.0;
            }
        }
        if n > 0.0 { sum / n } else { 0.0 }
    }

    /// Lowest and highest of the day bin and its two neighbours, when all were visited and they are at most
    /// [`JITTER`] wide.
    pub(super) fn neighbours(&self, slot: Slot) -> Option<(f64, f64)> {
        if self.width > JITTER {
            return None;
        }
        let bins = self.day.len();
        let around = [slot.day, (slot.day + 1) % bins, (slot.day + bins - 1) % bins];
        if around.iter().any(|&i| self.day_visits[i] == 0) {
            return None;
        }
        let values = around.map(|i| f64::from(self.day[i]));
        Some((values[0].min(values[1]).min(values[2]), values[0].max(values[1]).max(values[2])))
    }

    /// Weekly correction of the day profile, shrunk while it rests on few weeks.
    pub(super) fn week(&self, slot: Slot) -> f64 {
        let per_visit = (3600 / self.width).max(1) as f64;
        let n = f64::from(self.week_visits[slot.week]) / per_visit;
        f64::from(self.week[slot.week]) * n / (n + 0.5)
    }

    /// Learns that the day profile was off by `day` and the sum of both by `week`.
    ///
    /// Where several points share a bin, it learns their mean when they have passed: within a bin nothing is compared with
    /// itself.
    pub(super) fn learn(&mut self, slot: Slot, day: f64, week: f64) {
        if slot.day != self.pending.bin {
            self.commit();
            self.pending.bin = slot.day;
        }
        self.pending.sum += day;
        self.pending.count += 1.0;
        if !self.shared {
            self.commit();
        }
        if self.day_visits[slot.day] > 1 {
            let per_visit = (3600 / self.width).max(1) as f64;
            let visits = &mut self.week_visits[slot.week];
            *visits = visits.saturating_add(1);
            let rate = (1.0 / f64::from(*visits)).max(0.25 / per_visit);
            self.week[slot.week] += (week * rate) as f32;
        }
    }

    fn commit(&mut self) {
        let Pending { bin, sum, count } = std::mem::take(&mut self.pending);
        if count > 0.0 {
            let visits = &mut self.day_visits[bin];
            *visits = visits.saturating_add(1);
            self.day[bin] += (sum / count * (1.0 / f64::from(*visits)).max(0.2)) as f32;
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        5 * (self.day.len() + self.week.len())
    }
}
