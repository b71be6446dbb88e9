//! Declared events: what they do to series, what services earn meanwhile, and what they were seen to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_model::{Micros, SeriesId};
use causeway_predict::{Detector, Offsets, PeakEvent};
use serde::{Deserialize, Serialize};

use crate::change::{Change, ChangeClass};
use crate::config::ServiceConfig;
use crate::engine::Engine;

const HOUR_US: f64 = 3_600e6;

/// A PeakEvent as the engine follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeakConfig {
    /// Name of the PeakEvent.
    pub name: String,
    /// Name under which effects are remembered.
    pub remember_as: String,
    /// Entities in telemetry that it is about, such as `web` and `shop/web`.
    pub entities: Vec<String>,
    /// Begin and end (not part of it) of each time that it takes place, Unix microseconds, in order.
    pub occurrences: Vec<(Micros, Micros)>,
    /// Microseconds before each over which the effect builds up.
    pub warm_up_us: i64,
    /// Microseconds after each over which it wears off.
    pub cool_down_us: i64,
    /// How many times an ordinary day's value each signal has, above 0. Volumes that are not listed are learned; latency and
    /// errors that are not listed stay as they are.
    pub expected: Vec<(PeakSignal, f64)>,
    /// What services earn meanwhile.
    pub revenue: Option<PeakRevenue>,
    /// Whether nothing is to be changed from the begin of the warm-up to the end of the cool-down.
    #[serde(default)]
    pub freezes: bool,
}

/// A kind of signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PeakSignal {
    /// Requests served.
    RequestRate,
    /// Counts of log templates.
    LogVolume,
    /// Durations of requests.
    Latency,
    /// A metric by name.
    Metric(String),
}

/// What services earn during an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeakRevenue {
    /// ISO 4217 code.
    pub currency: String,
    /// Share of each service by its name in telemetry, 0 to 1.
    pub shares: BTreeMap<String, f64>,
    /// Revenue of all services in an hour, from so many microseconds after the begin on; in order, the first at 0.
    pub steps: Vec<(i64, f64)>,
}

/// How an event goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeakReport {
    /// Series that know of it.
    pub series: usize,
    /// How many times an ordinary day's value each signal had, by the median of the series that saw it.
    pub observed: Vec<(PeakSignal, f64)>,
    /// What was changed while its change freeze held, in the order in which it was told; one for each object and time.
    pub changed: Vec<Change>,
}

/// What a series tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Latency,
    Errors,
    Traffic,
    Pattern,
    Metric(&'a str),
}

impl Subject<'_> {
    /// The signal by which an event may declare its effect on the series.
    fn signal(self) -> Option<PeakSignal> {
        match self {
            Self::Latency => Some(PeakSignal::Latency),
            Self::Errors => None,
            Self::Traffic => Some(PeakSignal::RequestRate),
            Self::Pattern => Some(PeakSignal::LogVolume),
            Self::Metric(name) => Some(PeakSignal::Metric(name.to_owned())),
        }
    }

    /// Latency and errors are what a peak must not harm: unless something else is declared, they stay as they are.
    fn stays(self) -> bool {
        matches!(self, Self::Latency | Self::Errors)
    }
}

/// Time zone and events of a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalTime {
    offsets: Arc<Offsets>,
    events: Arc<[PeakEvent]>,
}

impl LocalTime {
    /// Tells a detector.
    pub(crate) fn tell(&self, detector: &mut Detector) {
        detector.declare(&self.offsets, &self.events);
    }
}

/// Everything that is declared about time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calendar {
    pub(crate) peaks: Vec<PeakConfig>,
    zones: BTreeMap<String, Arc<Offsets>>,
}

impl Calendar {
    /// Takes the time zones of services.
    pub(crate) fn set_zones(&mut self, services: &[ServiceConfig]) {
        self.zones = services
            .iter()
            .filter_map(|service| Some((service, Arc::new(service.offsets.clone()?))))
            .flat_map(|(service, offsets)| {
                let name = &service.telemetry_name;
                [(name.clone(), offsets.clone()), (format!("{}/{name}", service.namespace), offsets)]
            })
            .collect();
    }

    /// Takes the time zone of one service, known by these entities.
    pub(crate) fn set_zone(&mut self, entities: &[String], offsets: Option<&Offsets>) {
        let offsets = Arc::new(offsets.cloned().unwrap_or_default());
        self.zones = entities.iter().map(|entity| (entity.clone(), offsets.clone())).collect();
    }

    /// What a series of this entity has to know.
    pub(crate) fn of(&self, entity: &str, subject: Subject<'_>) -> LocalTime {
        let about = self.peaks.iter().filter(|peak| peak.entities.iter().any(|known| known == entity));
        let events = about.flat_map(|peak| peak.events(subject)).collect();
        LocalTime { offsets: self.zones.get(entity).cloned().unwrap_or_default(), events }
    }
}

impl Calendar {
    /// The event whose change freeze a change falls into. Only what brings something else to run does: releases and
    /// configuration, but no repair of ours.
    pub(crate) fn freeze(&self, change: &Change) -> Option<&str> {
        let is_frozen = matches!(change.class, ChangeClass::Release | ChangeClass::Config);
        let holds = |peak: &&PeakConfig| {
            peak.freezes
                && peak.entities.contains(&change.entity)
                && peak.occurrences.iter().any(|&(start_us, end_us)| {
                    (start_us - peak.warm_up_us..end_us + peak.cool_down_us).contains(&change.time_us)
                })
        };
        self.peaks.iter().filter(|_| is_frozen).find(holds).map(|peak| peak.name.as_str())
    }
}

impl PeakConfig {
    fn multiplier(&self, subject: Subject<'_>) -> Option<f64> {
        let signal = subject.signal();
        let declared = self.expected.iter().find(|(known, _)| Some(known) == signal.as_ref());
        declared.map(|(_, multiplier)| *multiplier).or_else(|| subject.stays().then_some(1.0))
    }

    fn events(&self, subject: Subject<'_>) -> impl Iterator<Item = PeakEvent> {
        let seconds = |micros: i64| micros.div_euclid(1_000_000);
        let multiplier = self.multiplier(subject);
        self.occurrences.iter().map(move |&(start_us, end_us)| PeakEvent {
            name: self.remember_as.clone(),
            start: seconds(start_us),
            end: seconds(end_us),
            multiplier,
            warm_up: seconds(self.warm_up_us),
            cool_down: seconds(self.cool_down_us),
        })
    }

    /// Revenue of a service between two times: of those parts that lie in the event, and their length.
    fn earned(&self, share: f64, steps: &[(i64, f64)], from_us: Micros, to_us: Micros) -> (f64, i64) {
        let (mut sum, mut length) = (0.0, 0);
        for &(start_us, end_us) in &self.occurrences {
            for (index, &(after_us, per_hour)) in steps.iter().enumerate() {
                let next_us = steps.get(index + 1).map_or(end_us, |(after_us, _)| start_us + after_us);
                let begin = from_us.max(start_us + after_us);
                let part = to_us.min(next_us).min(end_us) - begin;
                if part > 0 {
                    sum += share * per_hour * part as f64 / HOUR_US;
                    length += part;
                }
            }
        }
        (sum, length)
    }
}

/// Mean revenue of a service in an hour, its currency, and the event that it comes from.
pub(crate) struct Revenue<'a> {
    pub(crate) currency: &'a str,
    pub(crate) per_hour: f64,
    pub(crate) event: Option<&'a str>,
}

impl Engine {
    /// Replaces all events. What was learned of one is remembered by its name.
    pub fn set_peaks(&mut self, peaks: Vec<PeakConfig>) {
        self.calendar.peaks = peaks;
        self.tell_time();
    }

    /// How an event goes; `None` for an unknown one. O(series).
    #[must_use]
    pub fn peak(&self, name: &str) -> Option<PeakReport> {
        let peak = self.calendar.peaks.iter().find(|peak| peak.name == name)?;
        let entities: BTreeSet<&str> = peak.entities.iter().map(String::as_str).collect();
        let golden = self.watched.iter().map(|(id, watched)| (id, golden_subject(id), watched.detector()));
        let declared = self.baselines.detectors();
        let mut report = PeakReport::default();
        let mut seen: BTreeMap<PeakSignal, Vec<f64>> = BTreeMap::new();
        for (id, subject, detector) in golden.chain(declared) {
            if !entities.contains(id.entity.as_ref()) {
                continue;
            }
            report.series += 1;
            if let Some((signal, effect)) = subject.signal().zip(detector.effect(&peak.remember_as)) {
                seen.entry(signal).or_default().push(effect);
            }
        }
        report.observed = seen
            .into_iter()
            .filter_map(|(signal, mut effects)| {
                effects.sort_by(f64::total_cmp);
                Some((signal, *effects.get(effects.len() / 2)?))
            })
            .collect();
        let mut known = BTreeSet::new();
        let frozen = self.changes.iter().filter(|change| change.frozen_by == peak.name);
        report.changed =
            frozen.filter(|change| known.insert((change.time_us, &change.object))).cloned().collect();
        Some(report)
    }

    /// Tells every detector of zones and events.
    pub(crate) fn tell_time(&mut self) {
        for (id, watched) in &mut self.watched {
            watched.declare(&self.calendar.of(&id.entity, golden_subject(id)));
        }
        self.baselines.declare(&self.calendar);
    }

    /// What a service earned in an hour, on average, between two times: during an event what that declares, else what the
    /// service does. `None` where nobody said.
    pub(crate) fn revenue(&self, service: &str, from_us: Micros, to_us: Micros) -> Option<Revenue<'_>> {
        let own = self.services.iter().find(|s| s.is(service))?.revenue_per_hour.as_ref();
        let own = own.and_then(|(currency, amount)| Some((currency.as_str(), amount.parse::<f64>().ok()?)));
        let whole_us = (to_us - from_us).max(1);
        let within = self.calendar.peaks.iter().find_map(|peak| {
            let revenue = peak.revenue.as_ref()?;
            let share = *revenue.shares.get(service)?;
            // An incident that has just begun has no length yet.
            let (earned, length_us) = peak.earned(share, &revenue.steps, from_us, from_us + whole_us);
            (length_us > 0).then_some((peak, revenue, earned, length_us))
        });
        let Some((peak, revenue, earned, length_us)) = within else {
            let (currency, per_hour) = own?;
            return Some(Revenue { currency, per_hour, event: None });
        };
        let ordinary =
            own.filter(|(currency, _)| *currency == revenue.currency).map_or(0.0, |(_, amount)| amount);
        let total = earned + ordinary * (whole_us - length_us) as f64 / HOUR_US;
        // In hundredths, as money is.
        let per_hour = (total * HOUR_US / whole_us as f64 * 100.0).round() / 100.0;
        Some(Revenue { currency: &revenue.currency, per_hour, event: Some(&peak.name) })
    }
}

/// What a golden signal that every service has tells.
pub(crate) fn golden_subject(id: &SeriesId) -> Subject<'_> {
    if id.signal.as_ref() == "latency" { Subject::Latency } else { Subject::Errors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EngineConfig;

    const HOUR: i64 = 3_600_000_000;

    fn sale() -> PeakConfig {
        PeakConfig {
            name: "sale-2026".into(),
            remember_as: "sale".into(),
            entities: vec!["shop/web".into(), "web".into()],
            occurrences: vec![(10 * HOUR, 20 * HOUR)],
            warm_up_us: HOUR,
            cool_down_us: 0,
            expected: vec![(PeakSignal::RequestRate, 7.0), (PeakSignal::Metric("orders".into()), 6.0)],
            revenue: Some(PeakRevenue {
                currency: "EUR".into(),
                shares: BTreeMap::from([("shop/web".into(), 0.5)]),
                steps: vec![(0, 1000.0), (4 * HOUR, 3000.0)],
            }),
            freezes: true,
        }
    }

    #[test]
    fn signals_know_what_is_declared_of_them() {
        let calendar = Calendar { peaks: vec![sale()], zones: BTreeMap::new() };
        let cases = [
            (Subject::Traffic, Some(7.0)),
            (Subject::Metric("orders"), Some(6.0)),
            (Subject::Metric("pool"), None),
            (Subject::Pattern, None),
            (Subject::Latency, Some(1.0)),
            (Subject::Errors, Some(1.0)),
        ];
        for (subject, multiplier) in cases {
            let events = calendar.of("web", subject).events;
            assert_eq!(events.len(), 1, "{subject:?}");
            assert_eq!((events[0].name.as_str(), events[0].multiplier), ("sale", multiplier), "{subject:?}");
        }
        assert!(calendar.of("shop/db", Subject::Traffic).events.is_empty());
    }

    #[test]
    fn releases_and_configuration_within_a_freeze_are_marked() {
        let mut engine = Engine::new(EngineConfig::default());
        engine.set_peaks(vec![sale()]);
        let change = |entity: &str, hours: f64, class| Change {
            time_us: (hours * HOUR as f64) as i64,
            entity: entity.into(),
            object: format!("Deployment/shop/{entity}"),
            class,
            description: "changed".into(),
            diff: Vec::new(),
            author: "ci-bot".into(),
            frozen_by: String::new(),
        };
        use ChangeClass::{Config, Release, Repair, Scaling};
        for (entity, hours, class) in [
            ("web", 8.9, Release),
            ("web", 9.0, Release),
            ("shop/web", 9.0, Release),
            ("web", 12.0, Config),
            ("web", 13.0, Scaling),
            ("web", 14.0, Repair),
            ("db", 15.0, Release),
            ("web", 20.0, Release),
        ] {
            engine.change(change(entity, hours, class), "shop");
        }
        let report = engine.peak("sale-2026").unwrap();
        let found: Vec<(i64, &str)> =
            report.changed.iter().map(|c| (c.time_us / HOUR, c.object.as_str())).collect();
        let web = "Deployment/shop/web";
        assert_eq!(found, [(9, web), (9, "Deployment/shop/shop/web"), (12, web)]);
        assert!(report.changed.iter().all(|change| change.frozen_by == "sale-2026"));
    }

    #[test]
    fn revenue_follows_the_curve() {
        let mut engine = Engine::new(EngineConfig::default());
        engine.set_services(vec![ServiceConfig {
            telemetry_name: "shop/web".into(),
            revenue_per_hour: Some(("EUR".into(), "100".into())),
            ..ServiceConfig::default()
        }]);
        engine.set_peaks(vec![sale()]);
        let per_hour =
            |from: i64, to: i64| engine.revenue("shop/web", from * HOUR, to * HOUR).unwrap().per_hour;
        for (from, to, expected) in [
            (1, 2, 100.0),
            (10, 12, 500.0),
            (15, 15, 1500.0),
            (13, 15, 1000.0),
            (19, 21, 800.0),
            (20, 21, 100.0),
            (9, 10, 100.0),
        ] {
            assert!((per_hour(from, to) - expected).abs() < 1e-6, "{from} to {to}: {}", per_hour(from, to));
        }
        assert!(engine.revenue("shop/db", 0, HOUR).is_none());
    }
}
