//! The last residuals.

use serde::{Deserialize, Serialize};

/// Points kept.
pub(super) const LONG: usize = 24;

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

    /// What nearly all of the newest `N` agree on: the mean without the `DROP` that deviate most in the direction of the
    /// rest; 0 when they disagree about the sign. `None` while there are fewer.
    ///
    /// One outlier among quiet points is no sustained deviation, whatever its size.
    pub(super) fn agreed<const N: usize, const DROP: usize>(&self) -> Option<f64> {
        if usize::from(self.filled) < N {
            return None;
        }
        let next = usize::from(self.next);
        let mut newest = [0.0_f32; N];
        if N <= next {
            newest.copy_from_slice(&self.values[next - N..next]);
        } else {
            newest[..N - next].copy_from_slice(&self.values[LONG + next - N..]);
            newest[N - next..].copy_from_slice(&self.values[..next]);
        }
        let sum: f32 = newest.iter().sum();
        let sign = if sum < 0.0 { -1.0 } else { 1.0 };
        // The largest on the side of the sum, in descending order.
        let mut largest = [f32::NEG_INFINITY; DROP];
        for value in newest {
            let mut moving = sign * value;
            for place in &mut largest {
                let (low, high) = if moving > *place { (*place, moving) } else { (moving, *place) };
                *place = high;
                moving = low;
            }
        }
        let rest = sign * sum - largest.iter().sum::<f32>();
        Some(f64::from(sign * (rest / (N - DROP) as f32).max(0.0)))
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
