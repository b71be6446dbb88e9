//! How far values scatter.

use serde::{Deserialize, Serialize};

/// Points after which a scale learns at the rate it is told.
const GROWN: f32 = 3_000.0;

/// Running mean absolute deviation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scale {
    mean: f32,
    seen: f32,
}

impl Scale {
    pub(super) fn new(mean: f64) -> Self {
        Self { mean: mean as f32, seen: 0.0 }
    }

    pub(super) fn get(&self) -> f64 {
        f64::from(self.mean)
    }

    /// Learns a deviation, counted up to four times the present scale, with the slowest rate `rate`.
    pub(super) fn learn(&mut self, deviation: f64, rate: f64, floor: f64) {
        let mut rate = rate;
        if self.seen < GROWN {
            self.seen += 1.0;
            rate = rate.max(1.0 / (f64::from(self.seen) + 15.0));
        }
        let bounded = deviation.abs().min(4.0 * self.get().max(floor));
        self.mean += (rate * (bounded - self.get())) as f32;
    }
}

/// Variance by hour of day, relative to the whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HourFactors([f32; 24]);

impl HourFactors {
    pub(super) fn new() -> Self {
        Self([1.0; 24])
    }

    pub(super) fn get(&self, hour: usize) -> f64 {
        f64::from(self.0[hour]).clamp(0.3, 4.0)
    }

    /// Learns one deviation relative to the scale.
    pub(super) fn learn(&mut self, hour: usize, relative: f64, rate: f64) {
        self.0[hour] += (rate * (relative.min(4.0) - f64::from(self.0[hour]))) as f32;
    }
}
