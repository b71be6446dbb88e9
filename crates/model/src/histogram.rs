//! A mergeable histogram of positive values with bounded relative error.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Buckets per doubling: a relative error of at most 4.5 %.
const PER_DOUBLING: f64 = 8.0;
/// Smallest value with a bucket of its own, 1e-6 of the unit.
const SMALLEST: f64 = 1e-6;
/// Buckets cover 1e-6 to about 1e12 of the unit.
const BUCKETS: usize = 480;

/// Counts by logarithmic buckets, the scheme of DDSketch (Masson, Rim, Lee; VLDB 2019) with a fixed range.
///
/// Merging is adding; adding a value and a quantile cost O(1) and O(buckets in use).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogHistogram {
    first: u16,
    counts: Vec<u32>,
    total: u64,
}

impl LogHistogram {
    /// Adds one value. Values at or below zero, and NaN, count as the smallest bucket.
    pub fn add(&mut self, value: f64) {
        self.add_many(value, 1);
    }

    /// Adds a value `count` times.
    pub fn add_many(&mut self, value: f64, count: u32) {
        if count == 0 {
            return;
        }
        let bucket = bucket_of(value);
        if self.counts.is_empty() {
            self.first = bucket as u16;
        }
        let first = usize::from(self.first);
        if bucket < first {
            let grow = first - bucket;
            self.counts.splice(0..0, std::iter::repeat_n(0, grow));
            self.first = bucket as u16;
        }
        let index = bucket - usize::from(self.first);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        if let Some(c) = self.counts.get_mut(index) {
            *c = c.saturating_add(count);
        }
        self.total += u64::from(count);
    }

    /// Adds all of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (offset, count) in other.counts.iter().enumerate() {
            self.add_many(value_of(usize::from(other.first) + offset), *count);
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The value at quantile `q` in 0..=1, or `None` when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let rank = (q.clamp(0.0, 1.0) * (self.total - 1) as f64).round() as u64;
        let mut seen = 0;
        for (offset, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen > rank {
                return Some(value_of(usize::from(self.first) + offset));
            }
        }
        None
    }

    /// Number of values above `limit`, in the unit of the values; 0 when `limit` is NaN.
    ///
    /// Exact for values further than 9.1 % from the limit. Of those in the limit's own bucket, which is 9.1 % wide, the
    /// part above is taken as if they were spread evenly on the logarithmic scale, so the result is a fraction.
    /// Values at or below 1e-6 are never above. O(buckets in use).
    #[must_use]
    pub fn count_above(&self, limit: f64) -> f64 {
        if limit.is_nan() {
            return 0.0;
        }
        let own = bucket_of(limit);
        let position = if limit <= SMALLEST { 0.0 } else { (limit / SMALLEST).log2() * PER_DOUBLING };
        let share_above = (own as f64 - position).clamp(0.0, 1.0);
        let parts = self.counts.iter().enumerate().map(|(offset, count)| {
            let bucket = usize::from(self.first) + offset;
            match bucket.cmp(&own) {
                Ordering::Less => 0.0,
                Ordering::Equal => f64::from(*count) * share_above,
                Ordering::Greater => f64::from(*count),
            }
        });
        parts.sum()
    }
}

fn bucket_of(value: f64) -> usize {
    if value.is_nan() || value <= SMALLEST {
        return 0;
    }
    (((value / SMALLEST).log2() * PER_DOUBLING).ceil() as usize).min(BUCKETS - 1)
}

/// Geometric middle of a bucket.
fn value_of(bucket: usize) -> f64 {
    SMALLEST * 2f64.powf((bucket as f64 - 0.5) / PER_DOUBLING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_stay_within_the_stated_error(mut values in prop::collection::vec(0.001f64..1e6, 1..200), q in 0.0f64..1.0) {
            let mut h = LogHistogram::default();
            values.iter().for_each(|v| h.add(*v));
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64).round() as usize];
            let got = h.quantile(q).unwrap();
            prop_assert!((got / exact - 1.0).abs() < 0.05, "{got} for {exact}");
        }

        #[test]
        fn values_far_from_the_limit_are_counted_exactly(
            values in prop::collection::vec(0.001f64..1e4, 0..200), limit in 0.001f64..1e4,
        ) {
            let mut h = LogHistogram::default();
            values.iter().for_each(|v| h.add(*v));
            let clear = values.iter().filter(|v| **v > limit * 1.091).count() as f64;
            let near = values.iter().filter(|v| (**v / limit - 1.0).abs() <= 0.091).count() as f64;
            let got = h.count_above(limit);
            prop_assert!((clear..=clear + near).contains(&got), "{got}, not {clear} to {}", clear + near);
        }

        #[test]
        fn merging_equals_adding(a in prop::collection::vec(0.0f64..1e4, 0..50), b in prop::collection::vec(0.0f64..1e4, 0..50)) {
            let mut both = LogHistogram::default();
            a.iter().chain(&b).for_each(|v| both.add(*v));
            let (mut left, mut right) = (LogHistogram::default(), LogHistogram::default());
            a.iter().for_each(|v| left.add(*v));
            b.iter().for_each(|v| right.add(*v));
            left.merge(&right);
            prop_assert_eq!(left.quantile(0.5), both.quantile(0.5));
            prop_assert_eq!(left.count(), both.count());
        }
    }

    #[test]
    fn limits_at_the_ends() {
        let mut h = LogHistogram::default();
        [0.0, -1.0, 0.2, 0.2, 3.0, 1e15].iter().for_each(|v| h.add(*v));
        for (limit, above) in [
            (f64::NAN, 0.0),
            (0.0, 4.0),
            (-1.0, 4.0),
            (0.1, 4.0),
            (1.0, 2.0),
            (1e3, 1.0),
            (f64::INFINITY, 0.0),
        ] {
            assert_eq!(h.count_above(limit), above, "{limit}");
        }
        assert_eq!(LogHistogram::default().count_above(1.0), 0.0);
    }
}
