//! Order statistics that ignore missing values.

/// Finite values, sorted.
pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut out: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    out.sort_by(f64::total_cmp);
    out
}

/// Linear quantile of a sorted slice; NaN when empty.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// Median of finite values; NaN when there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// Median absolute deviation around `center`.
pub(crate) fn mad(values: &[f64], center: f64) -> f64 {
    median(values.iter().map(|v| (v - center).abs()))
}

/// Mean of finite values; NaN when there is none.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for v in values.into_iter().filter(|v| v.is_finite()) {
        sum += v;
        n += 1.0;
    }
    if n > 0.0 { sum / n } else { f64::NAN }
}

/// Mean of the two largest finite values; NaN when there is none.
pub(crate) fn worst_two(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut a, mut b) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for v in values.into_iter().filter(|v| v.is_finite()) {
        if v > a {
            b = a;
            a = v;
        } else if v > b {
            b = v;
        }
    }
    match (a.is_finite(), b.is_finite()) {
        (true, true) => (a + b) / 2.0,
        (true, false) => a,
        _ => f64::NAN,
    }
}

/// Pearson correlation of two aligned series over the points that both have; `None` below `least` points or without variation.
pub(crate) fn correlation(a: &[f64], b: &[f64], least: usize) -> Option<f64> {
    let (mut n, mut sa, mut sb, mut saa, mut sbb, mut sab) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b).filter(|(x, y)| x.is_finite() && y.is_finite()) {
        n += 1.0;
        sa += x;
        sb += y;
        saa += x * x;
        sbb += y * y;
        sab += x * y;
    }
    if n < least.max(2) as f64 {
        return None;
    }
    let (va, vb) = (saa - sa * sa / n, sbb - sb * sb / n);
    if va <= 1e-12 || vb <= 1e-12 {
        return None;
    }
    Some((sab - sa * sb / n) / (va * vb).sqrt())
}

/// `-log10` of the Poisson tail: P(X ≥ k) for `k` above `mean`, P(X ≤ k) below it; 0 in the middle. Normal approximation
/// on the square-root scale (Anscombe), exact enough for ranking and cheap. Always at least 0.
pub(crate) fn poisson_surprise(k: f64, mean: f64) -> f64 {
    let mean = mean.max(1e-9);
    // Deviance of the Poisson distribution; half of it is the exponent of the tail.
    let deviance = if k > 0.0 { k * (k / mean).ln() - (k - mean) } else { mean };
    deviance.max(0.0) / std::f64::consts::LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_skip_missing() {
        assert_eq!(median([3.0, f64::NAN, 1.0]), 2.0);
        assert!(median([]).is_nan());
        assert_eq!(worst_two([1.0, 5.0, 3.0]), 4.0);
        assert_eq!(worst_two([2.0]), 2.0);
        assert_eq!(mad(&[1.0, 2.0, 4.0], 2.0), 1.0);
    }

    #[test]
    fn correlation_needs_variation() {
        assert!(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0], 3).is_some_and(|r| r > 0.999));
        assert!(correlation(&[1.0, 1.0, 1.0], &[2.0, 4.0, 6.0], 3).is_none());
    }

    #[test]
    fn poisson_surprise_grows_both_ways() {
        assert!(poisson_surprise(20.0, 5.0) > 5.0);
        assert!(poisson_surprise(0.0, 10.0) > 4.0);
        assert!(poisson_surprise(10.0, 10.0) < 1e-9);
    }
}
