//! The last residuals.

use serde::{Deserialize, Serialize};

/// Points in the long window.
pub(super) const LONG: usize = 24;
/// Points in the short window.
pub(super) const SHORT: usize = 6;

/// Ring of the last [`LONG`] residuals from the season.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Window {
    values: [f32; LONG],
    filled: u8,
    next: u8,
}

impl Window {
    pub(super) fn push(&mut self, value: f64) {
        self.values[usize::from(self.next)] = value as f32;
        self.next = (self.next + 1) % LONG as u8;
        self.filled = (self.filled + 1).min(LONG as u8);
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.next = 0;
    }

    /// Mean of the newest `n`; `None` while there are fewer.
    pub(super) fn mean(&self, n: usize) -> Option<f64> {
        (usize::from(self.filled) >= n).then(|| {
            let newest = usize::from(self.next) + LONG;
            (1..=n).map(|back| f64::from(self.values[(newest - back) % LONG])).sum::<f64>() / n as f64
        })
    }

    /// Median of what is held; 0 when empty.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.values[..usize::from(self.filled)].to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).map_or(0.0, |&v| f64::from(v))
    }

    /// Moves all values, when what they are residuals of moved.
    pub(super) fn rebase(&mut self, by: f64) {
        for value in &mut self.values {
            *value -= by as f32;
        }
    }
}
