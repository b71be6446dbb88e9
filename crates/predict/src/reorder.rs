//! Puts late points back into order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Holds points back for a delay, and lets them go in order of time.
///
/// Whatever order points arrive in, as long as none is later than `delay` behind the newest, they leave in the same order.
/// Of two points at one time, the one that arrived last counts. Holds the points of one delay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reorder<T> {
    delay: i64,
    newest: Option<i64>,
    released: Option<i64>,
    held: BTreeMap<i64, T>,
    late: u64,
}

impl<T> Reorder<T> {
    /// A buffer that waits `delay` seconds of data time; 0 lets points go at once.
    #[must_use]
    pub fn new(delay: i64) -> Self {
        Self { delay: delay.max(0), newest: None, released: None, held: BTreeMap::new(), late: 0 }
    }

    /// Takes a point; yields, in order, the points that no earlier one may precede any more.
    pub fn push(&mut self, t: i64, value: T) -> Vec<(i64, T)> {
        if self.released.is_some_and(|released| t <= released) {
            self.late += 1;
            return Vec::new();
        }
        self.held.insert(t, value);
        let newest = self.newest.map_or(t, |n| n.max(t));
        self.newest = Some(newest);
        self.release(newest.saturating_sub(self.delay))
    }

    /// Yields what is held, in order: the source has ended.
    pub fn drain(&mut self) -> Vec<(i64, T)> {
        self.release(i64::MAX)
    }

    /// Points that came later than the delay allows, and were dropped.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    fn release(&mut self, until: i64) -> Vec<(i64, T)> {
        let mut out = Vec::new();
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > until {
                break;
            }
            let (t, value) = entry.remove_entry();
            self.released = Some(t);
            out.push((t, value));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_points_go_in_order() {
        let mut reorder = Reorder::new(10);
        assert_eq!(reorder.push(100, 'a'), []);
        assert_eq!(reorder.push(95, 'b'), []);
        assert_eq!(reorder.push(106, 'c'), [(95, 'b')]);
        assert_eq!(reorder.push(90, 'd'), []);
        assert_eq!(reorder.late(), 1);
        assert_eq!(reorder.drain(), [(100, 'a'), (106, 'c')]);
    }
}
