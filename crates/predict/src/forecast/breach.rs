//! When a forecast crosses a line, and how probably.

use serde::{Deserialize, Serialize};

use super::Forecast;
use crate::config::Direction;

/// A forecast crossing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Unix seconds of the first point by which a crossing is as probable as was asked for; when there is none, of the
    /// most probable point.
    pub at: i64,
    /// Probability of a crossing by the end of the horizon, 0 to 1.
    pub probability: f64,
    /// Whether that is as probable as was asked for.
    pub likely: bool,
}

/// Probability, for each point of the horizon, that the series has crossed `threshold` at it or before: 0 to 1, never falling.
/// [`Direction::Both`] is read as [`Direction::Above`].
///
/// At one point it comes from the quantiles, linear between them; beyond the outermost it is the outermost level at most.
/// Errors of neighbouring points go together: blocks as long as their correlation lasts, `(1 + r) / (1 - r)` points
/// ([`Forecast::persistence`] is `r`), count as one chance each, and blocks as independent.
#[must_use]
pub fn crossing(forecast: &Forecast, threshold: f64, direction: Direction) -> Vec<f64> {
    let r = forecast.persistence.clamp(0.0, 0.999);
    let block = ((1.0 + r) / (1.0 - r)).round().max(1.0) as usize;
    let (mut spared, mut worst) = (1.0, 0.0_f64);
    (0..forecast.mean.len())
        .map(|i| {
            if i > 0 && i % block == 0 {
                spared *= 1.0 - worst;
                worst = 0.0;
            }
            let below = probability_below(forecast, i, threshold);
            worst = worst.max(if direction == Direction::Below { below } else { 1.0 - below });
            1.0 - spared * (1.0 - worst)
        })
        .collect()
}

/// When the forecast crosses `threshold` with at least `probability` (0 to 1): `None` when no quantile reaches it.
#[must_use]
pub fn time_to_breach(
    forecast: &Forecast,
    threshold: f64,
    direction: Direction,
    probability: f64,
) -> Option<Breach> {
    let by = crossing(forecast, threshold, direction);
    let whole = by.last().copied().filter(|&p| p > 0.0)?;
    let reached = by.iter().position(|&p| p >= probability);
    // The steepest rise is where a crossing is most probable.
    let rise = |i: usize| if i == 0 { by[0] } else { by[i] - by[i - 1] };
    let steepest = (1..by.len()).fold(0, |best, i| if rise(i) > rise(best) { i } else { best });
    let at = forecast.start + reached.unwrap_or(steepest) as i64 * forecast.step;
    Some(Breach { at, probability: whole, likely: reached.is_some() })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A flat forecast whose deciles are 1 to 9, with the outer quantiles at 0 and 10.
    fn flat(points: usize, persistence: f64) -> Forecast {
        let quantiles = super::super::LEVELS
            .iter()
            .map(|&level| {
                (
                    level,
                    vec![
                        if level < 0.05 {
                            0.0
                        } else if level > 0.95 {
                            10.0
                        } else {
                            10.0 * level
                        };
                        points
                    ],
                )
            })
            .collect();
        Forecast { start: 1000, step: 10, mean: vec![5.0; points], quantiles, persistence }
    }

    #[test]
    fn chances_add_up_as_far_as_errors_are_independent() {
        let last = |persistence| crossing(&flat(10, persistence), 9.0, Direction::Above)[9];
        assert!((last(0.0) - (1.0 - 0.9_f64.powi(10))).abs() < 1e-9);
        assert!((last(0.999) - 0.1).abs() < 1e-9);
        assert!(last(0.5) > 0.1 && last(0.5) < last(0.0));
        let by = crossing(&flat(50, 0.3), 8.0, Direction::Above);
        assert!(by.windows(2).all(|w| w[0] <= w[1]) && by[49] <= 1.0);
    }

    #[test]
    fn sides_and_limits() {
        let forecast = flat(4, 0.9);
        assert_eq!(time_to_breach(&forecast, 11.0, Direction::Above, 0.5), None);
        assert_eq!(time_to_breach(&forecast, -1.0, Direction::Below, 0.5), None);
        let below = time_to_breach(&forecast, 6.0, Direction::Below, 0.5).unwrap();
        assert!(below.likely && below.at == 1000 && (below.probability - 0.6).abs() < 1e-9);
        let above = time_to_breach(&forecast, 8.0, Direction::Above, 0.5).unwrap();
        assert!(!above.likely && (above.probability - 0.2).abs() < 1e-9);
    }
}
