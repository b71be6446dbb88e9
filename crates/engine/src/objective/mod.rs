//! Objectives: their error budgets, how fast these burn, and the symptom that a fast burn is.
//!
//! Time is data time: a window without events of the service neither burns nor recovers. An objective's events are kept
//! by the minute for six hours and by the half hour for its longest window: 30 KB for a month, 290 KB for a year.

mod config;
mod follow;
mod labels;
mod past;
mod report;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_model::{Completeness, Finding, Micros, SeriesId, SeriesPartial, Window};

use crate::asked::{Ask, Moment, Subject};
use crate::simulate::Past;

pub(crate) use config::named;
pub use config::{EventSource, Indicator, ObjectiveConfig, Timeslices};
pub(crate) use follow::Objective;
pub use labels::{Labels, NotLabels};
pub use report::{ObjectiveReport, ObjectiveState};

/// What the signal of an objective's finding begins with; its name follows.
const PREFIX: &str = "slo:";

/// Whether a series is a golden signal that spans give, and not a metric of the same name.
pub(crate) fn is_own_signal(id: &SeriesId) -> bool {
    id.group.is_empty() && matches!(id.signal.as_ref(), "requests" | "errors" | "latency")
}

/// The signal by which a symptom is looked at: of a burning objective the golden signal that burns, `latency` or
/// `error_ratio`; else the signal itself.
#[must_use]
pub fn underlying(series: &SeriesId) -> &str {
    if is_objective(series) { &series.group } else { &series.signal }
}

/// Whether a finding is one of an objective.
pub(crate) fn is_objective(series: &SeriesId) -> bool {
    series.signal.starts_with(PREFIX) && matches!(series.group.as_ref(), "latency" | "error_ratio")
}

/// All objectives, by namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objectives {
    all: BTreeMap<(String, String), Objective>,
}

impl Objectives {
    pub(crate) fn restore(objectives: Vec<Objective>) -> Self {
        Self { all: objectives.into_iter().map(|o| (key(&o.config), o)).collect() }
    }

    pub(crate) fn snapshot(&self) -> Vec<Objective> {
        self.all.values().cloned().collect()
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = &ObjectiveConfig> {
        self.all.values().map(|o| &o.config)
    }

    /// Replaces all objectives; what was counted is kept where the same events count. Gives the findings that end by it.
    pub(crate) fn set(&mut self, configs: Vec<ObjectiveConfig>, at_us: Micros) -> Vec<Finding> {
        let mut ended = Vec::new();
        let mut old = std::mem::take(&mut self.all);
        for config in configs {
            let objective = match old.remove(&key(&config)) {
                Some(mut known) => {
                    if known.config != config {
                        ended.extend(known.retarget(config.clone(), at_us));
                    }
                    known
                }
                None => Objective::new(config.clone()),
            };
            self.all.insert(key(&config), objective);
        }
        ended.extend(old.values_mut().filter_map(|gone| gone.close(at_us)));
        ended
    }

    /// Takes a window; `series` are sorted. Gives the findings that open or close.
    pub(crate) fn observe(
        &mut self,
        window: Window,
        series: &[(SeriesId, SeriesPartial)],
        tenants: &BTreeMap<Arc<str>, String>,
        completeness: Completeness,
    ) -> Vec<Finding> {
        let observe = |objective: &mut Objective| {
            // A burn belongs to the tenant whose data shows it, as the service's other symptoms do.
            let tenant = objective.entities().iter().find_map(|e| tenants.get(e.as_str()));
            let namespace = tenant.unwrap_or(&objective.config.namespace).clone();
            objective.observe(&namespace, window, series, completeness)
        };
        self.all.values_mut().filter_map(observe).collect()
    }

    /// What is to be asked of the lake now.
    pub(crate) fn asks(&mut self, at: Moment) -> Vec<Ask> {
        let mut asks = Vec::new();
        for objective in self.all.values_mut() {
            let step_us = objective.config.step_us();
            let past = objective.wants_past(at).map(|span| (true, span));
            let asked = objective.config.is_asked();
            let due = asked.then(|| objective.due.ask(step_us, 0, at)).flatten().map(|span| (false, span));
            for (lesson, (from_us, to_us)) in [past, due].into_iter().flatten() {
                let subject = Subject::Objective(objective.config.clone());
                asks.push(Ask { subject, lesson, from_us, to_us, step_us });
            }
        }
        asks
    }

    /// Takes the events up to `to_us` that were asked for `config`, unless it is another one by now.
    pub(crate) fn answer(
        &mut self,
        config: &ObjectiveConfig,
        to_us: Micros,
        past: &BTreeMap<Micros, Past>,
        tenants: &BTreeMap<Arc<str>, String>,
    ) -> Vec<Finding> {
        let Some(objective) = self.all.get_mut(&key(config)) else { return Vec::new() };
        if objective.config != *config {
            objective.due.answered(Micros::MIN);
            return Vec::new();
        }
        let tenant = config.entities.iter().find_map(|e| tenants.get(e.as_str()));
        let namespace = tenant.unwrap_or(&config.namespace).clone();
        let mut found = Vec::new();
        for (start_us, completeness) in objective.due.answered(to_us) {
            let window = Window { start_us, end_us: start_us + config.step_us() };
            let mut series = past.get(&start_us).map(|past| past.series.clone()).unwrap_or_default();
            series.sort_by(|(a, _), (b, _)| a.cmp(b));
            found.extend(objective.take(&namespace, window, &series, completeness));
        }
        found
    }

    /// The lake could not answer.
    pub(crate) fn unanswered(
        &mut self,
        config: &ObjectiveConfig,
        lesson: bool,
        problem: String,
        now_us: Micros,
    ) {
        let Some(objective) = self.all.get_mut(&key(config)) else { return };
        if lesson {
            objective.schooling.failed(now_us);
            objective.due.problem = Some(problem);
        } else {
            objective.due.failed(problem, now_us);
        }
    }

    /// Takes what was counted of the past.
    pub(crate) fn taught(&mut self, pupil: Objective) {
        if let Some(objective) = self.all.get_mut(&key(&pupil.config)) {
            objective.taught(pupil);
        }
    }

    pub(crate) fn report(&self, namespace: &str, name: &str) -> Option<ObjectiveReport> {
        self.all.get(&(namespace.to_owned(), name.to_owned())).map(Objective::report)
    }

    /// Objectives that burn fast.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Finding> {
        self.all.values().filter_map(Objective::finding)
    }

    /// When data of this finding's objective last came, and for how long none may come before it counts as missing.
    pub(crate) fn heard(&self, series: &SeriesId) -> Option<(Micros, i64)> {
        let objective = self.all.values().find(|o| o.is_of(series))?;
        Some((objective.last_us?, objective.quiet_us()))
    }

    /// Share of an error budget that a service's fastest burn spends in an hour.
    pub(crate) fn budget_per_hour(&self, service: &str) -> Option<f64> {
        let of_service = |o: &&Objective| o.finding().is_some_and(|f| f.series.entity.as_ref() == service);
        self.all.values().filter(of_service).map(Objective::budget_per_hour).max_by(f64::total_cmp)
    }

    /// Limit in seconds above which a request is slow, by the objective of this finding.
    pub(crate) fn limit_seconds(&self, series: &SeriesId) -> Option<f64> {
        let objective = self.all.values().find(|o| o.is_of(series))?;
        match objective.config.indicator {
            Indicator::SlowerThan { seconds } => Some(seconds),
            _ => None,
        }
    }
}

fn key(config: &ObjectiveConfig) -> (String, String) {
    (config.namespace.clone(), config.name.clone())
}
