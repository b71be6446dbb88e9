//! A content that did not arrive, and when it is tried again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Time after which a message that met an outage is tried again.
const RETRY_LATER: SignedDuration = SignedDuration::from_mins(15);
/// Age at which such a message is given up for good.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);

/// A content that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// When it was tried first.
    pub since: Timestamp,
    /// When it was tried last.
    pub last: Timestamp,
    /// Whether the receiver was out of reach, so that it can arrive later; else it was refused.
    pub is_outage: bool,
}

impl Failure {
    /// When it is worth another try; `None` when it never is.
    pub(crate) fn next_try(&self) -> Option<Timestamp> {
        let next = self.last.checked_add(RETRY_LATER).ok()?;
        (self.is_outage && next.duration_since(self.since) < GIVE_UP).then_some(next)
    }
}
