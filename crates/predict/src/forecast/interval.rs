//! Conformal intervals: the blend's own errors at earlier origins.

use super::candidate::Seasons;
use super::{LEVELS, Trial, blend};

/// Segments of the horizon with errors of their own.
const SEGMENTS: usize = 6;
/// Errors that the evenness of a day is worth.
const SHRINK: f64 = 10.0;
/// Widening for the fit of the weights to the very errors that are used here.
const REUSE: f64 = 1.26;
/// How far the median error must stand out from the middle half of the errors, as a share of it, to come again by half.
const BIAS: f64 = 0.4;

/// An error of the blend at an earlier origin.
struct Miss {
    segment: usize,
    phase: usize,
    error: f64,
}

/// Quantiles around `mean`, by level.
pub(super) fn quantiles(
    values: &[f64],
    mean: &[f64],
    trials: &[Trial],
    weights: &[f64],
    seasons: &Seasons,
) -> Vec<(f64, Vec<f64>)> {
    let (horizon, day) = (mean.len(), seasons.day);
    let mut misses = Vec::new();
    for trial in trials {
        for (i, (predicted, actual)) in
            blend(&trial.predictions, weights).iter().zip(&trial.actual).enumerate()
        {
            let segment = (i * SEGMENTS / horizon).min(SEGMENTS - 1);
            misses.push(Miss { segment, phase: (trial.origin + i) % day, error: actual - predicted });
        }
    }
    let scales = phase_scales(&misses, day);
    let mut errors = vec![Vec::new(); SEGMENTS];
    for miss in &misses {
        errors[miss.segment].push(miss.error / scales[miss.phase]);
    }
    let fallback = naive_errors(values, day);
    for (segment, own) in errors.iter_mut().enumerate() {
        if own.len() < 8 {
            let growth = ((segment + 1) as f64).sqrt();
            *own = fallback.iter().map(|e| e * growth).collect();
        }
        own.sort_unstable_by(f64::total_cmp);
    }
    let ahead: Vec<f64> = (0..horizon).map(|i| scales[(values.len() + i) % day]).collect();
    LEVELS
        .iter()
        .map(|&level| {
            let by_segment: Vec<f64> =
                errors.iter().map(|sorted| widened(sorted, level, trials.len())).collect();
            let path = (0..horizon).map(|i| mean[i] + ahead[i] * between(&by_segment, i, horizon)).collect();
            (level, path)
        })
        .collect()
}

/// How large errors are at each phase of the day, relative to the whole; shrunk to 1 where there are few.
fn phase_scales(misses: &[Miss], day: usize) -> Vec<f64> {
    let whole = misses.iter().map(|m| m.error.abs()).sum::<f64>() / misses.len().max(1) as f64;
    if day < 2 || whole <= 0.0 {
        return vec![1.0; day.max(1)];
    }
    let mut sums = vec![(0.0, 0.0); day];
    for miss in misses {
        sums[miss.phase].0 += miss.error.abs();
        sums[miss.phase].1 += 1.0;
    }
    let reach = (day / 24).max(1);
    (0..day)
        .map(|phase| {
            let (mut sum, mut count) = (0.0, 0.0);
            for k in 0..=2 * reach {
                let (s, n) = sums[(phase + day + k - reach) % day];
                sum += s;
                count += n;
            }
            ((sum / whole + SHRINK) / (count + SHRINK)).max(0.1)
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
    let factor = REUSE * (1.0 + if outer { 3.8 } else { 0.5 } / n);
    let doubt = BIAS * (quantile(sorted, 0.75) - quantile(sorted, 0.25));
    let square = middle * middle;
    let lasting = if square > 0.0 { square / (square + doubt * doubt) } else { 0.0 };
    lasting * middle + (quantile(sorted, level) - middle) * factor
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
