//! Error budgets and burn rates of service level objectives.
//!
//! Multi-window, multi-burn-rate alerts as in chapter 5 of Google's Site Reliability Workbook (2018), with protection at
//! low traffic in both directions: one error at night pages nobody, and a service that fails all of its few requests for hours does.

mod tracker;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::binomial_score;
pub use tracker::{BurnState, Tracker};

const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// Why an objective is not usable.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BurnError {
    /// The target is not a percentage that leaves an error budget.
    #[error("target {0} must be above 0 and below 100 percent")]
    Target(f64),
    /// The window is not positive.
    #[error("window of {0} seconds must be positive")]
    Window(f64),
}

/// An objective: so many percent good, over a rolling window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    target: f64,
    window: f64,
}

/// Events of a window: bad ones, and all. `bad <= total`, both at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Bad events.
    pub bad: f64,
    /// All events.
    pub total: f64,
}

impl Events {
    /// A time slice as one event, bad when fewer than `target` (0 to 1) of its events were good: for budgets of time
    /// instead of occurrences. A slice without events is good.
    #[must_use]
    pub fn slice(self, target: f64) -> Self {
        let bad = if self.error_ratio() > 1.0 - target { 1.0 } else { 0.0 };
        Self { bad, total: 1.0 }
    }

    /// Share of bad events, 0 to 1; 0 without events.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        if self.total > 0.0 { (self.bad / self.total).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Objective {
    /// An objective of `target` percent (99.9) over `window` seconds.
    ///
    /// # Errors
    /// A target outside of 0 to 100 (both excluded), a window that is not positive.
    pub fn new(target: f64, window: f64) -> Result<Self, BurnError> {
        if !(target > 0.0 && target < 100.0) {
            return Err(BurnError::Target(target));
        }
        if !(window > 0.0 && window.is_finite()) {
            return Err(BurnError::Window(window));
        }
        Ok(Self { target, window })
    }

    /// Share of events that may be bad, 0 to 1: 0.001 for 99.9 %.
    #[must_use]
    pub fn budget(&self) -> f64 {
        1.0 - self.target / 100.0
    }

    /// Window in seconds.
    #[must_use]
    pub fn window(&self) -> f64 {
        self.window
    }

    /// Burn rate: 1 spends the budget in exactly the objective's window.
    #[must_use]
    pub fn burn_rate(&self, events: Events) -> f64 {
        events.error_ratio() / self.budget()
    }

    /// Burn rate that spends `share` (0 to 1) of the budget in `seconds`.
    #[must_use]
    pub fn rate_spending(&self, share: f64, seconds: f64) -> f64 {
        share * self.window / seconds
    }

    /// Share of the budget that a burn rate spends in `seconds`; may exceed 1.
    #[must_use]
    pub fn spent_by(&self, rate: f64, seconds: f64) -> f64 {
        rate * seconds / self.window
    }

    /// Share of the budget that is left after the events of the whole window; negative when overspent.
    #[must_use]
    pub fn remaining(&self, window_events: Events) -> f64 {
        1.0 - self.burn_rate(window_events)
    }

    /// Seconds until the budget is gone when `remaining` (0 to 1) of it is left and `rate` goes on. `None` when it is not
    /// being spent; 0 when it is gone. What leaves the rolling window is not credited, so this is the earliest time.
    #[must_use]
    pub fn time_to_exhaustion(&self, remaining: f64, rate: f64) -> Option<f64> {
        if remaining <= 0.0 {
            return Some(0.0);
        }
        (rate > 0.0).then(|| remaining * self.window / rate)
    }

    /// Seconds of a complete outage that the budget allows.
    #[must_use]
    pub fn allowed_outage(&self) -> f64 {
        self.budget() * self.window
    }

    /// Seconds after which an alert fires that wants `rate` over a window of `long` seconds, when `error_ratio` of all
    /// events begin to fail at once. `None` when it never does.
    #[must_use]
    pub fn detection_time(&self, rate: f64, long: f64, error_ratio: f64) -> Option<f64> {
        let needed = rate * self.budget();
        (error_ratio >= needed && needed > 0.0).then(|| long * needed / error_ratio)
    }
}

/// What an alert asks of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// Within days.
    Ticket,
    /// Now.
    Page,
}

/// A pair of windows that must both burn faster than a rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BurnRule {
    /// Severity.
    pub severity: Severity,
    /// Burn rate that both windows must reach.
    pub rate: f64,
    /// Long window in seconds: that it matters.
    pub long: f64,
    /// Short window in seconds: that it still happens.
    pub short: f64,
}

impl BurnRule {
    /// The workbook's pairs for a window of 30 days: 2 % of the budget in an hour and 5 % in six page, 10 % in three days
    /// open a ticket; the short window is a twelfth of the long one.
    #[must_use]
    pub fn workbook() -> [Self; 3] {
        let rule = |severity, rate, hours: f64| Self {
            severity,
            rate,
            long: hours * HOUR,
            short: hours * HOUR / 12.0,
        };
        [rule(Severity::Page, 14.4, 1.0), rule(Severity::Page, 6.0, 6.0), rule(Severity::Ticket, 1.0, 72.0)]
    }
}

/// How little traffic is handled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LowTraffic {
    /// Fewest bad events in the long window.
    pub minimum_bad: f64,
    /// Required `-log10` of the probability that the objective's own error ratio yields as many bad events.
    pub evidence: f64,
    /// Seconds of the sustained-failure window.
    pub sustained_for: f64,
    /// Error ratio (0 to 1) that counts as sustained failure there.
    pub sustained_ratio: f64,
    /// Fewest bad events in it.
    pub sustained_bad: f64,
}

impl Default for LowTraffic {
    /// 20 bad events, odds of one in a thousand; or half of all events bad for six hours, with at least five.
    fn default() -> Self {
        Self {
            minimum_bad: 20.0,
            evidence: 3.0,
            sustained_for: 6.0 * HOUR,
            sustained_ratio: 0.5,
            sustained_bad: 5.0,
        }
    }
}

/// Why an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BurnReason {
    /// A pair of windows burns.
    BurnRate,
    /// Too few events for a pair, but most fail, and have failed for hours.
    SustainedFailure,
}

/// A burn alert that holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BurnAlert {
    /// Severity.
    pub severity: Severity,
    /// Why.
    pub reason: BurnReason,
    /// Burn rate of the long window.
    pub rate: f64,
    /// Seconds of the long window.
    pub long: f64,
    /// `-log10` of the probability of as many bad events at the objective's error ratio.
    pub evidence: f64,
}

/// The gravest alert that holds. `events(seconds)` gives the events of the window of so many seconds that ends now.
///
/// Hysteresis is the short window's: an alert ends within it once errors stop.
#[must_use]
pub fn evaluate(
    objective: &Objective,
    rules: &[BurnRule],
    low: &LowTraffic,
    events: impl Fn(f64) -> Events,
) -> Option<BurnAlert> {
    let budget = objective.budget();
    let mut found: Option<BurnAlert> = None;
    for rule in rules {
        let (long, short) = (events(rule.long), events(rule.short));
        let rate = objective.burn_rate(long);
        let evidence = binomial_score(long.bad, long.total, budget);
        let burns = rate >= rule.rate && objective.burn_rate(short) >= rule.rate;
        if burns && long.bad >= low.minimum_bad && evidence >= low.evidence {
            let alert = BurnAlert {
                severity: rule.severity,
                reason: BurnReason::BurnRate,
                rate,
                long: rule.long,
                evidence,
            };
            if found.is_none_or(|f| alert.severity > f.severity) {
                found = Some(alert);
            }
        }
    }
    found.or_else(|| {
        let window = events(low.sustained_for);
        let recent = events(low.sustained_for / 2.0);
        let evidence = binomial_score(window.bad, window.total, budget);
        let fails = |e: Events| e.total > 0.0 && e.error_ratio() >= low.sustained_ratio;
        let holds =
            fails(window) && fails(recent) && window.bad >= low.sustained_bad && evidence >= low.evidence;
        holds.then(|| BurnAlert {
            severity: Severity::Page,
            reason: BurnReason::SustainedFailure,
            rate: objective.burn_rate(window),
            long: low.sustained_for,
            evidence,
        })
    })
}

/// Thirty days in seconds, the workbook's window.
pub const THIRTY_DAYS: f64 = 30.0 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    fn objective() -> Objective {
        Objective::new(99.9, THIRTY_DAYS).unwrap()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn rates_of_the_workbook() {
        // Budget consumed, in hours, burn rate.
        for (share, hours, rate) in [(0.02, 1.0, 14.4), (0.05, 6.0, 6.0), (0.10, 72.0, 1.0)] {
            close(objective().rate_spending(share, hours * HOUR), rate);
            close(objective().spent_by(rate, hours * HOUR), share);
        }
    }

    #[test]
    fn pairs_of_the_workbook() {
        let pairs: Vec<(f64, f64, f64)> =
            BurnRule::workbook().iter().map(|r| (r.long / HOUR, r.short / 60.0, r.rate)).collect();
        assert_eq!(pairs, [(1.0, 5.0, 14.4), (6.0, 30.0, 6.0), (72.0, 360.0, 1.0)]);
    }

    #[test]
    fn time_to_exhaustion_by_burn_rate() {
        // Burn rate, error ratio of a 99.9 % objective, time to exhaustion in days.
        for (rate, ratio, days) in
            [(1.0, 0.001, 30.0), (2.0, 0.002, 15.0), (10.0, 0.01, 3.0), (1000.0, 1.0, 0.03)]
        {
            close(objective().burn_rate(Events { bad: ratio * 1e6, total: 1e6 }), rate);
            close(objective().time_to_exhaustion(1.0, rate).unwrap(), days * DAY);
        }
        // 43 minutes at a burn rate of 1000.
        close(objective().allowed_outage() / 60.0, 43.2);
        assert_eq!(objective().time_to_exhaustion(0.5, 0.0), None);
        assert_eq!(objective().time_to_exhaustion(-0.1, 3.0), Some(0.0));
    }

    #[test]
    fn detection_times_of_the_workbook() {
        // A complete outage is noticed in 3.6 s with a ten-minute window at rate 10, a 0.1 % outage in that window never.
        let objective = objective();
        close(objective.detection_time(1.0, 600.0, 1.0).unwrap(), 0.6);
        close(objective.detection_time(36.0, HOUR, 1.0).unwrap(), 129.6);
        assert_eq!(objective.detection_time(36.0, HOUR, 0.02), None);
    }

    #[test]
    fn an_outage_pages_and_a_drip_opens_a_ticket() {
        let rules = BurnRule::workbook();
        let at = |ratio: f64, per_second: f64| {
            evaluate(&objective(), &rules, &LowTraffic::default(), |seconds| Events {
                bad: ratio * per_second * seconds,
                total: per_second * seconds,
            })
        };
        for (ratio, severity) in [
            (0.5, Some(Severity::Page)),
            (0.0145, Some(Severity::Page)),
            (0.002, Some(Severity::Ticket)),
            (0.0005, None),
        ] {
            assert_eq!(at(ratio, 10.0).map(|a| a.severity), severity, "{ratio}");
        }
    }

    #[test]
    fn the_short_window_ends_an_alert() {
        let alert = evaluate(&objective(), &BurnRule::workbook()[..1], &LowTraffic::default(), |seconds| {
            if seconds > 300.0 { Events { bad: 500.0, total: 1e4 } } else { Events { bad: 0.0, total: 1e3 } }
        });
        assert_eq!(alert, None);
    }

    #[test]
    fn one_error_at_low_traffic_is_nothing() {
        let alert = evaluate(&objective(), &BurnRule::workbook(), &LowTraffic::default(), |seconds| Events {
            bad: 1.0,
            total: (0.008 * seconds).max(1.0),
        });
        assert_eq!(alert, None);
    }

    #[test]
    fn nine_of_ten_failing_at_half_a_request_a_minute_pages() {
        let alert = evaluate(
            &objective(),
            &BurnRule::workbook(),
            &LowTraffic { minimum_bad: 1e6, ..Default::default() },
            |s| Events { bad: 0.9 * s / 120.0, total: s / 120.0 },
        );
        let alert = alert.unwrap();
        assert_eq!((alert.severity, alert.reason), (Severity::Page, BurnReason::SustainedFailure));
    }

    #[test]
    fn slices_count_time() {
        for (bad, slice) in [(0.0, 0.0), (4.0, 0.0), (6.0, 1.0)] {
            assert_eq!(Events { bad, total: 100.0 }.slice(0.95), Events { bad: slice, total: 1.0 });
        }
        assert_eq!(Events::default().slice(0.95).bad, 0.0);
    }

    #[test]
    fn odd_objectives_are_refused() {
        for target in [0.0, 100.0, -1.0, f64::NAN] {
            assert!(Objective::new(target, 1.0).is_err());
        }
        assert_eq!(Objective::new(99.0, 0.0), Err(BurnError::Window(0.0)));
    }
}
