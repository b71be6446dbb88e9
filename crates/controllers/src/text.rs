//! Bounded texts, times and numbers for statuses.

use causeway_kubekit::is_deceptive;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// At most `limit` characters, with `…` at the end when something was cut, and without what could deceive a reader or a
/// terminal: control characters but the line feed, and the marks that change the direction of writing.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    let mut cut: String =
        text.chars().take(limit).map(|c| if is_deceptive(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

/// Whole seconds, rounded down: what the API keeps.
pub(crate) fn in_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A time of the API, rounded down.
pub(crate) fn stamp(at: Timestamp) -> Time {
    Time(in_seconds(at))
}

/// A time of the API from microseconds, rounded down.
pub(crate) fn stamp_us(us: i64) -> Time {
    Time(Timestamp::from_second(us.div_euclid(1_000_000)).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A time of the API from microseconds, rounded up: for the begin of something that has to last.
pub(crate) fn stamp_us_up(us: i64) -> Time {
    stamp_us(us.saturating_add(999_999))
}

/// A name that Kubernetes takes: lower-case letters, digits and dashes, at most `limit` characters.
pub(crate) fn dns_label(text: &str, limit: usize) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(limit)
        .collect();
    let trimmed = plain.trim_matches('-');
    if trimmed.is_empty() { "unnamed".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_bounded() {
        assert_eq!(dns_label("Shop/Web_1.", 63), "shop-web-1");
        assert_eq!(dns_label("///", 63), "unnamed");
        assert_eq!(bounded("äöü", 2), "ä…");
        assert_eq!(bounded("äöü", 3), "äöü");
        assert_eq!(bounded("a\u{1b}[2Jb\n\u{202e}c\0", 20), "a\u{fffd}[2Jb\n\u{fffd}c\u{fffd}");
        assert_eq!(bounded(&"x".repeat(1 << 20), 10).chars().count(), 10);
        assert_eq!(stamp_us_up(1_000_001).0.as_second(), 2);
        assert_eq!(stamp_us(1_999_999).0.as_second(), 1);
    }
}
