//! Daily and weekly profiles.

use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400;
const HOURS_OF_WEEK: usize = 168;
const MAX_DAY_BINS: i64 = 288;
/// Seconds by which a daily job may be early or late.
const JITTER: i64 = 600;

/// A mean and how often it was visited, in four bytes: the value is an `f32` without its last eight bits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Bin([u8; 3], u8);

impl Bin {
    fn value(self) -> f64 {
        let Self([a, b, c], _) = self;
        f64::from(f32::from_le_bytes([0, a, b, c]))
    }

    fn visits(self) -> u8 {
        self.1
    }

    /// Counts a visit.
    fn visit(&mut self) -> f64 {
        self.1 = self.1.saturating_add(1);
        f64::from(self.1)
    }

    fn add(&mut self, by: f64) {
        let sum = ((self.value() + by) as f32).clamp(-1e38, 1e38);
        let [_, a, b, c] = sum.to_bits().wrapping_add(0x80).to_le_bytes();
        self.0 = [a, b, c];
    }
}

/// Bins by time of day (288 at most) and hour of week, each an exponentially weighted mean whose first visits
/// count `1/n`. 1.8 KB at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Season {
    width: i64,
    /// What bins of the day are relative to, so that their few digits go to what differs.
    centre: f64,
    /// Of the day, then of the week.
    bins: Vec<Bin>,
    /// Whether several points fall into one bin.
    shared: bool,
    pending: Pending,
}

/// What the bin of the newest points has to learn.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pending {
    bin: u16,
    count: f32,
    sum: f64,
}

/// Where an instant falls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) day: usize,
    pub(super) hour: usize,
    week: usize,
}

impl Season {
    /// Bins for points `step` seconds apart, around `centre`.
    pub(super) fn new(step: i64, centre: f64) -> Self {
        let width = step.clamp(DAY / MAX_DAY_BINS, DAY);
        let bins = ((DAY + width - 1) / width) as usize;
        Self {
            width,
            centre,
            bins: vec![Bin::default(); bins + HOURS_OF_WEEK],
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
        let days = self.days();
        Slot {
            day: ((second as u32 / self.width as u32) as usize).min(days - 1),
            hour: hour as usize,
            week: days + (weekday * 24 + hour) as usize,
        }
    }

    fn days(&self) -> usize {
        self.bins.len() - HOURS_OF_WEEK
    }

    /// Visits of the day bin.
    pub(super) fn visits(&self, slot: Slot) -> u8 {
        self.bins[slot.day].visits()
    }

    /// Day profile at the slot.
    pub(super) fn day(&self, slot: Slot) -> f64 {
        self.centre + self.bins[slot.day].value()
    }

    /// Day profile, averaged over the visited bins within `reach` of the slot.
    pub(super) fn smooth_day(&self, slot: Slot, reach: usize) -> f64 {
        let bins = self.days();
        let (mut sum, mut n) = (0.0, 0_u32);
        let mut add = |part: &[Bin]| {
            for bin in part {
                // A bin without a visit holds 0.
                sum += bin.value();
                n += u32::from(bin.visits() > 0);
            }
        };
        let (from, to) = ((slot.day + bins - reach) % bins, slot.day + reach + 1);
        if from < to && to <= bins {
            add(&self.bins[from..to]);
        } else {
            (0..=2 * reach).map(|k| (from + k) % bins).for_each(|i| add(&self.bins[i..=i]));
        }
        if n > 0 { self.centre + sum / f64::from(n) } else { self.centre }
    }

    /// Lowest and highest of the day bin and its two neighbours, when all were visited and they are at most
    /// [`JITTER`] wide.
    pub(super) fn neighbours(&self, slot: Slot) -> Option<(f64, f64)> {
        if self.width > JITTER {
            return None;
        }
        let bins = self.days();
        let before = if slot.day == 0 { bins - 1 } else { slot.day - 1 };
        let after = if slot.day + 1 == bins { 0 } else { slot.day + 1 };
        let around = [before, slot.day, after];
        if around.iter().any(|&i| self.bins[i].visits() == 0) {
            return None;
        }
        let values = around.map(|i| self.centre + self.bins[i].value());
        Some((values[0].min(values[1]).min(values[2]), values[0].max(values[1]).max(values[2])))
    }

    /// Weekly correction of the day profile, shrunk while it rests on few weeks.
    pub(super) fn week(&self, slot: Slot) -> f64 {
        let per_visit = (3600 / self.width).max(1) as f64;
        let n = f64::from(self.bins[slot.week].visits()) / per_visit;
        self.bins[slot.week].value() * n / (n + 0.5)
    }

    /// Learns that the day profile was off by `day` (or, where it had none, that it is `day`) and the sum of both by `week`.
    ///
    /// Where several points share a bin, it learns their mean when they have passed: within a bin nothing is compared with
    /// itself.
    pub(super) fn learn(&mut self, slot: Slot, day: f64, week: f64) {
        if slot.day != usize::from(self.pending.bin) {
            self.commit();
            self.pending.bin = slot.day as u16;
        }
        self.pending.sum += if self.visits(slot) == 0 { day - self.centre } else { day };
        self.pending.count += 1.0;
        if !self.shared {
            self.commit();
        }
        if self.visits(slot) > 1 {
            let per_visit = (3600 / self.width).max(1) as f64;
            let bin = &mut self.bins[slot.week];
            let rate = (1.0 / bin.visit()).max(0.25 / per_visit);
            bin.add(week * rate);
        }
    }

    fn commit(&mut self) {
        let Pending { bin, sum, count } = std::mem::take(&mut self.pending);
        if count > 0.0 {
            let bin = &mut self.bins[usize::from(bin)];
            let rate = (1.0 / bin.visit()).max(0.2);
            bin.add(sum / f64::from(count) * rate);
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        size_of::<Bin>() * self.bins.capacity()
    }
}
