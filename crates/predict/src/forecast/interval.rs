//! Conformal intervals: the blend's own errors at earlier origins.

use super::candidate::Seasons;
use super::{LEVELS, Trial, blend};

/// Segments of the horizon with errors of their own.
const SEGMENTS: usize = 6;
/// Widening for the fit of the weights to the very errors that are used here.
const REUSE: f64 = 1.12;

/// Quantiles around `mean`, by level.
pub(super) fn quantiles(
    values: &[f64],
    mean: &[f64],
    trials: &[Trial],
    weights: &[f64],
    seasons: &Seasons,
) -> Vec<(f64, Vec<f64>)> {
    let horizon = mean.len();
    let segment_of = |i: usize| (i * SEGMENTS / horizon).min(SEGMENTS - 1);
    let mut errors = vec![Vec::new(); SEGMENTS];
    for trial in trials {
        for (i, (predicted, actual)) in blend(&trial.predictions, weights).iter().zip(&trial.actual).enumerate() {
            errors[segment_of(i)].push(actual - predicted);
        }
    }
    let fallback = naive_errors(values, seasons.day);
    for (segment, own) in errors.iter_mut().enumerate() {
        if own.len() < 8 {
            let growth = ((segment + 1) as f64).sqrt();
            *own = fallback.iter().map(|e| e * growth).collect();
        }
        own.sort_unstable_by(f64::total_cmp);
    }
    let spans: Vec<Vec<f64>> = LEVELS
        .iter()
        .map(|&level| errors.iter().map(|sorted| widened(sorted, level, trials.len())).collect())
        .collect();
    LEVELS
        .iter()
        .zip(spans)
        .map(|(&level, by_segment)| {
            let path = (0..horizon).map(|i| mean[i] + between(&by_segment, i, horizon)).collect();
            (level, path)
        })
        .collect()
}

/// Value at point `i`, linear between the middles of the segments, so that bands have no steps.
fn between(by_segment: &[f64], i: usize, horizon: usize) -> f64 {
    let place = (i as f64 + 0.5) * SEGMENTS as f64 / horizon as f64 - 0.5;
    let left = (place.floor().max(0.0) as usize).min(SEGMENTS - 1);
    let right = (left + 1).min(SEGMENTS - 1);
    let share = (place - left as f64).clamp(0.0, 1.0);
    by_segment[left] * (1.0 - share) + by_segment[right] * share
}

/// Quantile of sorted errors, away from their median by the finite-sample factor.
fn widened(sorted: &[f64], level: f64, origins: usize) -> f64 {
    let middle = quantile(sorted, 0.5);
    let n = origins.max(1) as f64;
    let outer = (level - 0.5).abs() > 0.45;
    let factor = REUSE * (1.0 + if outer { 2.0 } else { 0.5 } / n);
    0.5 * middle + (quantile(sorted, level) - middle) * factor
}

fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = level * last as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// One-step (or one-day) differences, for histories too short to rehearse on.
fn naive_errors(values: &[f64], period: usize) -> Vec<f64> {
    let errors: Vec<f64> = (period..values.len()).map(|t| values[t] - values[t - period]).collect();
    if errors.is_empty() { vec![0.0] } else { errors }
}
