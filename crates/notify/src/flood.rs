//! Holds back new messages when there are too many.

use jiff::{SignedDuration, Timestamp};

/// How many new messages a target gets; edits of a message don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// New messages in any 60 minutes; at least 1. What is above goes into a digest.
    pub max_messages_per_hour: u32,
    /// Time between two digests.
    pub digest_every: SignedDuration,
}

impl Default for FloodLimits {
    /// Twenty an hour, a digest every half hour.
    fn default() -> Self {
        Self { max_messages_per_hour: 20, digest_every: SignedDuration::from_mins(30) }
    }
}

impl FloodLimits {
    /// Drops times older than an hour from `recent` and tells whether one more message may be sent now.
    pub(crate) fn allows(&self, recent: &mut Vec<Timestamp>, now: Timestamp) -> bool {
        recent.retain(|sent| now.duration_since(*sent) < SignedDuration::from_hours(1));
        recent.len() < usize::try_from(self.max_messages_per_hour.max(1)).unwrap_or(usize::MAX)
    }

    /// True when a digest is due; `last` is the last one, or when the first message began to wait.
    pub(crate) fn digest_is_due(&self, last: Timestamp, now: Timestamp) -> bool {
        now.duration_since(last) >= self.digest_every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let limits = FloodLimits { max_messages_per_hour: 2, ..FloodLimits::default() };
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut recent = vec![at(0), at(30)];
        assert!(!limits.allows(&mut recent, at(59)));
        assert!(limits.allows(&mut recent, at(60)));
        assert_eq!(recent, [at(30)]);
        assert!(!limits.digest_is_due(at(0), at(29)));
        assert!(limits.digest_is_due(at(0), at(30)));
    }
}
