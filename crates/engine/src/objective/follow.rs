//! One objective: its events, its burn, and the finding while it burns fast.

use std::sync::Arc;

use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId, SeriesPartial, Window};
use causeway_predict::burn::{BurnAlert, BurnRule, Events, Severity, Tracker, evaluate};
use serde::{Deserialize, Serialize};

use super::config::{NotACounter, ObjectiveConfig, Timeslices};
use super::past::Schooling;
use super::{PREFIX, text};
use crate::asked::Due;
use crate::detect::finding_id;
use crate::simulate::Past;

/// Windows with events and without a burn, in a row, after which the next burn is a new one.
const QUIET: u32 = 12;
/// Windows in a row, with events, that must show the recovery before a finding closes.
const CLEARING: u32 = 3;
/// Bad events that would be expected, if it still burned, in the events that show the recovery.
const PROOF: f64 = 3.0;
/// Share of the usual number of events without which the short window shows nothing.
const FLOWING: f64 = 0.2;
/// Evidence beyond this, as -log10 of a probability, tells no more.
const MAX_SCORE: f64 = 19.0;
/// The shortest stretch that can show a recovery, in seconds.
const SHORTEST: f64 = 60.0;

/// The events of a stretch of time that has not ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slice {
    number: i64,
    events: Events,
}

impl Slice {
    /// As one event: bad when too few of its events were good.
    fn judged(&self, slices: Timeslices) -> Events {
        let good = 100.0 * (1.0 - self.events.error_ratio());
        Events { bad: if good < slices.target { 1.0 } else { 0.0 }, total: 1.0 }
    }
}

/// The finding of a fast burn.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Opened {
    finding: Finding,
    clear_in_a_row: u32,
}

/// One objective.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Objective {
    pub(super) config: ObjectiveConfig,
    pub(super) tracker: Tracker,
    slice: Option<Slice>,
    /// Start of the first window with events.
    pub(super) first_us: Option<Micros>,
    /// End of the newest window with events.
    pub(super) last_us: Option<Micros>,
    /// Start of the first window of the present burn.
    burning_since_us: Option<Micros>,
    quiet_in_a_row: u32,
    opened: Option<Opened>,
    pub(super) ticket: bool,
    pub(super) problem: Option<NotACounter>,
    /// Entity that events came from.
    pub(super) entity: Arc<str>,
    /// Stretches that the lake is to be asked for.
    #[serde(default)]
    pub(super) due: Due,
    #[serde(default)]
    pub(super) schooling: Schooling,
}

impl Objective {
    pub(crate) fn new(config: ObjectiveConfig) -> Self {
        Self {
            tracker: Tracker::new(config.target, config.rules.clone(), config.low_traffic()),
            slice: None,
            first_us: None,
            last_us: None,
            burning_since_us: None,
            quiet_in_a_row: 0,
            opened: None,
            ticket: false,
            problem: None,
            entity: config.entities.first().map_or("", String::as_str).into(),
            due: Due::default(),
            schooling: Schooling::default(),
            config,
        }
    }

    /// Takes other terms; events are kept where the same ones count. Gives the finding that ends by it.
    pub(super) fn retarget(&mut self, config: ObjectiveConfig, at_us: Micros) -> Option<Finding> {
        let closed = self.close(at_us);
        if config.counts_like(&self.config) {
            self.tracker.retarget(config.target, config.rules.clone(), config.low_traffic());
            self.ticket = false;
            if config.target.window() > self.config.target.window() {
                self.schooling.again();
            }
            self.config = config;
        } else {
            *self = Self::new(config);
        }
        closed
    }

    /// Ends the finding because it is followed no longer.
    pub(super) fn close(&mut self, at_us: Micros) -> Option<Finding> {
        let Opened { finding, .. } = self.opened.take()?;
        (self.burning_since_us, self.quiet_in_a_row) = (None, 0);
        let note = finding.note.replacen(" burns its ", " burned its ", 1);
        Some(Finding { state: FindingState::Closed, at_us, note, ..finding })
    }

    /// Entities whose events count.
    pub(super) fn entities(&self) -> &[String] {
        &self.config.entities
    }

    /// Whether a finding with this series is one of this objective.
    pub(super) fn is_of(&self, series: &SeriesId) -> bool {
        series.signal.strip_prefix(PREFIX) == Some(self.config.name.as_str())
            && (series.entity == self.entity || self.config.entities.iter().any(|e| **e == *series.entity))
    }

    /// The open finding.
    pub(super) fn finding(&self) -> Option<&Finding> {
        self.opened.as_ref().map(|o| &o.finding)
    }

    /// The shortest of the long windows, in seconds: history without which nothing is said.
    pub(super) fn needed(&self) -> f64 {
        self.config.rules.iter().map(|r| r.long).fold(f64::INFINITY, f64::min)
    }

    /// Microseconds from the first event to the newest.
    pub(super) fn covered_us(&self) -> i64 {
        self.first_us.zip(self.last_us).map_or(0, |(first, last)| last - first)
    }

    pub(super) fn is_learning(&self) -> bool {
        let covered = self.covered_us() as f64 / 1e6;
        covered <= 0.0 || covered < self.needed()
    }

    /// Events of the window of `seconds` up to the newest event. What was before the first event is taken as traffic of
    /// the same rate without a bad event: little history proves little.
    pub(super) fn events(&self, seconds: f64) -> Events {
        let Some(last) = self.last_us else { return Events::default() };
        let mut events = self.tracker.window(last / 1_000_000, seconds);
        let covered = (self.covered_us() as f64 / 1e6).max(1.0);
        if covered < seconds {
            events.total *= seconds / covered;
        }
        events
    }

    /// The gravest burn of the rules of this severity. Sustained failure counts as a page, if pages are asked for.
    pub(super) fn alert(&self, severity: Severity) -> Option<BurnAlert> {
        let rules = self.config.rules_of(severity);
        if rules.is_empty() {
            return None;
        }
        let alert = evaluate(&self.config.target, &rules, &self.config.low_traffic(), |s| self.events(s));
        alert.filter(|a| a.severity == severity)
    }

    /// Takes a window, or notes that its events are to be asked for. Gives a finding when it opens or closes.
    pub(crate) fn observe(
        &mut self,
        namespace: &str,
        window: Window,
        series: &[(SeriesId, SeriesPartial)],
        completeness: Completeness,
    ) -> Option<Finding> {
        self.schooling.window(window.start_us);
        if !self.config.is_asked() {
            return self.take(namespace, window, series, completeness);
        }
        self.due.window(window, self.config.step_us(), completeness);
        None
    }

    /// Takes a stretch of the past, of the length of a step.
    pub(crate) fn recall(&mut self, start_us: Micros, past: &Past) {
        let window = Window { start_us, end_us: start_us + self.config.step_us() };
        let mut series = past.series.clone();
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let complete = Completeness { watermark_us: window.end_us, seen: 1, expected: 1.0 };
        drop(self.take("", window, &series, complete));
    }

    /// Counts the running stretch of time, of which nothing more comes.
    pub(super) fn end_slice(&mut self) {
        let (Some(slices), Some(slice)) = (self.config.timeslices, self.slice.take()) else { return };
        let start_us = slice.number * slices.size_us;
        self.count_slice(start_us + slices.size_us, start_us, slice.judged(slices));
    }

    fn count_slice(&mut self, end_us: Micros, start_us: Micros, events: Events) {
        self.first_us.get_or_insert(start_us);
        self.last_us = Some(end_us);
        self.tracker.observe(end_us / 1_000_000, events);
    }

    /// Whether no event has shown yet which of its entities has any.
    pub(super) fn entity_is_a_guess(&self) -> bool {
        self.config.entities.first().is_some_and(|first| **first == *self.entity)
    }

    /// Takes a stretch of time. One without events changes nothing.
    pub(crate) fn take(
        &mut self,
        namespace: &str,
        window: Window,
        series: &[(SeriesId, SeriesPartial)],
        completeness: Completeness,
    ) -> Option<Finding> {
        let counted = match self.config.count(series) {
            Ok((counted, of)) => {
                if let Some(of) = of.filter(|of| **of != *self.entity) {
                    self.entity = of.into();
                }
                counted
            }
            Err(problem) => {
                self.problem = Some(problem);
                return None;
            }
        };
        self.problem = None;
        let (start_us, ended) = self.ended(window, counted)?;
        self.count_slice(window.end_us, start_us, ended);
        self.note_burning(start_us, ended);
        if self.config.suspended || self.is_learning() {
            return None;
        }
        self.ticket = self.alert(Severity::Ticket).is_some();
        let alert = self.alert(Severity::Page);
        let recovered = self.has_recovered();
        match &mut self.opened {
            None => {
                let alert = alert.filter(|_| !recovered)?;
                let finding = self.found(namespace, window, &alert, completeness);
                self.opened = Some(Opened { finding: finding.clone(), clear_in_a_row: 0 });
                Some(finding)
            }
            Some(opened) => {
                opened.clear_in_a_row = if recovered { opened.clear_in_a_row + 1 } else { 0 };
                (opened.clear_in_a_row >= CLEARING).then(|| self.close(window.end_us)).flatten()
            }
        }
    }

    /// The events to count by this window, and when they began: its own, or the stretch that it ended.
    fn ended(&mut self, window: Window, counted: Events) -> Option<(Micros, Events)> {
        let Some(slices) = self.config.timeslices else {
            return (counted.total > 0.0).then_some((window.start_us, counted));
        };
        let number = window.start_us.div_euclid(slices.size_us);
        let ended = self.slice.take_if(|slice| slice.number != number);
        if counted.total > 0.0 {
            let slice = self.slice.get_or_insert(Slice { number, events: Events::default() });
            slice.events.bad += counted.bad;
            slice.events.total += counted.total;
        }
        // One that began before windows were counted is a part only; the lake has the whole.
        let boundary_us = self.schooling.boundary_us(&self.config).unwrap_or(Micros::MIN);
        let ended = ended.filter(|slice| slice.number * slices.size_us >= boundary_us);
        ended.map(|slice| (slice.number * slices.size_us, slice.judged(slices)))
    }

    /// Share of bad events from which on a page burns.
    pub(crate) fn threshold(&self) -> f64 {
        let rules = self.config.rules_of(Severity::Page);
        let slowest = rules.iter().map(|r| r.rate).fold(f64::INFINITY, f64::min);
        (slowest * self.config.target.budget()).min(self.config.low_traffic().sustained_ratio)
    }

    fn note_burning(&mut self, start_us: Micros, events: Events) {
        if events.error_ratio() >= self.threshold() {
            self.burning_since_us.get_or_insert(start_us);
            self.quiet_in_a_row = 0;
        } else {
            self.quiet_in_a_row = self.quiet_in_a_row.saturating_add(1);
            if self.quiet_in_a_row >= QUIET && self.opened.is_none() {
                self.burning_since_us = None;
            }
        }
    }

    /// Whether the newest events show that nothing burns any more, although the windows still hold what burned: in the
    /// shortest stretch with enough events to tell, at most half of the share that burns; with few events, in the whole
    /// of a short window in which events flow as they did before.
    fn has_recovered(&self) -> bool {
        let threshold = self.threshold();
        let pages = self.config.rules_of(Severity::Page);
        let Some(rule) = pages.iter().max_by(|a, b| a.short.total_cmp(&b.short)) else { return true };
        let mut stretch = SHORTEST;
        while stretch < rule.short {
            let events = self.events(stretch);
            if events.total * threshold >= PROOF {
                return events.error_ratio() < threshold / 2.0;
            }
            stretch *= 2.0;
        }
        let events = self.events(rule.short);
        self.flows(rule, events) && events.error_ratio() < threshold
    }

    fn flows(&self, rule: &BurnRule, short: Events) -> bool {
        let usual = self.events(rule.long).total * rule.short / rule.long;
        short.total >= (FLOWING * usual).max(1.0)
    }

    /// The series of its finding.
    pub(crate) fn series(&self) -> SeriesId {
        SeriesId {
            entity: Arc::clone(&self.entity),
            signal: format!("{PREFIX}{}", self.config.name).into(),
            group: self.config.signal().into(),
        }
    }

    fn found(
        &self,
        namespace: &str,
        window: Window,
        alert: &BurnAlert,
        completeness: Completeness,
    ) -> Finding {
        let series = self.series();
        let since_us = self.burning_since_us.unwrap_or(window.start_us);
        let ratio = self.events(alert.long).error_ratio();
        let budget = self.config.target.budget();
        Finding {
            id: finding_id(namespace, &series, since_us),
            namespace: namespace.to_owned(),
            series,
            state: FindingState::Open,
            at_us: window.end_us,
            since_us,
            observed: ratio,
            expected: budget,
            lower: 0.0,
            upper: self.threshold(),
            score: alert.evidence.min(MAX_SCORE),
            completeness,
            note: text::burn(&self.config, alert.rate, ratio, alert.long),
        }
    }
}
