//! Data time in microseconds, windows of it, and the range of times that is believed.

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, in UTC.
pub type Micros = i64;

/// A half-open interval of data time: `start_us <= t < end_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// First microsecond that belongs to the window.
    pub start_us: Micros,
    /// First microsecond after the window.
    pub end_us: Micros,
}

impl Window {
    /// The window of the given length that contains `t`, aligned to the epoch. `length_us` must be positive.
    #[must_use]
    pub fn containing(t: Micros, length_us: i64) -> Self {
        let length_us = length_us.max(1);
        let start_us = t.div_euclid(length_us) * length_us;
        Self { start_us, end_us: start_us + length_us }
    }

    /// Whether `t` lies inside.
    #[must_use]
    pub fn contains(&self, t: Micros) -> bool {
        self.start_us <= t && t < self.end_us
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.end_us - self.start_us) as f64 / 1e6
    }
}

/// The times that records may carry, relative to the time of observation. A record outside of it is stored
/// under its observed time, and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRange {
    /// Oldest accepted event time.
    pub oldest_us: Micros,
    /// Newest accepted event time.
    pub newest_us: Micros,
}

impl AcceptedRange {
    /// Default: from 24 hours before to 10 minutes after the observed time.
    #[must_use]
    pub fn around(observed_us: Micros) -> Self {
        Self { oldest_us: observed_us - 24 * 3_600_000_000, newest_us: observed_us + 600_000_000 }
    }

    /// Whether the event time is believed.
    #[must_use]
    pub fn contains(&self, t: Micros) -> bool {
        (self.oldest_us..=self.newest_us).contains(&t)
    }
}

/// RFC 3339 text in UTC with microseconds cut when they are zero, such as `2026-11-27T19:58:04Z`.
/// A time outside the calendar's range gives its number of microseconds.
#[must_use]
pub fn rfc3339(t: Micros) -> String {
    jiff::Timestamp::from_microsecond(t).map_or_else(|_| format!("{t}us"), |t| t.to_string())
}

/// Parses a duration in Go style with `d` and `w` besides: `90s`, `5m`, `1h30m`, `14d`, `500ms`.
///
/// Returns microseconds, or `None` when the text is empty, has an unknown unit or overflows.
#[must_use]
pub fn parse_duration_us(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: i64 = number.parse().ok()?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_len)?;
        let scale: i64 = match unit {
            "us" | "µs" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(scale)?)?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, want) in [
            ("5m", Some(300_000_000)),
            ("1h30m", Some(5_400_000_000)),
            ("14d", Some(14 * 86_400_000_000)),
            ("500ms", Some(500_000)),
            ("", None),
            ("5", None),
            ("5x", None),
            ("999999999999w", None),
        ] {
            assert_eq!(parse_duration_us(text), want, "{text}");
        }
    }

    #[test]
    fn windows_align_before_the_epoch_too() {
        assert_eq!(Window::containing(-1, 10), Window { start_us: -10, end_us: 0 });
        assert_eq!(Window::containing(19, 10), Window { start_us: 10, end_us: 20 });
    }
}
