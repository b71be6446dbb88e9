//! When a forecast crosses a line, and how probably.

use serde::{Deserialize, Serialize};

use super::Forecast;
use crate::config::Direction;

/// A forecast crossing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Unix seconds of the first point at which a crossing is more probable than not; when there is none, of the most
    /// probable point.
    pub at: i64,
    /// Highest probability of a crossing at any one point of the horizon, 0 to 1: a lower bound of that of any crossing.
    pub probability: f64,
}

/// When the forecast crosses `threshold`. [`Direction::Both`] is read as [`Direction::Above`].
///
/// Probabilities come from the quantiles, linear between them; beyond the outermost they are the outermost level at most.
/// `None` when no quantile reaches the threshold.
#[must_use]
pub fn time_to_breach(forecast: &Forecast, threshold: f64, direction: Direction) -> Option<Breach> {
    let mut best: Option<(usize, f64)> = None;
    let mut likely = None;
    for i in 0..forecast.mean.len() {
        let below = probability_below(forecast, i, threshold);
        let crossed = if direction == Direction::Below { below } else { 1.0 - below };
        if crossed > 0.5 && likely.is_none() {
            likely = Some(i);
        }
        if crossed > best.map_or(0.0, |(_, p)| p) {
            best = Some((i, crossed));
        }
    }
    let (most, probability) = best?;
    let at = forecast.start + likely.unwrap_or(most) as i64 * forecast.step;
    (probability > 0.0).then_some(Breach { at, probability })
}

fn probability_below(forecast: &Forecast, i: usize, threshold: f64) -> f64 {
    let mut before: Option<(f64, f64)> = None;
    for (level, values) in &forecast.quantiles {
        let value = values[i];
        if threshold < value {
            return before.map_or(0.0, |(low_level, low)| {
                low_level + (level - low_level) * ((threshold - low) / (value - low)).clamp(0.0, 1.0)
            });
        }
        before = Some((*level, value));
    }
    1.0
}
