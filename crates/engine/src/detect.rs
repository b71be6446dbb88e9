//! One series with its detector: its values, its band, and whether it is outside.

use std::collections::VecDeque;

use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId, Window};
use causeway_predict::{Config, Detector, SignalKind};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::golden::Signal;
use crate::peak::LocalTime;

/// One evaluated window of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// End of the window.
    pub at_us: Micros,
    /// Observed value; NaN when there was no data.
    pub value: f64,
    /// Expected value; NaN while learning.
    pub expected: f64,
    /// Band, low; NaN while learning.
    pub lower: f64,
    /// Band, high; NaN while learning.
    pub upper: f64,
}

impl Point {
    /// Where a finding opened.
    pub(crate) fn of(finding: &Finding) -> Self {
        Self {
            at_us: finding.at_us,
            value: finding.observed,
            expected: finding.expected,
            lower: finding.lower,
            upper: finding.upper,
        }
    }
}

/// What an opened series is held against: its usual band before it opened. The detector does not learn meanwhile, so that
/// an outage can't become the new normal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Opened {
    since_us: Micros,
    at_us: Micros,
    expected: f64,
    lower: f64,
    upper: f64,
    /// It opened above its band; below otherwise. Coming back on that side is what closes it.
    above: bool,
    normal_in_a_row: u32,
}

impl Opened {
    /// The same at another time: an hour that is usually slower moves the band.
    fn at(self, detector: &Detector, at_us: Micros) -> Self {
        let moved = |end| detector.moved(end, self.at_us / 1_000_000, at_us / 1_000_000);
        let [expected, lower, upper] = [self.expected, self.lower, self.upper].map(moved);
        Self { expected, lower, upper, ..self }
    }

    fn is_abnormal(&self, value: f64) -> bool {
        if self.above { value > self.upper } else { value < self.lower }
    }
}

/// A series under watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Watched {
    detector: Detector,
    /// Detectors of the last windows, oldest first: on opening, the newest one from before the first abnormal window
    /// takes over, so that what led to the alarm was not learned.
    before: VecDeque<(Micros, Detector)>,
    abnormal_in_a_row: u32,
    first_abnormal_us: Micros,
    opened: Option<Opened>,
    pub(crate) points: VecDeque<Point>,
    pub(crate) last_data_us: Micros,
}

/// Windows that must be abnormal in a row before a finding opens.
const VIOLATING: u32 = 2;
/// How long before the first abnormal window a band counts as usual.
const USUAL_US: i64 = 600_000_000;
/// Windows that must be normal in a row, with data, before it closes.
const CLEARING: u32 = 3;

impl Watched {
    pub(crate) fn new(kind: SignalKind) -> Self {
        Self {
            detector: Detector::new(Config::golden(kind)),
            before: VecDeque::new(),
            abnormal_in_a_row: 0,
            first_abnormal_us: 0,
            opened: None,
            points: VecDeque::new(),
            last_data_us: 0,
        }
    }

    /// Takes what is declared about the time of the series.
    pub(crate) fn declare(&mut self, time: &LocalTime) {
        time.tell(&mut self.detector);
        self.before.iter_mut().for_each(|(_, detector)| time.tell(detector));
    }

    pub(crate) fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Start of the first abnormal window of the open finding.
    pub(crate) fn open_since_us(&self) -> Option<Micros> {
        self.opened.map(|o| o.since_us)
    }

    /// Takes the value of a window; `None` when there was no data. Gives a finding when its state changes.
    pub(crate) fn observe(
        &mut self,
        namespace: &str,
        signal: &Signal,
        window: Window,
        completeness: Completeness,
        history_us: i64,
    ) -> Option<Finding> {
        let series = &signal.id;
        let value = signal.value.filter(|v| v.is_finite());
        let (point, abnormal, score) = match self.opened {
            Some(opened) => {
                let opened = opened.at(&self.detector, window.end_us);
                let v = value.unwrap_or(f64::NAN);
                let point = Point {
                    at_us: window.end_us,
                    value: v,
                    expected: opened.expected,
                    lower: opened.lower,
                    upper: opened.upper,
                };
                (point, value.map(|v| opened.is_abnormal(v)), 0.0)
            }
            None => {
                self.before.push_back((window.start_us, self.detector.clone()));
                if self.before.len() > VIOLATING as usize + 2 {
                    self.before.pop_front();
                }
                let verdict =
                    self.detector.observe_weighted(window.end_us / 1_000_000, value, Some(signal.requests));
                let number = |v: Option<f64>| v.unwrap_or(f64::NAN);
                let point = Point {
                    at_us: window.end_us,
                    value: value.unwrap_or(f64::NAN),
                    expected: number(verdict.expected),
                    lower: number(verdict.lower),
                    upper: number(verdict.upper),
                };
                (
                    point,
                    value.map(|_| {
                        verdict.ready
                            && (verdict.anomalous || (verdict.outside && self.abnormal_in_a_row > 0))
                    }),
                    verdict.score,
                )
            }
        };
        if value.is_some() {
            self.last_data_us = window.end_us;
        }
        self.points.push_back(point);
        while self.points.front().is_some_and(|p| p.at_us < window.end_us - history_us) {
            self.points.pop_front();
        }
        // Missing data neither opens nor closes.
        let abnormal = abnormal?;
        let state = match (&mut self.opened, abnormal) {
            (None, true) => {
                if self.abnormal_in_a_row == 0 {
                    self.first_abnormal_us = window.start_us;
                }
                self.abnormal_in_a_row += 1;
                if self.abnormal_in_a_row < VIOLATING {
                    return None;
                }
                self.open(window, point);
                FindingState::Open
            }
            (None, false) => {
                self.abnormal_in_a_row = 0;
                return None;
            }
            (Some(opened), true) => {
                opened.normal_in_a_row = 0;
                return None;
            }
            (Some(opened), false) => {
                opened.normal_in_a_row += 1;
                if opened.normal_in_a_row < CLEARING {
                    return None;
                }
                FindingState::Closed
            }
        };
        let since_us = self.opened.map_or(window.start_us, |o| o.since_us);
        if state == FindingState::Closed {
            self.opened = None;
            self.abnormal_in_a_row = 0;
        }
        Some(Finding {
            id: finding_id(namespace, series, since_us),
            namespace: namespace.to_owned(),
            series: series.clone(),
            state,
            at_us: window.end_us,
            since_us,
            observed: point.value,
            expected: point.expected,
            lower: point.lower,
            upper: point.upper,
            score,
            completeness,
            note: String::new(),
        })
    }

    fn open(&mut self, window: Window, point: Point) {
        let since_us = self.first_abnormal_us;
        if let Some((_, detector)) = self.before.iter().rev().find(|(start, _)| *start <= since_us) {
            self.detector = detector.clone();
        }
        self.before.clear();
        let (from_us, to_us) = (since_us - USUAL_US, since_us);
        let usual: Vec<&Point> = self
            .points
            .iter()
            .filter(|p| (from_us..=to_us).contains(&p.at_us) && p.upper.is_finite())
            .collect();
        // The median, because an outage that comes slowly has pulled the latest bands along.
        let median = |of: fn(&Point) -> f64| {
            let mut values: Vec<f64> = usual.iter().map(|p| of(p)).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_else(|| of(&point))
        };
        self.opened = Some(Opened {
            since_us,
            at_us: window.end_us,
            expected: median(|p| p.expected),
            lower: median(|p| p.lower),
            upper: median(|p| p.upper),
            above: point.value >= point.expected,
            normal_in_a_row: 0,
        });
    }
}

/// Stable id of a finding: hash of the series and of when it began.
pub(crate) fn finding_id(namespace: &str, series: &SeriesId, since_us: Micros) -> String {
    let text = format!(
        "{namespace}\u{0}{}\u{0}{}\u{0}{}\u{0}{since_us}",
        series.entity, series.signal, series.group
    );
    format!("{:016x}", xxh3_64(text.as_bytes()))
}
