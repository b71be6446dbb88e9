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

/// Linear quantile of finite values in any order, which it rearranges; NaN when there is none. Cost: linear (quickselect,
/// Hoare 1961).
pub(crate) fn select(values: &mut [f64], q: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let (_, below, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let below = *below;
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(below);
    below + (next - below) * (at - low as f64)
}

/// Median of finite values; NaN when there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    // A few points are the usual case, and need no heap.
    let mut few = [0.0; 16];
    let mut n = 0;
    let mut values = values.into_iter().filter(|v| v.is_finite());
    for v in values.by_ref() {
        few[n] = v;
        n += 1;
        if n == few.len() {
            let mut all = few.to_vec();
            all.extend(values);
            return select(&mut all, 0.5);
        }
    }
    for at in 1..n {
        let mut to = at;
        while to > 0 && few[to - 1] > few[to] {
            few.swap(to - 1, to);
            to -= 1;
        }
    }
    quantile(&few[..n], 0.5)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_skip_missing() {
        assert_eq!(median([3.0, f64::NAN, 1.0]), 2.0);
        assert!(median([]).is_nan());
        assert_eq!(worst_two([1.0, 5.0, 3.0]), 4.0);
        assert_eq!(worst_two([2.0]), 2.0);
        let many: Vec<f64> = (0..41).map(|i| f64::from(i * 17 % 41)).collect();
        assert_eq!(median(many.iter().copied()), 20.0);
        assert_eq!(select(&mut many.clone(), 0.97), quantile(&sorted(many), 0.97));
    }
}
