//! Buckets of histograms as explicit upper bounds.

use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;

/// Buckets kept of an exponential histogram on each side of zero; finer ones are merged by halving the scale.
const MAX_BUCKETS: usize = 160;
/// Bounds accepted of an explicit histogram.
const MAX_BOUNDS: usize = 1_024;

/// Upper bounds, and counts of which there is one more than bounds; both empty when only count and sum are known.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Explicit {
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<i64>,
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn increasing(bounds: &[f64]) -> bool {
    bounds.iter().all(|b| b.is_finite()) && bounds.windows(2).all(|w| w[0] < w[1])
}

/// Checks the buckets of an explicit histogram; `None` when they contradict themselves.
pub(super) fn explicit(bounds: Vec<f64>, counts: &[u64]) -> Option<Explicit> {
    if counts.is_empty() {
        return Some(Explicit::default());
    }
    let fits = counts.len() == bounds.len() + 1 && bounds.len() <= MAX_BOUNDS && increasing(&bounds);
    fits.then(|| Explicit { bounds, counts: counts.iter().map(|n| count(*n)).collect() })
}

/// One side of an exponential histogram: bucket `i` covers `base^(offset+i) .. base^(offset+i+1)`.
struct Side {
    offset: i64,
    counts: Vec<u64>,
}

impl Side {
    fn of(buckets: Option<Buckets>) -> Self {
        let buckets = buckets.unwrap_or_default();
        Self { offset: i64::from(buckets.offset), counts: buckets.bucket_counts }
    }

    /// Merges pairs of buckets: the scale goes down by one.
    fn halve(&mut self) {
        let offset = self.offset >> 1;
        let mut counts: Vec<u64> = Vec::with_capacity(self.counts.len() / 2 + 1);
        for (i, n) in self.counts.iter().enumerate() {
            let index = (((self.offset + i as i64) >> 1) - offset) as usize;
            counts.resize(counts.len().max(index + 1), 0);
            counts[index] = counts[index].saturating_add(*n);
        }
        *self = Self { offset, counts };
    }
}

/// Explicit bounds of an exponential histogram (OpenTelemetry data model, "ExponentialHistogram"; base = 2^(2^-scale)).
/// Cost O(buckets). `None` when the bounds leave the range of finite numbers.
pub(super) fn exponential(point: &mut ExponentialHistogramDataPoint) -> Option<Explicit> {
    let (mut negative, mut positive) = (Side::of(point.negative.take()), Side::of(point.positive.take()));
    let mut scale = point.scale;
    while negative.counts.len().max(positive.counts.len()) > MAX_BUCKETS {
        negative.halve();
        positive.halve();
        scale -= 1;
    }
    if !(-64..=64).contains(&scale) {
        return None;
    }
    let power = |index: i64| (index as f64 * (-f64::from(scale)).exp2()).exp2();
    let mut out = Explicit::default();
    let last_negative = negative.counts.len().checked_sub(1);
    for (i, n) in negative.counts.iter().enumerate().rev() {
        if Some(i) == last_negative {
            // Nothing lies below the outermost negative bucket.
            out.bounds.push(-power(negative.offset + i as i64 + 1));
            out.counts.push(0);
        }
        out.bounds.push(-power(negative.offset + i as i64));
        out.counts.push(count(*n));
    }
    // Zero has the bucket up to the first positive one.
    let zero =
        if positive.counts.is_empty() { point.zero_threshold.max(0.0) } else { power(positive.offset) };
    out.bounds.push(zero);
    out.counts.push(count(point.zero_count));
    for (i, n) in positive.counts.iter().enumerate() {
        out.bounds.push(power(positive.offset + i as i64 + 1));
        out.counts.push(count(*n));
    }
    // Nothing lies above the outermost positive bucket.
    out.counts.push(0);
    increasing(&out.bounds).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(
        scale: i32,
        offset: i32,
        positive: Vec<u64>,
        negative: Vec<u64>,
    ) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            scale,
            zero_count: 2,
            positive: Some(Buckets { offset, bucket_counts: positive }),
            negative: Some(Buckets { offset, bucket_counts: negative }),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    #[test]
    fn scale_zero_has_powers_of_two() {
        let got = exponential(&mut point(0, 1, vec![3, 4], vec![])).unwrap();
        assert_eq!(got, Explicit { bounds: vec![2.0, 4.0, 8.0], counts: vec![2, 3, 4, 0] });
        let got = exponential(&mut point(0, 0, vec![], vec![5, 6])).unwrap();
        assert_eq!(got, Explicit { bounds: vec![-4.0, -2.0, -1.0, 0.0], counts: vec![0, 6, 5, 2, 0] });
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(explicit(vec![1.0], &[1]), None);
        assert_eq!(explicit(vec![2.0, 1.0], &[1, 1, 1]), None);
        assert_eq!(explicit(vec![f64::NAN], &[1, 1]), None);
        assert_eq!(exponential(&mut point(-10, 10, vec![1], vec![])), None);
    }

    proptest! {
        #[test]
        fn no_count_is_lost(
            scale in -2i32..8, offset in -40i32..40,
            positive in prop::collection::vec(0u64..9, 0..600), negative in prop::collection::vec(0u64..9, 0..600),
        ) {
            let total: u64 = 2 + positive.iter().chain(&negative).sum::<u64>();
            if let Some(got) = exponential(&mut point(scale, offset, positive, negative)) {
                prop_assert_eq!(got.counts.len(), got.bounds.len() + 1);
                prop_assert_eq!(got.counts.iter().sum::<i64>() as u64, total);
                prop_assert!(got.bounds.len() <= 2 * MAX_BUCKETS + 2);
            }
        }
    }
}
