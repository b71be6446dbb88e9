//! Values of a metric series over the last hour.

use std::collections::{BTreeMap, VecDeque};

use causeway_model::{Micros, SeriesKind, SeriesPartial, Window};
use serde::{Deserialize, Serialize};

/// Values by window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) kind: SeriesKind,
    /// (time, sum, count); the time is that of the latest value.
    values: VecDeque<(Micros, f64, u64)>,
}

impl History {
    pub(crate) fn new(kind: SeriesKind) -> Self {
        Self { kind, values: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, window: Window, values: &SeriesPartial, keep_us: i64) {
        let at = if values.count > 0 { values.last_us } else { window.start_us };
        self.values.push_back((at, values.sum, values.count));
        while self.values.front().is_some_and(|(t, _, _)| *t < window.end_us - keep_us) {
            self.values.pop_front();
        }
    }

    /// Mean of each interval for levels and latencies, sum for counts; by interval number since the epoch.
    pub(crate) fn by_minute(&self, interval_us: i64) -> BTreeMap<i64, f64> {
        self.by_window(interval_us)
            .into_iter()
            .filter_map(|(minute, (sum, count))| match self.kind {
                SeriesKind::Count => Some((minute, sum)),
                _ if count > 0 => Some((minute, sum / count as f64)),
                _ => None,
            })
            .collect()
    }

    /// Sum and count of each interval, by interval number since the epoch.
    pub(crate) fn by_window(&self, interval_us: i64) -> BTreeMap<i64, (f64, u64)> {
        let mut sums: BTreeMap<i64, (f64, u64)> = BTreeMap::new();
        for (t, sum, count) in &self.values {
            let cell = sums.entry(t.div_euclid(interval_us)).or_default();
            *cell = (cell.0 + sum, cell.1 + count);
        }
        sums
    }

    /// Mean of the newest window that has a value.
    pub(crate) fn newest(&self) -> Option<f64> {
        self.values.iter().rev().find(|(_, _, count)| *count > 0).map(|(_, sum, count)| sum / *count as f64)
    }

    /// Time of the newest value.
    pub(crate) fn newest_us(&self) -> Option<Micros> {
        self.values.back().map(|v| v.0)
    }
}
