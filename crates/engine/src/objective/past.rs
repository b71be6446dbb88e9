//! What was counted before an objective was followed: its budget is that of its whole window, and not of the time since it
//! was declared or since the engine forgot.
//!
//! The lake is asked for everything up to a boundary from which on windows were counted without a gap. The answer is
//! counted apart, and what windows gave since the boundary is put on top; so nothing is missed or counted twice.

use causeway_model::Micros;
use serde::{Deserialize, Serialize};

use super::config::ObjectiveConfig;
use super::follow::Objective;
use crate::asked::{LATENESS_US, Moment, RETRY_US};

const MINUTE_US: i64 = 60_000_000;

/// How far the past was learned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Schooling {
    /// Start of the first window.
    began_us: Option<Micros>,
    done: bool,
    #[serde(skip)]
    under_way: bool,
    #[serde(skip)]
    not_before_us: Micros,
}

impl Schooling {
    pub(super) fn window(&mut self, start_us: Micros) {
        self.began_us.get_or_insert(start_us);
    }

    /// From when on windows were counted without a gap: a whole minute, and a whole stretch of time.
    pub(super) fn boundary_us(&self, config: &ObjectiveConfig) -> Option<Micros> {
        let slice_us = config.timeslices.map_or(MINUTE_US, |slices| slices.size_us);
        let mut unit_us = slice_us;
        while unit_us % MINUTE_US != 0 {
            unit_us += slice_us;
        }
        self.began_us.map(|began_us| began_us + (-began_us).rem_euclid(unit_us))
    }

    pub(super) fn failed(&mut self, now_us: Micros) {
        self.under_way = false;
        self.not_before_us = now_us + RETRY_US;
    }

    /// The terms want more than was learned.
    pub(super) fn again(&mut self) {
        self.done = false;
    }
}

impl Objective {
    /// Begin and end of the past that the lake is to be asked for now.
    pub(super) fn wants_past(&mut self, at: Moment) -> Option<(Micros, Micros)> {
        let boundary_us = self.schooling.boundary_us(&self.config)?;
        let schooling = &mut self.schooling;
        let ripe = boundary_us + LATENESS_US <= at.watermark_us && boundary_us <= at.seen_us;
        if schooling.done || schooling.under_way || !ripe || at.now_us < schooling.not_before_us {
            return None;
        }
        schooling.under_way = true;
        let longest = self.config.rules.iter().map(|rule| rule.long);
        let seconds = longest.fold(self.config.target.window(), f64::max);
        let step_us = self.config.step_us();
        let from_us = boundary_us - (seconds * 1e6) as i64;
        Some((from_us.div_euclid(step_us) * step_us, boundary_us))
    }

    /// One that counts the past, and concludes nothing from it.
    pub(crate) fn pupil(config: ObjectiveConfig) -> Self {
        Self::new(ObjectiveConfig { suspended: true, ..config })
    }

    /// Takes what was counted of the past.
    pub(super) fn taught(&mut self, mut pupil: Self) {
        self.schooling.under_way = false;
        let is_alike = self.config.counts_like(&pupil.config) && self.config.target == pupil.config.target;
        let Some(boundary_us) = self.schooling.boundary_us(&self.config).filter(|_| is_alike) else { return };
        self.schooling.done = true;
        self.due.problem = None;
        pupil.end_slice();
        let mut tracker = pupil.tracker;
        tracker.retarget(self.config.target, self.config.rules.clone(), self.config.low_traffic());
        tracker.append(&self.tracker, boundary_us / 1_000_000);
        self.tracker = tracker;
        self.first_us = [pupil.first_us, self.first_us].into_iter().flatten().min();
        self.last_us = self.last_us.max(pupil.last_us);
        if self.entity_is_a_guess() {
            self.entity = pupil.entity;
        }
    }
}
