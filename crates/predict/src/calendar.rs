//! Declared time: offsets of a time zone, and windows in which a series is known to differ.

use serde::{Deserialize, Serialize};

/// Offsets of one time zone from UTC, as data: the crate knows no zone database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// `(from, seconds)`: from this instant (unix seconds) on, local time is UTC plus so many seconds. Ascending.
    transitions: Vec<(i64, i32)>,
}

impl Offsets {
    /// Offsets from transitions in any order.
    #[must_use]
    pub fn new(mut transitions: Vec<(i64, i32)>) -> Self {
        transitions.sort_unstable();
        Self { transitions }
    }

    /// One offset for all time, in seconds east of UTC.
    #[must_use]
    pub fn fixed(seconds: i32) -> Self {
        Self { transitions: vec![(i64::MIN, seconds)] }
    }

    /// Local seconds of an instant. Before the first transition the first offset holds.
    #[must_use]
    pub fn local(&self, t: i64) -> i64 {
        let after = self.transitions.partition_point(|&(from, _)| from <= t);
        let offset = self.transitions.get(after.saturating_sub(1)).map_or(0, |&(_, seconds)| seconds);
        t.saturating_add(i64::from(offset))
    }
}

/// A window in which the series is known to differ: a sale, a holiday, a recurring job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeakEvent {
    /// Name; what was learned under it is used at its next occurrence.
    pub name: String,
    /// Start, unix seconds, inclusive.
    pub start: i64,
    /// End, unix seconds, exclusive.
    pub end: i64,
    /// Expected value relative to an ordinary day (7 is seven times), when declared; above 0.
    pub multiplier: Option<f64>,
}

impl PeakEvent {
    /// Whether an instant lies inside.
    #[must_use]
    pub fn contains(&self, t: i64) -> bool {
        self.start <= t && t < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_change_at_their_instant() {
        let zone = Offsets::new(vec![(1000, 7200), (0, 3600)]);
        assert_eq!(zone.local(999), 999 + 3600);
        assert_eq!(zone.local(1000), 1000 + 7200);
        assert_eq!(zone.local(-5), -5 + 3600);
        assert_eq!(Offsets::default().local(42), 42);
        assert_eq!(Offsets::fixed(-60).local(0), -60);
    }
}
