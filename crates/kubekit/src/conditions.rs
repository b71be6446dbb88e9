//! The condition set of a status: `metav1.Condition`, with the rules of kstatus for the three shared types.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Type of the condition that speaks of our own work on the object.
pub const READY: &str = "Ready";
/// Type of the condition that is there while work goes on or is retried.
pub const RECONCILING: &str = "Reconciling";
/// Type of the condition that is there while only an edit of the object can help.
pub const STALLED: &str = "Stalled";

/// Longest message that is written, in bytes; the API allows 32 KiB, a status should be small.
pub const MESSAGE_LIMIT: usize = 1024;

/// Status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known yet.
    Unknown,
}

impl Truth {
    /// The API's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A condition as a controller states it; the time is added when it enters the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Condition type, in CamelCase.
    pub condition_type: &'static str,
    /// Its status.
    pub truth: Truth,
    /// Machine-readable reason, in CamelCase, not empty.
    pub reason: String,
    /// Sentence for people; cut at [`MESSAGE_LIMIT`].
    pub message: String,
}

impl Statement {
    /// States a condition.
    #[must_use]
    pub fn new(
        condition_type: &'static str,
        truth: impl Into<Truth>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { condition_type, truth: truth.into(), reason: reason.into(), message: message.into() }
    }
}

/// What a reconcile says about `Ready`, `Reconciling` and `Stalled` together, so that they can't contradict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Our work on the object is done, or goes on as it should.
    Ready {
        /// Reason in CamelCase.
        reason: String,
        /// Sentence for people.
        message: String,
    },
    /// Not done yet, without a failure: `Ready=Unknown`, `Reconciling=True`.
    Reconciling {
        /// Reason in CamelCase.
        reason: String,
        /// Sentence for people.
        message: String,
    },
    /// Failed and retried: `Ready=False`, `Reconciling=True`.
    Retrying {
        /// Reason in CamelCase.
        reason: String,
        /// Sentence for people.
        message: String,
    },
    /// Failed, and only an edit can help: `Ready=False`, `Stalled=True`.
    Stalled {
        /// Reason in CamelCase.
        reason: String,
        /// Sentence for people.
        message: String,
    },
}

impl Progress {
    /// Shorthand for [`Progress::Ready`].
    #[must_use]
    pub fn ready(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Ready { reason: reason.into(), message: message.into() }
    }

    /// Shorthand for [`Progress::Reconciling`].
    #[must_use]
    pub fn reconciling(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Reconciling { reason: reason.into(), message: message.into() }
    }

    /// Shorthand for [`Progress::Stalled`].
    #[must_use]
    pub fn stalled(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Stalled { reason: reason.into(), message: message.into() }
    }

    fn statements(&self) -> (Statement, Option<Statement>) {
        let (ready, abnormal, reason, message) = match self {
            Self::Ready { reason, message } => (Truth::True, None, reason, message),
            Self::Reconciling { reason, message } => (Truth::Unknown, Some(RECONCILING), reason, message),
            Self::Retrying { reason, message } => (Truth::False, Some(RECONCILING), reason, message),
            Self::Stalled { reason, message } => (Truth::False, Some(STALLED), reason, message),
        };
        (
            Statement::new(READY, ready, reason, message),
            abnormal.map(|condition_type| Statement::new(condition_type, Truth::True, reason, message)),
        )
    }
}

/// The conditions of one object, in the order in which they first appeared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conditions {
    items: Vec<Condition>,
}

impl Conditions {
    /// Takes over conditions as stored.
    #[must_use]
    pub fn new(items: Vec<Condition>) -> Self {
        Self { items }
    }

    /// The condition of this type.
    #[must_use]
    pub fn get(&self, condition_type: &str) -> Option<&Condition> {
        self.items.iter().find(|condition| condition.type_ == condition_type)
    }

    /// Adds or replaces a condition. `lastTransitionTime` moves to `now` only if the status (True, False,
    /// Unknown) differs from the stored one.
    pub fn set(&mut self, statement: &Statement, generation: Option<i64>, now: Timestamp) {
        let stored = self.items.iter_mut().find(|condition| condition.type_ == statement.condition_type);
        let since = match &stored {
            Some(condition) if condition.status == statement.truth.as_str() => {
                condition.last_transition_time.clone()
            }
            _ => Time(in_seconds(now)),
        };
        let condition = Condition {
            type_: statement.condition_type.to_owned(),
            status: statement.truth.as_str().to_owned(),
            reason: statement.reason.clone(),
            message: truncated(&statement.message, MESSAGE_LIMIT),
            last_transition_time: since,
            observed_generation: generation,
        };
        match stored {
            Some(slot) => *slot = condition,
            None => self.items.push(condition),
        }
    }

    /// Removes a condition, if it is there.
    pub fn remove(&mut self, condition_type: &str) {
        self.items.retain(|condition| condition.type_ != condition_type);
    }

    /// Sets `Ready`, and sets or removes `Reconciling` and `Stalled` as kstatus wants it.
    pub fn set_progress(&mut self, progress: &Progress, generation: Option<i64>, now: Timestamp) {
        let (ready, abnormal) = progress.statements();
        self.set(&ready, generation, now);
        for condition_type in [RECONCILING, STALLED] {
            match &abnormal {
                Some(statement) if statement.condition_type == condition_type => {
                    self.set(statement, generation, now);
                }
                _ => self.remove(condition_type),
            }
        }
    }

    /// Removes every condition whose type is neither one of the three shared ones nor in `kept`.
    pub fn retain_types(&mut self, kept: &[&str]) {
        self.items.retain(|condition| {
            let name = condition.type_.as_str();
            [READY, RECONCILING, STALLED].contains(&name) || kept.contains(&name)
        });
    }

    /// The conditions as they go into a status.
    #[must_use]
    pub fn into_vec(self) -> Vec<Condition> {
        self.items
    }
}

/// The API server keeps whole seconds only.
fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// `text` cut to at most `limit` bytes at a character boundary, with an ellipsis when something was cut.
pub(crate) fn truncated(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        if cut.len() + character.len_utf8() + '…'.len_utf8() > limit {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut set = Conditions::default();
        set.set(&Statement::new("DataFlowing", true, "Flowing", "one"), Some(1), at(10));
        set.set(&Statement::new("DataFlowing", true, "StillFlowing", "two"), Some(2), at(20));
        let condition = set.get("DataFlowing").unwrap();
        assert_eq!(condition.last_transition_time.0, at(10));
        assert_eq!((condition.reason.as_str(), condition.observed_generation), ("StillFlowing", Some(2)));
        set.set(&Statement::new("DataFlowing", false, "Silent", ""), Some(2), at(30));
        assert_eq!(set.get("DataFlowing").unwrap().last_transition_time.0, at(30));
    }

    #[test]
    fn the_three_shared_conditions_never_contradict() {
        let mut set = Conditions::default();
        let names = |set: &Conditions| {
            set.items.iter().map(|c| format!("{}={}", c.type_, c.status)).collect::<Vec<_>>().join(" ")
        };
        let failed = Progress::Retrying { reason: "Unavailable".into(), message: "no answer".into() };
        for (progress, expected) in [
            (Progress::reconciling("Learning", "2 of 5"), "Ready=Unknown Reconciling=True"),
            (failed, "Ready=False Reconciling=True"),
            (Progress::stalled("InvalidSpec", "no bound"), "Ready=False Stalled=True"),
            (Progress::ready("Active", ""), "Ready=True"),
        ] {
            set.set_progress(&progress, Some(1), at(1));
            assert_eq!(names(&set), expected);
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = "ä".repeat(MESSAGE_LIMIT);
        let cut = truncated(&text, MESSAGE_LIMIT);
        assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with('…'));
        assert_eq!(truncated("short", MESSAGE_LIMIT), "short");
    }
}
