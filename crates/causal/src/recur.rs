//! Known noise: a signature that comes back day after day without getting worse does not page again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const DAY_US: i64 = 86_400_000_000;
/// On how many of the last seven days a signature must have been seen.
const DAYS: usize = 7;
/// How much worse than before it may be and still be known.
const WORSE: f64 = 1.5;

/// Remembers signatures over a week.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recurrence {
    seen: BTreeMap<String, Vec<(i64, f64)>>,
}

/// Whether an occurrence is known noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Familiarity {
    /// Seen too rarely to be noise.
    New,
    /// Frequent and no worse than before: keep it, but do not page.
    Known,
    /// Frequent, but worse than before.
    Worse,
}

impl Recurrence {
    /// Notes an occurrence and says how familiar it is. `severity` is compared with earlier ones of the signature;
    /// `at_us` is data time.
    pub fn observe(&mut self, signature: &str, severity: f64, at_us: i64) -> Familiarity {
        let seen = self.seen.entry(signature.to_owned()).or_default();
        seen.retain(|(t, _)| at_us - t <= 8 * DAY_US);
        let past: Vec<&(i64, f64)> = seen
            .iter()
            .filter(|(t, _)| at_us - t <= 7 * DAY_US + DAY_US / 2 && at_us - t >= DAY_US / 2)
            .collect();
        let mut days: Vec<i64> = past.iter().map(|(t, _)| (at_us - t + DAY_US / 2) / DAY_US).collect();
        days.sort_unstable();
        days.dedup();
        let worst = past.iter().map(|(_, s)| *s).fold(0.0, f64::max);
        let out = match days.len() {
            n if n < DAYS => Familiarity::New,
            _ if severity > worst * WORSE => Familiarity::Worse,
            _ => Familiarity::Known,
        };
        seen.push((at_us, severity));
        if seen.len() > 256 {
            seen.remove(0);
        }
        self.seen.retain(|_, v| v.last().is_some_and(|(t, _)| at_us - t <= 8 * DAY_US));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_spike_is_known_on_day_eight_and_pages_when_worse() {
        let mut memory = Recurrence::default();
        for day in 0..7 {
            assert_eq!(memory.observe("backup", 5.0, day * DAY_US), Familiarity::New);
        }
        assert_eq!(memory.observe("backup", 5.5, 7 * DAY_US + 60_000_000), Familiarity::Known);
        assert_eq!(memory.observe("backup", 10.0, 8 * DAY_US), Familiarity::Worse);
        assert_eq!(memory.observe("other", 5.0, 8 * DAY_US), Familiarity::New);
    }
}
