//! From verdicts to one open finding: n of m windows, and what missing data means.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many of the last windows must violate to open, so many in a row must be normal to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowRule {
    /// Violating windows that open; 1 to `size`.
    pub violating: u16,
    /// Normal windows in a row, with data, that close; at least 1.
    pub clearing: u16,
    /// Windows that are looked at; at least 1.
    pub size: u16,
}

impl Default for WindowRule {
    /// 3 of 5 open, 5 in a row close.
    fn default() -> Self {
        Self { violating: 3, clearing: 5, size: 5 }
    }
}

impl WindowRule {
    /// The rule, when it can both open and close.
    ///
    /// # Errors
    /// When it can't; the message says why.
    pub fn validate(self) -> Result<Self, RuleError> {
        if self.size == 0 || self.violating == 0 || self.violating > self.size {
            return Err(RuleError::NeverOpens);
        }
        if self.clearing == 0 { Err(RuleError::NeverCloses) } else { Ok(self) }
    }
}

/// Why a rule is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `violating` is 0 or above `size`.
    #[error("violating must be 1 to size")]
    NeverOpens,
    /// `clearing` is 0.
    #[error("clearing must be at least 1")]
    NeverCloses,
}

/// What a window without data counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MissingData {
    /// Nothing.
    #[default]
    Ignore,
    /// A violation.
    Violate,
}

/// What one window showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    /// Nothing unusual, on complete data.
    Normal,
    /// A violation.
    Violating,
    /// No data, or too little of it to say that all is well.
    Missing,
}

impl Observation {
    /// The observation of a verdict on a window that saw `completeness` (0 to 1) of the expected data. A deviation counts at
    /// once, and as long as the value stays outside of normal while the alert is open; normality needs 80 % of the data.
    #[must_use]
    pub fn of(verdict: &crate::Verdict, open: bool, completeness: f64) -> Self {
        if verdict.anomalous || (open && verdict.outside) {
            Self::Violating
        } else if completeness < 0.8 || !verdict.ready {
            Self::Missing
        } else {
            Self::Normal
        }
    }
}

/// State of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertState {
    /// Nothing is wrong.
    #[default]
    Closed,
    /// A violation goes on.
    Open,
    /// It was open, and data stopped: neither wrong nor recovered.
    NoData,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// Opened; the time is that of the first violation that counted.
    Opened {
        /// Unix seconds.
        since: i64,
    },
    /// Closed, on data.
    Closed,
    /// Data stopped while it was open.
    LostData,
    /// Data is back, and it is still open.
    Resumed,
}

/// The alert of one series. Missing data never closes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alert {
    rule: WindowRule,
    missing: MissingData,
    state: AlertState,
    recent: VecDeque<(i64, bool)>,
    normal_in_a_row: u16,
}

impl Alert {
    /// A closed alert. A rule that could not open or close is read as the nearest one that can.
    #[must_use]
    pub fn new(rule: WindowRule, missing: MissingData) -> Self {
        let size = rule.size.max(1);
        let rule =
            WindowRule { size, violating: rule.violating.clamp(1, size), clearing: rule.clearing.max(1) };
        Self { rule, missing, state: AlertState::Closed, recent: VecDeque::new(), normal_in_a_row: 0 }
    }

    /// State.
    #[must_use]
    pub fn state(&self) -> AlertState {
        self.state
    }

    /// Whether a finding is open, with or without data.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != AlertState::Closed
    }

    /// Takes the next window, which ended at `t` (unix seconds).
    pub fn observe(&mut self, t: i64, observation: Observation) -> Option<Transition> {
        let missing = observation == Observation::Missing;
        let violating =
            observation == Observation::Violating || (missing && self.missing == MissingData::Violate);
        if missing && !violating {
            return self.lose_data();
        }
        if self.recent.len() == usize::from(self.rule.size) {
            self.recent.pop_front();
        }
        self.recent.push_back((t, violating));
        self.normal_in_a_row = if violating { 0 } else { self.normal_in_a_row.saturating_add(1) };
        let resumed = self.state == AlertState::NoData && !missing;
        if resumed {
            self.state = AlertState::Open;
        }
        match self.state {
            AlertState::Closed => self.open(),
            AlertState::Open if self.normal_in_a_row >= self.rule.clearing => {
                self.state = AlertState::Closed;
                self.recent.clear();
                Some(Transition::Closed)
            }
            AlertState::Open | AlertState::NoData => resumed.then_some(Transition::Resumed),
        }
    }

    fn lose_data(&mut self) -> Option<Transition> {
        // A gap interrupts the proof of recovery.
        self.normal_in_a_row = 0;
        (self.state == AlertState::Open).then(|| {
            self.state = AlertState::NoData;
            Transition::LostData
        })
    }

    fn open(&mut self) -> Option<Transition> {
        let violating = self.recent.iter().filter(|(_, violating)| *violating).count();
        if violating < usize::from(self.rule.violating) {
            return None;
        }
        self.state = AlertState::Open;
        self.normal_in_a_row = 0;
        let since = self.recent.iter().find(|(_, violating)| *violating).map_or(0, |&(t, _)| t);
        Some(Transition::Opened { since })
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{Missing as M, Normal as N, Violating as V};
    use super::*;

    fn run(missing: MissingData, windows: &[Observation]) -> Vec<(i64, Transition)> {
        let mut alert = Alert::new(WindowRule { violating: 2, clearing: 2, size: 3 }, missing);
        (0_i64..).zip(windows).filter_map(|(t, &o)| Some((t, alert.observe(t, o)?))).collect()
    }

    #[test]
    fn opens_and_closes() {
        use Transition::{Closed, LostData, Opened, Resumed};
        let ignore = MissingData::Ignore;
        type Case<'a> = (MissingData, &'a [Observation], &'a [(i64, Transition)]);
        let cases: &[Case] = &[
            (ignore, &[V, N, N, V, N], &[]),
            (ignore, &[V, N, V, N, N], &[(2, Opened { since: 0 }), (4, Closed)]),
            (ignore, &[V, V, M, M, M, M], &[(1, Opened { since: 0 }), (2, LostData)]),
            (
                ignore,
                &[V, V, N, M, N, N],
                &[(1, Opened { since: 0 }), (3, LostData), (4, Resumed), (5, Closed)],
            ),
            (ignore, &[M, M, M, M], &[]),
            (MissingData::Violate, &[M, M, N, N], &[(1, Opened { since: 0 }), (3, Closed)]),
            (MissingData::Violate, &[V, V, M, M], &[(1, Opened { since: 0 })]),
        ];
        for (missing, windows, expected) in cases {
            assert_eq!(run(*missing, windows), *expected, "{windows:?}");
        }
    }

    #[test]
    fn useless_rules_are_refused() {
        assert_eq!(WindowRule { violating: 4, clearing: 1, size: 3 }.validate(), Err(RuleError::NeverOpens));
        assert_eq!(WindowRule { violating: 1, clearing: 0, size: 3 }.validate(), Err(RuleError::NeverCloses));
        assert!(WindowRule::default().validate().is_ok());
    }
}
