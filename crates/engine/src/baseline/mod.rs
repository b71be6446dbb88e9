//! Baselines: series that people name, with the normal that they ask for. They add to the detectors of golden signals
//! that every service has, or take the place of one.
//!
//! A learned model is O(1) a point and never refitted; a series takes some 10 KB. A series of which nothing came for a
//! day is forgotten.

mod baselines;
mod config;
mod follow;
mod outlook;
mod play;
mod report;
mod sample;
mod siblings;
mod text;

use causeway_model::{Completeness, Finding, Micros, SeriesId, Window};
use causeway_predict::Ledger;
use serde::{Deserialize, Serialize};

pub(crate) use baselines::Baselines;
pub use config::{BaselineConfig, Selector};
use follow::Followed;
pub(crate) use outlook::Ended;
pub use outlook::{Forecasting, Foretold, Graded, OutlookConfig, OutlookReport};
use outlook::{Outlook, Seen};
pub(crate) use play::Play;
pub use report::{BaselineReport, BaselineState};
pub(crate) use sample::Content;
use sample::samples;

use crate::asked::Due;
use crate::detect::Point;
use crate::peak::Calendar;

/// A series without anything for this long is forgotten.
const FORGET_US: i64 = 86_400_000_000;

/// One Baseline and its series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    config: BaselineConfig,
    series: Vec<(SeriesId, Followed)>,
    /// Series of the newest window beyond the limit.
    left_out: usize,
    /// End of the newest window.
    at_us: Micros,
    /// What became of predictions.
    #[serde(default)]
    ledger: Ledger,
    /// When the most series were left out.
    #[serde(default)]
    left_out_us: Micros,
    /// Points that the lake is to be asked for.
    #[serde(default)]
    due: Due,
    #[serde(default)]
    schooling: Schooling,
    /// What comes is the past, of which nothing is foretold.
    #[serde(skip)]
    is_pupil: bool,
}

/// Whether it learned from the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Schooling {
    done: bool,
    #[serde(skip)]
    under_way: bool,
    #[serde(skip)]
    not_before_us: Micros,
}

impl Baseline {
    pub(crate) fn new(config: BaselineConfig) -> Self {
        Self {
            config,
            series: Vec::new(),
            left_out: 0,
            at_us: 0,
            ledger: Ledger::default(),
            left_out_us: 0,
            due: Due::default(),
            schooling: Schooling::default(),
            is_pupil: false,
        }
    }

    /// One that is to learn from the past.
    pub(crate) fn pupil(config: BaselineConfig) -> Self {
        Self { is_pupil: true, ..Self::new(BaselineConfig { suspended: false, ..config }) }
    }

    pub(crate) fn config(&self) -> &BaselineConfig {
        &self.config
    }

    fn get(&self, series: &SeriesId) -> Option<&Followed> {
        self.series
            .binary_search_by(|(id, _)| id.cmp(series))
            .ok()
            .and_then(|at| Some(&self.series.get(at)?.1))
    }

    /// Points that ended at `at_us`, of every series.
    pub(crate) fn newest(&self, at_us: Micros) -> impl Iterator<Item = (&SeriesId, Point)> {
        let newest = move |followed: &Followed| followed.points.back().copied().filter(|p| p.at_us == at_us);
        self.series.iter().filter_map(move |(id, followed)| Some((id, newest(followed)?)))
    }

    fn close(&mut self, at_us: Micros) -> Vec<Finding> {
        self.series.iter_mut().filter_map(|(_, followed)| followed.close(at_us)).collect()
    }

    fn retarget(&mut self, config: BaselineConfig, at_us: Micros) -> Vec<Finding> {
        if config.learns_like(&self.config) && !config.suspended {
            if config.outlook != self.config.outlook {
                // Predictions of another crossing say nothing of this one.
                self.ledger = Ledger::default();
                self.series.iter_mut().for_each(|(_, followed)| followed.outlook = Outlook::default());
            }
            self.config = config;
            return Vec::new();
        }
        let closed = self.close(at_us);
        *self = Self::new(config);
        closed
    }

    /// Takes a window, or notes that its points are to be asked for. Gives the findings that open or close.
    fn observe(
        &mut self,
        namespace: &str,
        window: Window,
        content: &Content<'_>,
        calendar: &Calendar,
        completeness: Completeness,
    ) -> Vec<Finding> {
        if !self.config.is_asked() {
            return self.take(namespace, window, content, calendar, completeness);
        }
        if !self.config.suspended {
            self.due.window(window, self.config.resolution_us, completeness);
        }
        Vec::new()
    }

    /// Takes a stretch of time.
    fn take(
        &mut self,
        namespace: &str,
        window: Window,
        content: &Content<'_>,
        calendar: &Calendar,
        completeness: Completeness,
    ) -> Vec<Finding> {
        self.at_us = window.end_us;
        if self.config.suspended {
            return Vec::new();
        }
        let config = &self.config;
        let mut samples = samples(config, content);
        let mut left_out = 0;
        for (id, (form, _)) in &samples {
            if let Err(at) = self.series.binary_search_by(|(known, _)| known.cmp(id)) {
                if self.series.len() < config.max_series {
                    let running = self.series.iter().filter_map(|(_, sibling)| sibling.detector().typical());
                    let prior = siblings::prior(&running.collect::<Vec<_>>());
                    let mut followed = Followed::new(config, *form, prior);
                    followed.declare(&calendar.of(&id.entity, config.selector.subject()));
                    self.series.insert(at, (id.clone(), followed));
                } else {
                    left_out += 1;
                }
            }
        }
        // The most of a day is told, so that series that come and go do not make news of it.
        if left_out >= self.left_out || window.end_us - self.left_out_us >= FORGET_US {
            (self.left_out, self.left_out_us) = (left_out, window.end_us);
        }
        let mut found = Vec::new();
        for (id, followed) in &mut self.series {
            let sample = samples.remove(id).map(|(_, sample)| sample);
            found.extend(followed.observe(config, namespace, id, window, sample, completeness));
            let point = followed.points.back().copied().filter(|point| point.at_us == window.end_us);
            if let (Some(wanted), Some(point)) = (&config.outlook, point) {
                let fit = !self.is_pupil && followed.ready && followed.finding().is_none();
                let events = followed.detector().config().events.clone();
                let seen = Seen { point: &point, fit, events: &events };
                followed.outlook.observe(wanted, config.resolution_us, &seen, &mut self.ledger);
            }
        }
        self.series.retain(|(_, followed)| {
            followed.finding().is_some() || window.end_us - followed.last_sample_us < FORGET_US
        });
        found
    }
}
