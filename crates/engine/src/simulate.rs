//! What a Baseline or an objective would have said of the past.

use std::collections::BTreeMap;

use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId, SeriesPartial, Window};
use causeway_predict::Offsets;

use crate::baseline::{Baseline, BaselineConfig, Play};
use crate::detect::Point;
use crate::objective::{Objective, ObjectiveConfig};
use crate::peak::{Calendar, PeakConfig};

const WEEK_US: f64 = 7.0 * 86_400e6;
const DAY_US: f64 = 86_400e6;

/// What was stored of one stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Series, in any order.
    pub series: Vec<(SeriesId, SeriesPartial)>,
    /// Log lines that contain a text, by service and template.
    pub lines: Vec<(String, u64, u64)>,
}

/// When something would have been raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// The finding as it opened.
    pub finding: Finding,
    /// When it would have closed, Unix microseconds; `None` when it still would be open.
    pub until_us: Option<Micros>,
}

/// What would have been.
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    /// Findings in order of time.
    pub raised: Vec<Raised>,
    /// Points of each series with its band; of an objective the share of bad events, 0, and the share that pages.
    pub points: BTreeMap<SeriesId, Vec<Point>>,
    /// Begin and end of what was stored, Unix microseconds.
    pub covered: Option<(Micros, Micros)>,
    /// False findings a week that chance alone is allowed to cause over all series, by the sensitivity; `None` where nothing is
    /// learned.
    pub by_chance_per_week: Option<f64>,
}

impl Simulation {
    /// Findings in a week, over the time in which there was data.
    #[must_use]
    pub fn per_week(&self) -> f64 {
        let length_us = self.covered.map_or(0.0, |(from, to)| (to - from) as f64);
        if length_us > 0.0 { self.raised.len() as f64 * WEEK_US / length_us } else { 0.0 }
    }

    fn note(&mut self, finding: Finding) {
        match finding.state {
            FindingState::Open => self.raised.push(Raised { finding, until_us: None }),
            FindingState::Closed => {
                let opened = self.raised.iter_mut().rev().find(|raised| raised.finding.id == finding.id);
                if let Some(opened) = opened {
                    opened.until_us = Some(finding.at_us);
                }
            }
            FindingState::NoData => {}
        }
    }

    fn cover(&mut self, window: Window) {
        let (from, _) = self.covered.unwrap_or((window.start_us, window.end_us));
        self.covered = Some((from, window.end_us));
    }
}

/// What is declared about time, as the running engine knows it.
#[derive(Clone, Debug, Default)]
pub struct DeclaredTime {
    /// Events.
    pub peaks: Vec<PeakConfig>,
    /// Offsets of the service's time zone; UTC without.
    pub offsets: Option<Offsets>,
}

/// A Baseline over what was stored: `past` is keyed by the begin of each of its points, in Unix microseconds. A stretch without
/// anything stored is a gap of all data and left out. O(points), some microseconds each.
#[must_use]
pub fn simulate_baseline(
    config: &BaselineConfig,
    time: &DeclaredTime,
    past: &BTreeMap<Micros, Past>,
) -> Simulation {
    let mut calendar = Calendar::default();
    calendar.peaks.clone_from(&time.peaks);
    calendar.set_zone(&config.entities, time.offsets.as_ref());
    let config = BaselineConfig { suspended: false, outlook: None, ..config.clone() };
    let namespace = config.namespace.clone();
    let mut baseline = Baseline::new(config.clone());
    let play = Play::new(&config, past);
    let mut simulation = Simulation::default();
    for (start_us, past) in past {
        let window = Window { start_us: *start_us, end_us: start_us + config.resolution_us };
        simulation.cover(window);
        for finding in play.point(&mut baseline, &namespace, *start_us, past, &calendar, complete(window)) {
            simulation.note(finding);
        }
        for (id, point) in baseline.newest(window.end_us) {
            simulation.points.entry(id.clone()).or_default().push(point);
        }
    }
    simulation.by_chance_per_week = config.is_learned().then(|| {
        let days: f64 = simulation
            .points
            .values()
            .map(|points| points.len() as f64 * config.resolution_us as f64 / DAY_US)
            .sum();
        let weeks = simulation.covered.map_or(1.0, |(from, to)| (to - from) as f64 / WEEK_US);
        config.sensitivity.false_alarms_per_day() * days / weeks.max(f64::MIN_POSITIVE)
    });
    simulation
}

/// An objective over what was stored in stretches of `step_us`, keyed by their begin.
#[must_use]
pub fn simulate_objective(
    config: &ObjectiveConfig,
    step_us: i64,
    past: &BTreeMap<Micros, Past>,
) -> Simulation {
    let config = ObjectiveConfig { suspended: false, ..config.clone() };
    let namespace = config.namespace.clone();
    let mut objective = Objective::new(config.clone());
    let mut simulation = Simulation::default();
    for (start_us, past) in past {
        let window = Window { start_us: *start_us, end_us: start_us + step_us };
        simulation.cover(window);
        let mut series = past.series.clone();
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(finding) = objective.take(&namespace, window, &series, complete(window)) {
            simulation.note(finding);
        }
        let Ok((events, _)) = config.count(&series) else { continue };
        if events.total > 0.0 {
            let point = Point {
                at_us: window.end_us,
                value: events.error_ratio(),
                expected: config.target.budget(),
                lower: 0.0,
                upper: objective.threshold(),
            };
            simulation.points.entry(objective.series()).or_default().push(point);
        }
    }
    simulation
}

fn complete(window: Window) -> Completeness {
    Completeness { watermark_us: window.end_us, seen: 1, expected: 1.0 }
}
