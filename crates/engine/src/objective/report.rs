//! How an objective stands, for people.

use causeway_model::Micros;
use causeway_predict::burn::Severity;

use super::follow::Objective;

/// Events newer than this many seconds tell how fast a budget burns now.
const PRESENT: f64 = 3_600.0;

/// Where an objective stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectiveState {
    /// There is less history than the shortest long window.
    #[default]
    Learning,
    /// Within budget, and nothing burns.
    Healthy,
    /// A burn that wants a ticket.
    Burning,
    /// A burn that pages: its finding is open.
    BurningFast,
    /// The budget is gone, and nothing burns fast.
    Exhausted,
}

/// What is known of an objective.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectiveReport {
    /// State.
    pub state: ObjectiveState,
    /// Whether a ticket window burns.
    pub ticket: bool,
    /// The fast burn in a sentence, as it was when it began.
    pub burn: Option<String>,
    /// Share of the error budget that is left, 1 to below 0. Time before the first event counts as clean.
    pub remaining: f64,
    /// Unix microseconds at which the budget is gone when the last hour goes on; `None` when it lasts for the window.
    pub exhausted_us: Option<Micros>,
    /// Unix microseconds of the newest event's window; `None` before the first.
    pub last_us: Option<Micros>,
    /// Microseconds without an event after which data counts as missing.
    pub quiet_us: i64,
    /// Microseconds of data time from the first event to the newest.
    pub covered_us: i64,
    /// Name of a metric that should be a counter, and is not.
    pub not_a_counter: Option<String>,
    /// Why the lake could not answer the last question for its events.
    pub unanswered: Option<String>,
}

impl Objective {
    pub(super) fn report(&self) -> ObjectiveReport {
        let window = self.config.target.window();
        let remaining = self.config.target.remaining(self.events(window));
        let rate = self.config.target.burn_rate(self.events(PRESENT.min(window)));
        let exhausted_us = self.last_us.and_then(|last| {
            let seconds = self.config.target.time_to_exhaustion(remaining, rate)?;
            (seconds < window).then_some(last + (seconds * 1e6) as i64)
        });
        let state = match self.finding() {
            _ if self.is_learning() => ObjectiveState::Learning,
            Some(_) => ObjectiveState::BurningFast,
            None if remaining <= 0.0 => ObjectiveState::Exhausted,
            None if self.ticket => ObjectiveState::Burning,
            None => ObjectiveState::Healthy,
        };
        ObjectiveReport {
            state,
            ticket: self.ticket,
            burn: self.finding().map(|f| f.note.clone()),
            remaining,
            exhausted_us,
            last_us: self.last_us,
            quiet_us: self.quiet_us(),
            covered_us: self.covered_us(),
            not_a_counter: self.problem.as_ref().map(|p| p.0.clone()),
            unanswered: self.due.problem.clone(),
        }
    }

    /// Microseconds without an event after which data counts as missing: the shortest short window, at least a minute;
    /// beyond that, three stretches of time.
    pub(super) fn quiet_us(&self) -> i64 {
        let shortest = self.config.rules.iter().map(|r| r.short).fold(f64::INFINITY, f64::min);
        let slices = self.config.timeslices.map_or(0, |s| 3 * s.size_us);
        let short = if shortest.is_finite() { (shortest * 1e6) as i64 } else { 0 };
        let asked = if self.config.is_asked() { 2 * self.config.step_us() } else { 0 };
        short.max(slices).max(60_000_000) + asked
    }

    /// Share of the error budget that the present burn spends in an hour.
    pub(super) fn budget_per_hour(&self) -> f64 {
        let rate = self.alert(Severity::Page).map_or(0.0, |a| a.rate);
        self.config.target.spent_by(rate, PRESENT)
    }
}
