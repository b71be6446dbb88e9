//! How far values scatter.

use serde::{Deserialize, Serialize};

/// Running mean absolute deviation, with a factor for each hour of the day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scale {
    mean: f64,
    seen: f64,
}

impl Scale {
    pub(super) fn new(mean: f64) -> Self {
        Self { mean, seen: 0.0 }
    }

    pub(super) fn get(&self) -> f64 {
        self.mean
    }

    /// Learns a deviation, counted up to four times the present scale, with the slowest rate `rate`.
    pub(super) fn learn(&mut self, deviation: f64, rate: f64, floor: f64) {
        self.seen += 1.0;
        let rate = rate.max(1.0 / (self.seen + 15.0));
        let bounded = deviation.abs().min(4.0 * self.mean.max(floor));
        self.mean += rate * (bounded - self.mean);
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
