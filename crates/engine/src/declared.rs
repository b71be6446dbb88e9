//! What people declare, and how it stands.

use causeway_model::Finding;
use serde::{Deserialize, Serialize};

use crate::baseline::{BaselineConfig, BaselineReport, Forecasting};
use crate::config::ServiceConfig;
use crate::engine::Engine;
use crate::objective::{ObjectiveConfig, ObjectiveReport};
use crate::peak::PeakConfig;

/// Everything that is declared. Kept beside the snapshot, so that windows which are rebuilt after a crash are held
/// against it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Services.
    pub services: Vec<ServiceConfig>,
    /// Objectives.
    pub objectives: Vec<ObjectiveConfig>,
    /// Baselines.
    pub baselines: Vec<BaselineConfig>,
    /// Events.
    #[serde(default)]
    pub peaks: Vec<PeakConfig>,
}

impl Engine {
    /// Replaces what is declared about services.
    pub fn set_services(&mut self, services: Vec<ServiceConfig>) {
        self.calendar.set_zones(&services);
        self.services = services;
        self.tell_time();
    }

    /// Replaces all objectives. What was counted for one is kept as long as the same events count.
    pub fn set_objectives(&mut self, objectives: Vec<ObjectiveConfig>) {
        let ended = self.objectives.set(objectives, self.assembler.released_until_us());
        self.end(ended);
    }

    /// Replaces all Baselines. What was learned for one is kept as long as the same points are made.
    pub fn set_baselines(&mut self, baselines: Vec<BaselineConfig>) {
        let ended = self.baselines.set(baselines, self.assembler.released_until_us());
        self.end(ended);
    }

    /// What is declared now.
    #[must_use]
    pub fn declared(&self) -> Declared {
        Declared {
            services: self.services.clone(),
            objectives: self.objectives.configs().cloned().collect(),
            baselines: self.baselines.configs().cloned().collect(),
            peaks: self.calendar.peaks.clone(),
        }
    }

    /// Replaces all that is declared.
    pub fn declare(&mut self, declared: Declared) {
        self.set_services(declared.services);
        self.set_peaks(declared.peaks);
        self.set_objectives(declared.objectives);
        self.set_baselines(declared.baselines);
    }

    /// How an objective stands at the newest evaluated data time; `None` for an unknown one. O(rules).
    #[must_use]
    pub fn objective(&self, namespace: &str, name: &str) -> Option<ObjectiveReport> {
        self.objectives.report(namespace, name)
    }

    /// How a Baseline stands at the newest evaluated data time; `None` for an unknown one. O(series).
    #[must_use]
    pub fn baseline(&self, namespace: &str, name: &str) -> Option<BaselineReport> {
        self.baselines.report(namespace, name)
    }

    /// How all forecasts fare. O(Baselines).
    #[must_use]
    pub fn forecasting(&self) -> Forecasting {
        self.baselines.forecasting()
    }

    /// Findings that end because nobody wants them any more.
    fn end(&mut self, ended: Vec<Finding>) {
        if !ended.is_empty() {
            self.place(ended, self.assembler.released_until_us());
        }
    }
}
