//! Forecasts on demand, from stored history.

mod breach;
mod candidate;
mod grid;
mod interval;
mod peaks;
mod regression;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::calendar::PeakEvent;
pub use breach::{Breach, crossing, time_to_breach};
use candidate::{Seasons, candidates};
use grid::Grid;
pub use grid::usual_step;

/// Quantile levels of every forecast.
pub const LEVELS: [f64; 11] = [0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975];
/// Rolling origins of the backtest.
const ORIGINS: usize = 10;
/// Exponent of the inverse error that a candidate is weighted by.
const SHARPNESS: i32 = 5;

/// Settings of a forecast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForecastOptions {
    /// Seconds between points; the median distance of the history's points when absent.
    pub step: Option<i64>,
    /// Declared events, past ones (to learn from) and coming ones.
    pub events: Arc<[PeakEvent]>,
}

/// Why there is no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// No point of the history has a finite value.
    #[error("the history has no values")]
    Empty,
    /// The horizon is 0 or above 10 000 points.
    #[error("the horizon must be 1 to 10000 points")]
    Horizon,
}

/// The future of a series: `horizon` points, one step apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Unix seconds of the first point; one step after the newest of the history.
    pub start: i64,
    /// Seconds between points.
    pub step: i64,
    /// Expected values, in the unit of the series.
    pub mean: Vec<f64>,
    /// Level (0 to 1, ascending) and its values, never crossing at a point.
    pub quantiles: Vec<(f64, Vec<f64>)>,
    /// How far errors of neighbouring points go together: their first autocorrelation at earlier origins, 0 to 0.999.
    pub persistence: f64,
}

/// Forecasts `horizon` points after the newest of `history`: `(unix seconds, value)`, in any order; of two values
/// at one time the later in the list counts, and values that are not finite are gaps.
///
/// Simple candidates (naive, seasonal naive, profiles of day and week with several levels, damped trend, theta, a regression on
/// what came just before and a season before) are tried at up to ten rolling origins, and blended by their inverse error. The errors of that blend at those origins, by distance, are
/// the intervals: split conformal prediction with a finite-sample factor (Vovk et al. 2005). Cost: O(origins * history).
///
/// # Errors
/// When nothing can be learned from the history, or the horizon is out of range.
pub fn forecast(
    history: &[(i64, f64)],
    horizon: usize,
    options: &ForecastOptions,
) -> Result<Forecast, ForecastError> {
    if !(1..=10_000).contains(&horizon) {
        return Err(ForecastError::Horizon);
    }
    let mut grid = Grid::new(history, options.step).ok_or(ForecastError::Empty)?;
    let start = grid.end() + grid.step;
    let effects = peaks::take_out(&mut grid, &options.events);
    let seasons = Seasons::of(grid.step, grid.values.len());
    let origins = backtest_origins(grid.values.len(), horizon, &seasons);
    let mut trials: Vec<Trial> =
        origins.iter().map(|&o| Trial::run(&grid.values, o, horizon, &seasons)).collect();
    let mut last = candidates(&grid.values, horizon, &seasons);
    let all: Vec<usize> = origins.iter().copied().chain([grid.values.len()]).collect();
    if let Some(mut paths) = regression::paths(&grid.values, &all, horizon, &seasons) {
        last.extend(paths.pop());
        trials.iter_mut().zip(paths).for_each(|(trial, path)| trial.predictions.push(path));
    }
    let weights = weigh(&trials, grid.values.len());
    let mut mean = blend(&last, &weights);
    let mut quantiles = interval::quantiles(&grid.values, &mean, &trials, &weights, &seasons);
    if let Some((_, median)) = quantiles.iter().find(|(level, _)| *level == 0.5) {
        mean.clone_from(median);
    }
    for (i, &multiplier) in effects.ahead(start, grid.step, horizon, &options.events).iter().enumerate() {
        if multiplier != 1.0 {
            for (level, values) in &mut quantiles {
                let widened = mean[i] + (values[i] - mean[i]) * if *level == 0.5 { 1.0 } else { 1.5 };
                values[i] = widened * multiplier;
            }
            mean[i] *= multiplier;
        }
    }
    if grid.values.iter().all(|&v| v >= 0.0) {
        mean.iter_mut().for_each(|v| *v = v.max(0.0));
        quantiles.iter_mut().flat_map(|(_, values)| values).for_each(|v| *v = v.max(0.0));
    }
    uncross(&mut quantiles);
    let persistence = persistence(&trials, &weights);
    Ok(Forecast { start, step: grid.step, mean, quantiles, persistence })
}

/// Rounding must not let quantiles cross.
fn uncross(quantiles: &mut [(f64, Vec<f64>)]) {
    for i in 1..quantiles.len() {
        let (lower, upper) = quantiles.split_at_mut(i);
        if let (Some((_, low)), Some((_, high))) = (lower.last(), upper.first_mut()) {
            high.iter_mut().zip(low).for_each(|(h, l)| *h = h.max(*l));
        }
    }
}

/// A rehearsal: what the candidates said at an earlier origin, and what came.
struct Trial {
    origin: usize,
    predictions: Vec<Vec<f64>>,
    actual: Vec<f64>,
}

impl Trial {
    fn run(values: &[f64], origin: usize, horizon: usize, seasons: &Seasons) -> Self {
        let actual = values[origin..(origin + horizon).min(values.len())].to_vec();
        Self { origin, predictions: candidates(&values[..origin], actual.len(), seasons), actual }
    }
}

/// Where the rehearsals start, newest first. The newest may see less than the whole horizon when history is short.
fn backtest_origins(n: usize, horizon: usize, seasons: &Seasons) -> Vec<usize> {
    let needed = seasons.needed().max(8);
    let newest = n.saturating_sub(horizon.min(n / 4).max(1));
    let room = newest.saturating_sub(needed);
    let stride = if seasons.day > 1 { (seasons.day / 2).max(1) } else { (horizon / 3).max(1) };
    let stride = if stride * (ORIGINS - 1) <= room { stride } else { (room / (ORIGINS - 1)).max(1) };
    (0..ORIGINS)
        .map(|k| newest.saturating_sub(k * stride))
        .filter(|&o| o >= needed.min(newest) && o >= 2)
        .collect()
}

/// First autocorrelation of the blend's errors, 0 to 0.999; 0.999 when nothing was rehearsed.
fn persistence(trials: &[Trial], weights: &[f64]) -> f64 {
    let (mut cross, mut square) = (0.0, 0.0);
    for trial in trials {
        let mut errors = blend(&trial.predictions, weights);
        errors.iter_mut().zip(&trial.actual).for_each(|(e, actual)| *e -= actual);
        for pair in errors.windows(2) {
            cross += pair[0] * pair[1];
            square += 0.5 * (pair[0] * pair[0] + pair[1] * pair[1]);
        }
    }
    if square > 0.0 && square.is_finite() { (cross / square).clamp(0.0, 0.999) } else { 0.999 }
}

/// Weight of each candidate, summing to 1.
fn weigh(trials: &[Trial], n: usize) -> Vec<f64> {
    let count = trials.first().map_or(0, |t| t.predictions.len());
    if count == 0 || n < 4 {
        return Vec::new();
    }
    let errors: Vec<f64> = (0..count)
        .map(|c| {
            let (mut sum, mut points) = (0.0, 0.0);
            for trial in trials {
                let off: f64 =
                    trial.predictions[c].iter().zip(&trial.actual).map(|(p, a)| (p - a).abs()).sum();
                sum += off / trial.actual.len().max(1) as f64;
                points += 1.0;
            }
            sum / points
        })
        .collect();
    let best = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let floor = best.max(1e-12);
    let mut weights: Vec<f64> = errors.iter().map(|e| (floor / e.max(floor)).powi(SHARPNESS)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// Weighted mean of the candidates; the first one when there are no weights.
fn blend(predictions: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let Some(first) = predictions.first() else { return Vec::new() };
    if weights.len() != predictions.len() {
        return first.clone();
    }
    let mut sum = vec![0.0; first.len()];
    for (path, weight) in predictions.iter().zip(weights) {
        sum.iter_mut().zip(path).for_each(|(s, p)| *s += weight * p);
    }
    sum
}
