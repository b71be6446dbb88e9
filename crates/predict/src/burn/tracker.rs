//! The objective of one service, followed point by point.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{BurnAlert, BurnRule, Events, LowTraffic, Objective, evaluate};

/// Seconds of a bucket of windows up to [`REACH`].
const FINE: i64 = 60;
/// Longest window that minutes answer, in seconds.
const REACH: i64 = 6 * 3_600;
/// Seconds of a bucket of longer windows.
const COARSE: i64 = 1_800;
/// Buckets kept at most: a year of half hours.
const MOST: i64 = 17_600;

/// Running totals at the ends of buckets, the newest last: any window's events are one subtraction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ring {
    /// Seconds of a bucket.
    width: i64,
    /// Totals kept.
    keep: usize,
    /// Number of the newest bucket.
    newest: i64,
    totals: VecDeque<Events>,
}

impl Ring {
    /// A ring for windows of at most `longest` seconds.
    fn new(width: i64, longest: i64) -> Self {
        let keep = (longest / width + 2).clamp(2, MOST) as usize;
        Self { width, keep, newest: 0, totals: VecDeque::new() }
    }

    /// The bucket of what happened just before `t`.
    fn bucket(&self, t: i64) -> i64 {
        t.saturating_sub(1).div_euclid(self.width)
    }

    fn set(&mut self, t: i64, total: Events) {
        let bucket = self.bucket(t);
        if self.totals.is_empty() {
            self.newest = bucket - 1;
            self.totals.push_back(Events::default());
        }
        let last = self.totals.back().copied().unwrap_or_default();
        let passed = (bucket.saturating_sub(self.newest)).clamp(0, self.keep as i64);
        (0..passed).for_each(|_| self.totals.push_back(last));
        if let Some(newest) = self.totals.back_mut() {
            *newest = total;
        }
        self.newest = bucket.max(self.newest);
        while self.totals.len() > self.keep {
            self.totals.pop_front();
        }
    }

    /// Events of the `seconds` up to `t`, in whole buckets, the running one among them.
    fn window(&self, t: i64, seconds: f64) -> Events {
        let Some(now) = self.totals.back() else { return Events::default() };
        let buckets = (seconds / self.width as f64).ceil().max(1.0) as i64;
        let idle = self.bucket(t).saturating_sub(self.newest).max(0);
        let back = buckets.saturating_sub(idle).max(0) as usize;
        let before = self.totals[(self.totals.len() - 1).saturating_sub(back)];
        Events { bad: now.bad - before.bad, total: now.total - before.total }
    }
}

/// How an objective stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BurnState {
    /// Share of the error budget that is left; negative when overspent, 1 without events.
    pub remaining: f64,
    /// Burn rate of each rule's long and short window, in the order of the rules.
    pub rates: Vec<(f64, f64)>,
    /// The gravest alert that holds.
    pub alert: Option<BurnAlert>,
    /// Unix seconds at which the budget is gone when the present burn goes on: that of the firing window, else of the last
    /// six hours. `None` when that would be after the objective's window, or never; in the past when it is gone.
    pub exhausted_at: Option<i64>,
    /// Share of the objective's window that has been observed, 0 to 1: what is not, counts as without events.
    pub observed: f64,
}

/// Error budget and burn rates of one objective, from a stream of counts. O(1) a point, O(rules) a state; windows are exact
/// to a minute up to six hours, and to half an hour beyond. Serialise it to store it. 30 KB for an objective of 30 days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    objective: Objective,
    rules: Vec<BurnRule>,
    low: LowTraffic,
    total: Events,
    /// Ends of the first and the newest interval.
    seen: Option<(i64, i64)>,
    fine: Ring,
    coarse: Ring,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(objective: Objective, rules: Vec<BurnRule>, low: LowTraffic) -> Self {
        let longest = rules.iter().map(|r| r.long).fold(objective.window().max(low.sustained_for), f64::max);
        Self {
            objective,
            rules,
            low,
            total: Events::default(),
            seen: None,
            fine: Ring::new(FINE, REACH),
            coarse: Ring::new(COARSE, longest as i64),
        }
    }

    /// Takes the events of the interval that ended at `t` (unix seconds). What is older than the newest point counts at
    /// the newest; see [`crate::Reorder`]. Counts that are negative or not finite are ignored, bad ones are at most all.
    pub fn observe(&mut self, t: i64, events: Events) {
        if !(events.total.is_finite() && events.bad.is_finite() && events.total >= 0.0 && events.bad >= 0.0) {
            return;
        }
        let (first, newest) = self.seen.unwrap_or((t, t));
        let t = t.max(newest);
        self.seen = Some((first, t));
        self.total.bad += events.bad.min(events.total);
        self.total.total += events.total;
        self.fine.set(t, self.total);
        self.coarse.set(t, self.total);
    }

    /// Adds what another tracker took after `after` (unix seconds, a whole minute), as far back as its minutes reach: six
    /// hours. What it took before is left out.
    pub fn append(&mut self, later: &Self, after: i64) {
        let Some((_, newest)) = later.seen else { return };
        let totals = &later.fine.totals;
        let oldest = later.fine.newest - totals.len() as i64 + 1;
        for (bucket, (before, now)) in (oldest + 1..).zip(totals.iter().zip(totals.iter().skip(1))) {
            let end = (bucket + 1) * FINE;
            let events = Events { bad: now.bad - before.bad, total: now.total - before.total };
            if end > after && events.total > 0.0 {
                self.observe(end.min(newest), events);
            }
        }
    }

    /// The same events under other terms. A longer window than before begins with what was kept.
    pub fn retarget(&mut self, objective: Objective, rules: Vec<BurnRule>, low: LowTraffic) {
        let longest = Self::new(objective, rules, low);
        self.coarse.keep = longest.coarse.keep;
        (self.objective, self.rules, self.low) = (longest.objective, longest.rules, longest.low);
    }

    /// Events of the window of `seconds` that ends at `t`.
    #[must_use]
    pub fn window(&self, t: i64, seconds: f64) -> Events {
        if seconds <= REACH as f64 { self.fine.window(t, seconds) } else { self.coarse.window(t, seconds) }
    }

    /// State at `t` (unix seconds), which may be after the newest point.
    #[must_use]
    pub fn state(&self, t: i64) -> BurnState {
        let objective = &self.objective;
        let events = |seconds| self.window(t, seconds);
        let rate = |seconds| objective.burn_rate(events(seconds));
        let alert = evaluate(objective, &self.rules, &self.low, events);
        let remaining = objective.remaining(events(objective.window()));
        let present = alert.map_or_else(|| rate(6.0 * super::HOUR), |a| a.rate);
        let exhausted_at = objective
            .time_to_exhaustion(remaining, present)
            .filter(|&seconds| seconds < objective.window())
            .map(|seconds| t.saturating_add(seconds as i64));
        let observed =
            self.seen.map_or(0.0, |(first, _)| t.saturating_sub(first) as f64 / objective.window());
        BurnState {
            remaining,
            rates: self.rules.iter().map(|r| (rate(r.long), rate(r.short))).collect(),
            alert,
            exhausted_at,
            observed: observed.clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BurnReason, Severity, THIRTY_DAYS};
    use super::*;

    const DAY: i64 = 86_400;

    fn tracker() -> Tracker {
        let objective = Objective::new(99.9, THIRTY_DAYS).unwrap();
        Tracker::new(objective, BurnRule::workbook().to_vec(), LowTraffic::default())
    }

    /// Minutes of `total` events, of which a share is bad, from `from` on.
    fn feed(tracker: &mut Tracker, from: i64, minutes: i64, total: f64, share: f64) -> i64 {
        for m in 1..=minutes {
            tracker.observe(from + 60 * m, Events { bad: share * total, total });
        }
        from + 60 * minutes
    }

    #[test]
    fn windows_are_sums() {
        let mut tracker = tracker();
        let t = feed(&mut tracker, 0, 10 * 1440, 100.0, 0.01);
        for minutes in [1, 5, 30, 60, 360, 1440, 4320] {
            let events = tracker.window(t, 60.0 * f64::from(minutes));
            assert_eq!(events.total, 100.0 * f64::from(minutes), "{minutes}");
            assert!((events.bad - f64::from(minutes)).abs() < 1e-6);
        }
        let whole = tracker.state(t);
        assert!((whole.observed - 1.0 / 3.0).abs() < 1e-3);
        assert!((whole.remaining + 9.0).abs() < 1e-6, "{}", whole.remaining);
        assert_eq!(whole.exhausted_at, Some(t));
        assert_eq!(tracker.window(t + 40 * DAY, 3600.0), Events::default());
        assert_eq!(tracker.window(t + 40 * DAY, THIRTY_DAYS), Events::default());
    }

    #[test]
    fn pages_as_fast_as_the_workbook_says_and_ends_with_the_short_window() {
        // Share of errors, and the minutes until the first page: rate * window / ratio, of the faster pair.
        for (share, minutes) in [(1.0, 1), (0.1, 9), (0.02, 44), (0.01, 216)] {
            let mut tracker = tracker();
            let start = feed(&mut tracker, 0, 7 * 1440, 1000.0, 0.0);
            let mut first = None;
            for m in 1..=400 {
                tracker.observe(start + 60 * m, Events { bad: share * 1000.0, total: 1000.0 });
                let pages = tracker.state(start + 60 * m).alert.is_some_and(|a| a.severity == Severity::Page);
                if pages && first.is_none() {
                    first = Some(m);
                }
            }
            assert!(first.is_some_and(|m| (m - minutes).abs() <= 1), "{share}: {first:?} not {minutes}");
            let t = feed(&mut tracker, start + 400 * 60, 31, 1000.0, 0.0);
            assert!(tracker.state(t).alert.is_none_or(|a| a.severity == Severity::Ticket));
        }
    }

    #[test]
    fn exhaustion_is_foretold() {
        let mut tracker = tracker();
        let start = feed(&mut tracker, 0, 30 * 1440, 1000.0, 0.0);
        let t = feed(&mut tracker, start, 360, 1000.0, 0.012);
        let state = tracker.state(t);
        // 12 times too fast for six hours: a tenth of the budget is gone, the rest lasts 2.25 days.
        assert!((state.remaining - 0.9).abs() < 0.01, "{state:?}");
        let days = state.exhausted_at.map(|at| (at - t) as f64 / DAY as f64);
        assert!(days.is_some_and(|d| (d - 2.25).abs() < 0.05), "{days:?}");
        assert_eq!(tracker.state(t + 60 * DAY).exhausted_at, None);
    }

    #[test]
    fn a_restored_tracker_continues() {
        let mut whole = tracker();
        let t = feed(&mut whole, 1_700_000_000, 600, 50.0, 0.004);
        let mut restored: Tracker = serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
        assert_eq!(restored, whole);
        for tracker in [&mut whole, &mut restored] {
            feed(tracker, t, 100, 50.0, 0.2);
        }
        assert_eq!(restored.state(t + 6000), whole.state(t + 6000));
    }

    #[test]
    fn other_terms_keep_the_events() {
        let mut tracker = tracker();
        let t = feed(&mut tracker, 0, 600, 50.0, 0.004);
        let before = tracker.window(t, 36_000.0);
        tracker.retarget(Objective::new(99.0, 60.0 * DAY as f64).unwrap(), Vec::new(), LowTraffic::default());
        assert_eq!(tracker.window(t, 36_000.0), before);
        let t = feed(&mut tracker, t, 45 * 1440, 50.0, 0.0);
        assert_eq!(tracker.window(t, 60.0 * DAY as f64).bad, before.bad, "kept for the longer window");
    }

    #[test]
    fn few_requests_are_protected_in_both_directions() {
        // One error at 0.008 requests a second does nothing; nine of ten failing for hours at half a request a minute pages.
        let mut quiet = tracker();
        for i in 1..=3 * 1440 {
            let total = if i % 2 == 0 { 1.0 } else { 0.0 };
            quiet.observe(60 * i, Events { bad: if i == 4000 { 1.0 } else { 0.0 }, total });
            assert_eq!(quiet.state(60 * i).alert, None, "minute {i}");
        }
        let mut failing = tracker();
        for i in 1..=360 {
            let total = if i % 2 == 0 { 1.0 } else { 0.0 };
            failing.observe(60 * i, Events { bad: if i % 20 == 0 { 0.0 } else { total }, total });
        }
        let alert = failing.state(360 * 60).alert.unwrap();
        assert_eq!(alert.severity, Severity::Page);
        assert!(matches!(alert.reason, BurnReason::SustainedFailure | BurnReason::BurnRate));
    }

    #[test]
    fn odd_counts_change_nothing() {
        let mut tracker = tracker();
        for events in [Events { bad: -1.0, total: 5.0 }, Events { bad: f64::NAN, total: 5.0 }] {
            tracker.observe(60, events);
        }
        assert_eq!(tracker.state(60).remaining, 1.0);
    }
}
