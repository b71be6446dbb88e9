//! When something existed: a short list of intervals, newest last.

use serde::{Deserialize, Serialize};

/// One stretch of time without a long gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub first_us: i64,
    pub last_us: i64,
    pub count: u64,
}

/// Intervals in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    intervals: Vec<Interval>,
}

impl History {
    /// Adds a sighting; it extends an interval that is at most `gap_us` away, and the oldest go beyond `most`.
    pub(crate) fn add(&mut self, first_us: i64, last_us: i64, count: u64, gap_us: i64, most: usize) {
        let (first_us, last_us) = (first_us.min(last_us), first_us.max(last_us));
        let mut merged = Interval { first_us, last_us, count };
        self.intervals.retain(|i| {
            let near = i.first_us <= merged.last_us.saturating_add(gap_us)
                && merged.first_us <= i.last_us.saturating_add(gap_us);
            if near {
                merged.first_us = merged.first_us.min(i.first_us);
                merged.last_us = merged.last_us.max(i.last_us);
                merged.count = merged.count.saturating_add(i.count);
            }
            !near
        });
        let at = self.intervals.partition_point(|i| i.first_us < merged.first_us);
        self.intervals.insert(at, merged);
        let excess = self.intervals.len().saturating_sub(most.max(1));
        self.intervals.drain(..excess);
    }

    /// The interval that covers a time, or ended at most `linger_us` before.
    pub(crate) fn at(&self, at_us: i64, linger_us: i64) -> Option<Interval> {
        self.intervals
            .iter()
            .rev()
            .copied()
            .find(|i| i.first_us <= at_us && at_us <= i.last_us.saturating_add(linger_us))
    }

    pub(crate) fn covers(&self, first_us: i64, last_us: i64) -> bool {
        self.intervals.iter().any(|i| i.first_us <= first_us && last_us <= i.last_us)
    }

    pub(crate) fn touches(&self, first_us: i64, last_us: i64) -> bool {
        self.intervals.iter().any(|i| i.first_us <= last_us && first_us <= i.last_us)
    }

    pub(crate) fn last_us(&self) -> i64 {
        self.intervals.last().map_or(i64::MIN, |i| i.last_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_near_and_keeps_far_apart() {
        let mut h = History::default();
        h.add(0, 10, 1, 5, 8);
        h.add(12, 20, 2, 5, 8);
        h.add(100, 110, 1, 5, 8);
        assert_eq!(h.intervals.len(), 2);
        assert_eq!(h.at(15, 0).map(|i| i.count), Some(3));
        assert!(h.at(50, 5).is_none());
        assert!(h.at(112, 5).is_some());
        assert!(h.covers(1, 19) && !h.covers(15, 100) && h.touches(15, 100));
    }

    #[test]
    fn stays_bounded() {
        let mut h = History::default();
        for at in 0..100 {
            h.add(at * 1000, at * 1000, 1, 5, 4);
        }
        assert_eq!(h.intervals.len(), 4);
    }
}
