//! PeakEvent: tells the engine of it, and shows where it stands and what it does to signals.

use std::sync::Arc;

use causeway_crds::occurrence::Occurrence as Time;
use causeway_crds::peak_event::{
    FreezeState, Observed, PeakEventStatus, PeakPhase, PeakSignal as SignalSpec, Repeat,
};
use causeway_crds::{ConditionType, Decimal, PeakEvent, Reason};
use causeway_engine::{PeakReport, PeakSignal};
use causeway_kubekit::{Occurrence, Progress, Report, Requeue, Statement};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Written;
use kube::ResourceExt;

use crate::capacity::{capacity, expected_load};
use crate::declarations::Declarations;
use crate::freeze;
use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::peak::{remembered, remembered_load, selected, signal};
use crate::ports::Engine;
use crate::text::bounded;

/// How often the engine is asked while the event is on.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// The same while a change freeze holds.
const LOOK_OUT: SignedDuration = SignedDuration::from_mins(1);
/// How often autoscalers are looked at before it.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// A multiplier is written again when it is off by more than this share.
const MOVED: f64 = 0.1;
/// Signals that a status holds.
const SIGNALS: usize = 16;

pub(crate) struct PeakEvents {
    pub(crate) mirrors: Mirrors,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) declarations: Arc<Declarations>,
}

impl Observer for PeakEvents {
    type Kind = PeakEvent;
    const NAME: &'static str = "peak-event";

    fn report(&self, object: &PeakEvent, now: Timestamp) -> Report<PeakEventStatus> {
        self.declarations.tell();
        let before = object.status.clone().unwrap_or_default();
        let kept = PeakEventStatus { observed: before.observed.clone(), ..PeakEventStatus::default() };
        let refused =
            |reason: Reason, message| Report::new(kept.clone(), Progress::stalled(reason.as_str(), message));
        let time = match object.spec.occurrence(now) {
            Ok(time) => time,
            Err(error) => return refused(Reason::InvalidSpec, error.to_string()),
        };
        let chosen = match selected(object, &self.mirrors.services.list()) {
            Ok(services) => services,
            Err((reason, message)) => return refused(reason, message),
        };
        if object.spec.suspend {
            let message = "Nothing takes notice of the event while spec.suspend is true";
            return Report::new(kept, Progress::ready(Reason::Suspended.as_str(), message));
        }
        let services = chosen.len();
        let (phase, until) = time.phase(now);
        let remembered = remembered(object, &self.mirrors.peaks.list());
        let load =
            expected_load(object, remembered_load(&remembered)).filter(|_| phase != PeakPhase::Completed);
        let headroom = object.spec.readiness.as_ref().map_or(0, |readiness| readiness.min_headroom_percent);
        let capacity = load
            .map(|factor| capacity(&chosen, &self.mirrors, self.engine.as_ref(), phase, factor, headroom));
        let known = self.engine.peak(&object.name_any()).unwrap_or_default();
        let freeze = freeze::status(object, phase, &time, &chosen, &known.changed);
        let holds = freeze.as_ref().is_some_and(|freeze| freeze.state == FreezeState::Holding);
        let news = freeze.as_ref().map(|freeze| freeze::news(object, &time, freeze)).unwrap_or_default();
        let status = PeakEventStatus {
            phase,
            starts: Some(Written(time.start)),
            ends: Some(Written(time.end)),
            services: i32::try_from(services).unwrap_or(i32::MAX),
            observed: observed(object, &before, phase, &known),
            freeze,
            bottlenecks: capacity.as_ref().map(|capacity| capacity.short.clone()).unwrap_or_default(),
            ..PeakEventStatus::default()
        };
        let next = match (phase, until) {
            (_, Some(until)) if holds => now.checked_add(LOOK_OUT).ok().map(|soon| soon.min(until)),
            (PeakPhase::Active | PeakPhase::CoolingDown, Some(until)) => {
                now.checked_add(LOOK_AGAIN).ok().map(|soon| soon.min(until))
            }
            // Autoscalers change; the day before it is early enough to see it.
            (_, until) if capacity.is_some() => {
                let soon = now.checked_add(LOOK_AHEAD).ok();
                until.map_or(soon, |until| Some(soon.map_or(until, |soon| soon.min(until))))
            }
            (_, until) => until,
        };
        let (reason, message) = words(&time, phase, now);
        let mut report = Report::new(status, Progress::ready(reason.as_str(), message.clone()))
            .condition(armed(phase, services))
            .requeue(next.map_or(Requeue::OnChange, Requeue::At));
        if let Some(capacity) = &capacity {
            report = report.condition(capacity.statement());
        }
        for one in news {
            report = report.occurrence(one);
        }
        if object.status.is_some() && before.phase != phase {
            report = report.occurrence(Occurrence::normal(reason.as_str(), message));
        }
        report
    }

    fn forget(&self, _object: &PeakEvent) {
        self.declarations.tell();
    }
}

/// What the event was seen to do. What is known of one that is over is kept: its name may be used again.
fn observed(
    object: &PeakEvent,
    before: &PeakEventStatus,
    phase: PeakPhase,
    known: &PeakReport,
) -> Vec<Observed> {
    let comes_again = object.spec.repeat != Repeat::Never;
    let is_over = phase == PeakPhase::Completed && !before.observed.is_empty();
    let to_come = matches!(phase, PeakPhase::Planned | PeakPhase::Armed) && !comes_again;
    if is_over || to_come || known.observed.is_empty() {
        return before.observed.clone();
    }
    let was = |signal: &PeakSignal| {
        before.observed.iter().find(|seen| self::signal(seen.signal, seen.metric.as_deref()) == *signal)
    };
    let write = |(signal, multiplier): &(PeakSignal, f64)| {
        let still = |seen: &&Observed| (seen.multiplier.to_f64() / multiplier - 1.0).abs() <= MOVED;
        was(signal).filter(still).cloned().unwrap_or_else(|| written(signal, *multiplier))
    };
    known.observed.iter().take(SIGNALS).map(write).collect()
}

fn written(signal: &PeakSignal, multiplier: f64) -> Observed {
    let (signal, metric) = match signal {
        PeakSignal::RequestRate => (SignalSpec::RequestRate, None),
        PeakSignal::LogVolume => (SignalSpec::LogVolume, None),
        PeakSignal::Latency => (SignalSpec::Latency, None),
        PeakSignal::Metric(name) => (SignalSpec::Metric, Some(bounded(name, 253))),
    };
    let places = if multiplier < 2.0 { 2 } else { 1 };
    Observed { signal, metric, multiplier: Decimal::from_f64(multiplier, places) }
}

fn words(time: &Time, phase: PeakPhase, now: Timestamp) -> (Reason, String) {
    let days = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs().div_euclid(86_400) + 1;
    match phase {
        PeakPhase::Planned => (Reason::Planned, format!("Begins at {}", time.start)),
        PeakPhase::Armed => {
            (Reason::Armed, format!("Its effect builds up until it begins at {}", time.start))
        }
        PeakPhase::Active => {
            let all = days(time.start, time.end - SignedDuration::from_secs(1));
            (Reason::Active, format!("Day {} of {all}, until {}", days(time.start, now), time.end))
        }
        PeakPhase::CoolingDown => {
            (Reason::CoolingDown, format!("Its effect wears off until {}", time.cools_until))
        }
        PeakPhase::Completed => (Reason::Completed, format!("Over since {}", time.cools_until)),
    }
}

fn armed(phase: PeakPhase, services: usize) -> Statement {
    let name = ConditionType::Armed.as_str();
    match (phase, services) {
        (PeakPhase::Completed, _) => {
            Statement::new(name, false, Reason::Completed.as_str(), "It is over and does not come again")
        }
        (_, 0) => {
            let message = "No MonitoredService is meant: correct spec.namespaces or spec.serviceSelector";
            Statement::new(name, false, Reason::DependencyMissing.as_str(), message)
        }
        (_, 1) => {
            Statement::new(name, true, Reason::Armed.as_str(), "The detectors of one service know of it")
        }
        (_, n) => {
            let message = format!("The detectors of {n} services know of it");
            Statement::new(name, true, Reason::Armed.as_str(), message)
        }
    }
}
