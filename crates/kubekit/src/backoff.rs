//! Delay between retries of one object.

use std::time::Duration;

/// Exponential backoff: `base · 2^(attempt − 1)`, at most `cap`, of which the upper half is random ("equal jitter"),
/// so that objects that failed together don't retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure, before jitter.
    pub base: Duration,
    /// Longest delay, before jitter.
    pub cap: Duration,
}

impl Default for Backoff {
    /// From one second to five minutes.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// Delay before the next try after `failures` (from 1) failures in a row; `random` is uniform in [0, 1].
    ///
    /// The result lies between half of the full delay and the full delay.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1_u32 << doublings).min(self.cap);
        full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(10) };
        let full: Vec<u64> = (1..=6).map(|n| backoff.delay(n, 1.0).as_secs()).collect();
        assert_eq!(full, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.delay(1, 0.0), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn stays_between_half_and_full(failures in 0_u32.., random in 0.0..=1.0) {
            let backoff = Backoff::default();
            let delay = backoff.delay(failures, random);
            prop_assert!(delay >= backoff.base / 2 && delay <= backoff.cap);
        }
    }
}
