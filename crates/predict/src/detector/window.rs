//! The last residuals.

use serde::{Deserialize, Serialize};

/// Points kept.
pub(super) const LONG: usize = 24;
/// Outliers that a window may drop, at most.
const MOST_DROPPED: usize = 4;

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

    /// What nearly all of the newest `n` agree on: the mean without the `drop` that deviate most in the direction of the
    /// rest; 0 when they disagree about the sign. `None` while there are fewer.
    ///
    /// One outlier among quiet points is no sustained deviation, whatever its size.
    pub(super) fn agreed(&self, n: usize, drop: usize) -> Option<f64> {
        if usize::from(self.filled) < n {
            return None;
        }
        let next = usize::from(self.next);
        let (old, new) = if n <= next {
            (&self.values[..0], &self.values[next - n..next])
        } else {
            (&self.values[LONG + next - n..], &self.values[..next])
        };
        let sum: f32 = old.iter().sum::<f32>() + new.iter().sum::<f32>();
        let sign = if sum < 0.0 { -1.0 } else { 1.0 };
        // The `drop` largest on the side of the sum, in descending order.
        let mut largest = [f32::NEG_INFINITY; MOST_DROPPED];
        let largest = &mut largest[..drop.min(MOST_DROPPED)];
        for value in old.iter().chain(new) {
            let mut moving = sign * value;
            if largest.last().is_some_and(|least| moving > *least) {
                for place in largest.iter_mut() {
                    if moving > *place {
                        std::mem::swap(&mut moving, place);
                    }
                }
            }
        }
        let rest = sign * sum - largest.iter().sum::<f32>();
        Some(f64::from(sign * (rest / (n - largest.len()) as f32).max(0.0)))
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
