//! Levels of a series, and how far its mean wanders by itself.

/// Seconds that count as now.
pub(super) const NOW_S: f64 = 90.0;
/// Seconds at the end of the history that are too new to be what is usual.
pub(super) const FRESH_S: f64 = 300.0;
/// Standard deviations of a normal distribution within which 80 % lie.
pub(super) const EIGHTY: f64 = 1.2816;
/// Times the variance of neighbours that values further apart must have before a series is taken to walk.
const WALKS: f64 = 1.25;
/// From median absolute deviation to standard deviation, of a normal distribution.
const MAD: f64 = 1.4826;

/// Windows in `seconds`, at least one.
pub(super) fn windows(seconds: f64, window_s: f64) -> usize {
    (seconds / window_s.max(1e-3)).round().max(1.0) as usize
}

/// Mean of the values that are there; NaN without any.
pub(super) fn mean(values: &[f64]) -> f64 {
    let known = values.iter().filter(|v| v.is_finite());
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}

/// Median of the values that are there; NaN without any.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut known: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    match known.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => known[n / 2],
        n => (known[n / 2 - 1] + known[n / 2]) / 2.0,
    }
}

/// The newest part of a series.
pub(super) fn tail(values: &[f64], count: usize) -> &[f64] {
    &values[values.len().saturating_sub(count)..]
}

/// The level now.
pub(super) fn now(values: &[f64], window_s: f64) -> f64 {
    mean(tail(values, windows(NOW_S, window_s)))
}

/// The level that is usual: the median without the newest minutes; of everything where there is no more.
pub(super) fn usual(values: &[f64], window_s: f64) -> f64 {
    let old = &values[..values.len().saturating_sub(windows(FRESH_S, window_s))];
    let found = median(old.iter().copied());
    if found.is_finite() { found } else { median(values.iter().copied()) }
}

/// Standard deviation of values by their median absolute deviation; NaN without any.
pub(super) fn scatter(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let middle = median(values.iter().copied());
    MAD * median(values.iter().map(|value| (value - middle).abs()))
}

/// How a series is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// By factors: what doubles is as far as what halves.
    Factor,
    /// By differences.
    Difference,
}

impl Scale {
    pub(super) fn of(self, value: f64) -> f64 {
        match self {
            Self::Factor => value.max(1e-6).ln(),
            Self::Difference => value,
        }
    }

    pub(super) fn back(self, value: f64) -> f64 {
        match self {
            Self::Factor => value.min(60.0).exp(),
            Self::Difference => value,
        }
    }
}

/// Standard deviation of the difference between the mean of `ahead` windows that begin `gap` windows from now and the mean
/// of now, on the scale, if nothing happens.
///
/// The series is taken as a level that walks at random, seen through noise: differences of neighbours have the variance of
/// twice the noise and one step, those of values `lag` windows apart of twice the noise and `lag` steps. Both are estimated by
/// the median absolute difference, so that a jump in the history counts for nothing. O(n log n).
pub(super) fn wander(values: &[f64], scale: Scale, window_s: f64, gap: usize, ahead: usize) -> f64 {
    let known: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| scale.of(*v)).collect();
    let far = (known.len() / 4).min(gap + ahead / 2).max(2);
    let variance = |lag: usize| {
        let spread = median(known.iter().zip(known.iter().skip(lag)).map(|(a, b)| (b - a).abs()));
        (MAD * spread).powi(2)
    };
    if known.len() < 6 {
        return f64::NAN;
    }
    let (near, apart) = (variance(1), variance(far));
    // The estimate of a variance is itself off by a quarter with a hundred values: less is no walk.
    let step = ((apart - WALKS * near) / (far - 1) as f64).max(0.0);
    let noise = ((near - step) / 2.0).max(0.0);
    let now = windows(NOW_S, window_s).min(known.len()) as f64;
    (noise * (1.0 / now + 1.0 / ahead as f64) + step * (gap as f64 + (now + ahead as f64) / 3.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -0.5 and 0.5 without an order.
    fn rough(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn levels() {
        let mut values = vec![1.0; 60];
        values.extend([4.0; 12]);
        assert_eq!(now(&values, 10.0), 4.0);
        assert_eq!(usual(&values, 10.0), 1.0);
        assert_eq!(usual(&[2.0, f64::NAN, 4.0], 10.0), 3.0);
        assert!(now(&[f64::NAN; 20], 10.0).is_nan());
    }

    #[test]
    fn means_of_noise_lie_within_what_is_foretold_as_often_as_it_says() {
        let (mut inside, mut all) = (0.0, 0.0);
        for seed in 1..400 {
            let values: Vec<f64> = rough(120, seed).iter().map(|v| 100.0 * (0.3 * v).exp()).collect();
            let (past, coming) = values.split_at(90);
            let sd = wander(past, Scale::Factor, 10.0, 15, 15);
            let moved = (mean(&coming[15..]) / now(past, 10.0)).ln();
            inside += f64::from(u8::from(moved.abs() <= EIGHTY * sd));
            all += 1.0;
        }
        assert!((0.7..0.9).contains(&(inside / all)), "{}", inside / all);
    }

    #[test]
    fn a_jump_in_the_history_is_no_noise() {
        let mut values: Vec<f64> = rough(90, 7).iter().map(|v| 100.0 * (0.1 * v).exp()).collect();
        for value in &mut values[70..] {
            *value *= 5.0;
        }
        // The jump is 1.6 on this scale.
        assert!(wander(&values, Scale::Factor, 10.0, 15, 15) < 0.1);
    }
}
