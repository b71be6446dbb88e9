//! All Baselines.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_model::{Completeness, Finding, Micros, SeriesId, Window};
use causeway_predict::{Detector, Ledger};

use super::{
    Baseline, BaselineConfig, BaselineReport, Content, Ended, Forecasting, Foretold, Graded, Play, text,
};
use crate::asked::{Ask, Moment, Subject as AskedFor};
use crate::detect::Point;
use crate::peak::{Calendar, Subject};
use crate::simulate::Past;

/// Microseconds of `now` before the past is asked for again.
const RETRY_US: i64 = 60_000_000;

/// All Baselines, by namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baselines {
    all: BTreeMap<(String, String), Baseline>,
}

impl Baselines {
    pub(crate) fn restore(baselines: Vec<Baseline>) -> Self {
        Self { all: baselines.into_iter().map(|b| (key(&b.config), b)).collect() }
    }

    pub(crate) fn snapshot(&self) -> Vec<Baseline> {
        self.all.values().cloned().collect()
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = &BaselineConfig> {
        self.all.values().map(|b| &b.config)
    }

    /// Replaces all Baselines; what was learned is kept where the same points are made. Gives the findings that end by
    /// it.
    pub(crate) fn set(&mut self, configs: Vec<BaselineConfig>, at_us: Micros) -> Vec<Finding> {
        let mut ended = Vec::new();
        let mut old = std::mem::take(&mut self.all);
        for config in configs {
            let baseline = match old.remove(&key(&config)) {
                Some(mut known) => {
                    if known.config != config {
                        ended.extend(known.retarget(config.clone(), at_us));
                    }
                    known
                }
                None => Baseline::new(config.clone()),
            };
            self.all.insert(key(&config), baseline);
        }
        ended.extend(old.values_mut().flat_map(|gone| gone.close(at_us)));
        ended
    }

    /// Takes a window. Gives the findings that open or close.
    pub(crate) fn observe(
        &mut self,
        window: Window,
        content: &Content<'_>,
        tenants: &BTreeMap<Arc<str>, String>,
        calendar: &Calendar,
        completeness: Completeness,
    ) -> Vec<Finding> {
        let observe = |baseline: &mut Baseline| {
            // As the service's other symptoms do, a deviation belongs to the tenant whose data shows it.
            let tenant = baseline.config.entities.iter().find_map(|e| tenants.get(e.as_str()));
            let namespace = tenant.unwrap_or(&baseline.config.namespace).clone();
            baseline.observe(&namespace, window, content, calendar, completeness)
        };
        self.all.values_mut().flat_map(observe).collect()
    }

    /// What is to be asked of the lake now.
    pub(crate) fn asks(&mut self, at: Moment) -> Vec<Ask> {
        let mut asks = Vec::new();
        for baseline in self.all.values_mut().filter(|b| !b.config.suspended) {
            let step_us = baseline.config.resolution_us;
            let mut ask = |lesson: bool, (from_us, to_us): (Micros, Micros), config: &BaselineConfig| {
                let subject = AskedFor::Baseline(config.clone());
                asks.push(Ask { subject, lesson, from_us, to_us, step_us });
            };
            let schooling = &mut baseline.schooling;
            let wants = baseline.config.history_us > 0 && baseline.config.is_learned() && !schooling.done;
            if wants && !schooling.under_way && at.now_us >= schooling.not_before_us {
                schooling.under_way = true;
                let until_us = if at.watermark_us > 0 { at.watermark_us } else { at.now_us };
                let whole = |us: Micros| us.div_euclid(step_us) * step_us;
                ask(true, (whole(until_us - baseline.config.history_us), whole(until_us)), &baseline.config);
            }
            // What is due comes after what was before.
            if !wants
                && baseline.config.is_asked()
                && let Some(span) = baseline.due.ask(step_us, baseline.config.delay_us, at)
            {
                ask(false, span, &baseline.config);
            }
        }
        asks
    }

    /// Takes the points up to `to_us` that were asked for `config`, unless it is another one by now.
    pub(crate) fn answer(
        &mut self,
        config: &BaselineConfig,
        to_us: Micros,
        past: &BTreeMap<Micros, Past>,
        tenants: &BTreeMap<Arc<str>, String>,
        calendar: &Calendar,
    ) -> Vec<Finding> {
        let Some(baseline) = self.all.get_mut(&key(config)) else { return Vec::new() };
        if baseline.config != *config {
            baseline.due.answered(Micros::MIN);
            return Vec::new();
        }
        let tenant = config.entities.iter().find_map(|e| tenants.get(e.as_str()));
        let namespace = tenant.unwrap_or(&config.namespace).clone();
        let play = Play::new(config, past);
        let nothing = Past::default();
        let mut found = Vec::new();
        for (start_us, completeness) in baseline.due.answered(to_us) {
            let past = past.get(&start_us).unwrap_or(&nothing);
            found.extend(play.point(baseline, &namespace, start_us, past, calendar, completeness));
        }
        found
    }

    /// The lake could not answer.
    pub(crate) fn unanswered(
        &mut self,
        config: &BaselineConfig,
        lesson: bool,
        problem: String,
        now_us: Micros,
    ) {
        let Some(baseline) = self.all.get_mut(&key(config)) else { return };
        if lesson {
            baseline.schooling.under_way = false;
            baseline.schooling.not_before_us = now_us + RETRY_US;
            baseline.due.problem = Some(problem);
        } else {
            baseline.due.failed(problem, now_us);
        }
    }

    /// Takes what a Baseline learned from the past in the place of what was learned since it began to.
    pub(crate) fn taught(&mut self, pupil: Baseline, calendar: &Calendar) {
        let Some(baseline) = self.all.get_mut(&key(&pupil.config)) else { return };
        baseline.schooling.under_way = false;
        if !baseline.config.learns_like(&pupil.config) || baseline.schooling.done {
            return;
        }
        baseline.schooling.done = true;
        // The lesson went as far as windows did when it began.
        baseline.due.answered(pupil.at_us);
        for (id, mut followed) in pupil.series {
            followed.declare(&calendar.of(&id.entity, baseline.config.selector.subject()));
            match baseline.series.binary_search_by(|(known, _)| known.cmp(&id)) {
                Ok(at) => {
                    let Some((_, present)) = baseline.series.get_mut(at) else { continue };
                    // A finding that is open is held against the band that it opened with.
                    if present.finding().is_none() {
                        followed.graduate(&baseline.config, Some(present));
                        *present = followed;
                    }
                }
                Err(at) if baseline.series.len() < baseline.config.max_series => {
                    followed.graduate(&baseline.config, None);
                    baseline.series.insert(at, (id, followed));
                }
                Err(_) => {}
            }
        }
    }

    /// Tells every series of zones and events.
    pub(crate) fn declare(&mut self, calendar: &Calendar) {
        for baseline in self.all.values_mut() {
            let subject = baseline.config.selector.subject();
            for (id, followed) in &mut baseline.series {
                followed.declare(&calendar.of(&id.entity, subject));
            }
        }
    }

    /// How the forecasts of all Baselines fare.
    pub(crate) fn forecasting(&self) -> Forecasting {
        let mut ledger = Ledger::default();
        self.all.values().for_each(|baseline| ledger.merge(&baseline.ledger));
        Forecasting { graded: Graded::of(&ledger), brier: ledger.brier() }
    }

    /// Every series with its detector.
    pub(crate) fn detectors(&self) -> impl Iterator<Item = (&SeriesId, Subject<'_>, &Detector)> {
        self.all.values().flat_map(|baseline| {
            let subject = baseline.config.selector.subject();
            baseline.series.iter().map(move |(id, followed)| (id, subject, followed.detector()))
        })
    }

    /// An object of `entity` was changed: what was foretold of it may not happen now.
    pub(crate) fn acted(&mut self, entity: &str, at_us: Micros) {
        for baseline in self.all.values_mut() {
            let of_entity = baseline.series.iter_mut().filter(|(id, _)| id.entity.as_ref() == entity);
            of_entity.for_each(|(_, followed)| followed.outlook.acted(at_us));
        }
    }

    /// Crossings that are foretold now, with the namespace of who is concerned and the prediction in words.
    pub(crate) fn foretold(&self, tenants: &BTreeMap<Arc<str>, String>) -> Vec<(String, Foretold, String)> {
        let mut out = Vec::new();
        for baseline in self.all.values() {
            let Some(wanted) = baseline.config.outlook else { continue };
            for foretold in baseline.series.iter().filter_map(|(id, followed)| followed.outlook.foretold(id))
            {
                let tenant = tenants.get(&foretold.series.entity).unwrap_or(&baseline.config.namespace);
                let words = text::prediction(&baseline.config, &wanted, &foretold);
                out.push((tenant.clone(), foretold, words));
            }
        }
        out
    }

    /// Takes what became of predictions since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<(SeriesId, Ended)> {
        let series = self.all.values_mut().flat_map(|b| b.series.iter_mut());
        series.filter_map(|(id, followed)| Some((id.clone(), followed.outlook.take_ended()?))).collect()
    }

    /// Whether the newest point of a series, at `at_us`, lies beyond the bound of its outlook; `None` without a value.
    pub(crate) fn is_beyond(&self, series: &SeriesId, at_us: Micros) -> Option<bool> {
        self.all.values().find_map(|b| b.get(series).and_then(|followed| followed.outlook.is_beyond(at_us)))
    }

    /// Whether a Baseline judges this golden signal, so that the service's own detector rests. Not before it has
    /// learned.
    pub(crate) fn overrides(&self, series: &SeriesId) -> bool {
        self.all.values().any(|b| b.get(series).is_some_and(|followed| followed.ready))
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Finding> {
        self.all.values().flat_map(|b| &b.series).filter_map(|(_, followed)| followed.finding())
    }

    /// When data of this series last came, and for how long none may come before it counts as missing.
    pub(crate) fn heard(&self, series: &SeriesId) -> Option<(Micros, i64)> {
        self.all.values().find_map(|b| b.get(series).map(|f| (f.last_data_us, b.config.quiet_us())))
    }

    pub(crate) fn points(&self, series: &SeriesId) -> Option<Vec<Point>> {
        self.all.values().find_map(|b| b.get(series).map(|f| f.points.iter().copied().collect()))
    }

    pub(crate) fn report(&self, namespace: &str, name: &str) -> Option<BaselineReport> {
        self.all.get(&(namespace.to_owned(), name.to_owned())).map(Baseline::report)
    }
}

fn key(config: &BaselineConfig) -> (String, String) {
    (config.namespace.clone(), config.name.clone())
}
