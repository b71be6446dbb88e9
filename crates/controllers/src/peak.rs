//! From the spec of a PeakEvent to what the engine follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_crds::peak_event::{PeakPhase, PeakSignal as SignalSpec};
use causeway_crds::{Decimal, DurationText, MonitoredService, PeakEvent, Reason};
use causeway_engine::{Offsets, PeakConfig, PeakRevenue, PeakSignal};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt as _};

use crate::objective::Refusal;
use crate::services::{entities, telemetry_name};

/// What the engine follows for `event`. `services` and `events` are all that there are: an event that declares nothing of a
/// signal starts from what an earlier one of the same name was seen to do.
///
/// # Errors
/// What can't be meant, and what to write instead.
pub(crate) fn peak(
    event: &PeakEvent,
    services: &[Arc<MonitoredService>],
    events: &[Arc<PeakEvent>],
    now: Timestamp,
) -> Result<PeakConfig, Refusal> {
    let spec = &event.spec;
    let occurrences = spec.occurrences(now).map_err(|error| (Reason::InvalidSpec, error.to_string()))?;
    let services = selected(event, services)?;
    let declared =
        spec.expected.iter().map(|e| (signal(e.signal, e.metric.as_deref()), e.multiplier.to_f64()));
    let mut expected: Vec<(PeakSignal, f64)> = declared.collect();
    for (signal, multiplier) in remembered(event, events) {
        if !expected.iter().any(|(known, _)| *known == signal) {
            expected.push((signal, multiplier));
        }
    }
    Ok(PeakConfig {
        name: event.name_any(),
        remember_as: remember_as(event),
        entities: services.iter().flat_map(|service| entities(service)).collect(),
        occurrences: occurrences
            .iter()
            .map(|one| (one.start.as_microsecond(), one.end.as_microsecond()))
            .collect(),
        warm_up_us: micros(&spec.warm_up),
        cool_down_us: micros(&spec.cool_down),
        expected,
        revenue: revenue(event, &services),
        freezes: spec.change_freeze.is_some(),
    })
}

/// The services that an event is about.
///
/// # Errors
/// A selector that is none.
pub(crate) fn selected(
    event: &PeakEvent,
    services: &[Arc<MonitoredService>],
) -> Result<Vec<Arc<MonitoredService>>, Refusal> {
    let selector = event.spec.service_selector.clone().map(selector).transpose()?;
    let chosen = services.iter().filter(|service| {
        event.spec.covers(&service.namespace().unwrap_or_default())
            && selector.as_ref().is_none_or(|selector| selector.matches(service.labels()))
    });
    Ok(chosen.cloned().collect())
}

fn selector(labels: LabelSelector) -> Result<Selector, Refusal> {
    Selector::try_from(labels)
        .map_err(|error| (Reason::InvalidSpec, format!("spec.serviceSelector: {error}")))
}

/// Name under which the effects of an event are remembered.
pub(crate) fn remember_as(event: &PeakEvent) -> String {
    event.spec.remember_as.clone().unwrap_or_else(|| event.name_any())
}

pub(crate) fn signal(signal: SignalSpec, metric: Option<&str>) -> PeakSignal {
    match signal {
        SignalSpec::RequestRate => PeakSignal::RequestRate,
        SignalSpec::LogVolume => PeakSignal::LogVolume,
        SignalSpec::Latency => PeakSignal::Latency,
        SignalSpec::Metric => PeakSignal::Metric(metric.unwrap_or_default().to_owned()),
    }
}

/// What the newest completed event of the same name was seen to do to volumes. Latency is not carried over: what a peak did
/// to it last time is not what it ought to be.
pub(crate) fn remembered(event: &PeakEvent, events: &[Arc<PeakEvent>]) -> Vec<(PeakSignal, f64)> {
    let name = remember_as(event);
    let before = events
        .iter()
        .filter(|other| other.uid() != event.uid() && remember_as(other) == name)
        .filter_map(|other| other.status.as_ref())
        .filter(|status| status.phase == PeakPhase::Completed)
        .max_by_key(|status| status.ends.as_ref().map(|time| time.0));
    let observed = before.map(|status| status.observed.as_slice()).unwrap_or_default();
    observed
        .iter()
        .filter(|seen| seen.signal != SignalSpec::Latency && seen.multiplier.to_f64() > 0.0)
        .map(|seen| (signal(seen.signal, seen.metric.as_deref()), seen.multiplier.to_f64()))
        .collect()
}

/// How many times an ordinary day's requests were remembered.
pub(crate) fn remembered_load(remembered: &[(PeakSignal, f64)]) -> Option<f64> {
    remembered.iter().find(|(signal, _)| *signal == PeakSignal::RequestRate).map(|(_, factor)| *factor)
}

/// What services earn: each in proportion to what it declares in the same currency, in equal parts where none does.
fn revenue(event: &PeakEvent, services: &[Arc<MonitoredService>]) -> Option<PeakRevenue> {
    let business = event.spec.business.as_ref()?;
    let own = |service: &Arc<MonitoredService>| {
        let declared = service.spec.business.as_ref().filter(|own| own.currency == business.currency);
        declared.map_or(0.0, |own| own.revenue_per_hour.to_f64().max(0.0))
    };
    let total: f64 = services.iter().map(own).sum();
    let share = |service| if total > 0.0 { own(service) / total } else { 1.0 / services.len() as f64 };
    let mut steps = vec![(0, business.revenue_per_hour.to_f64())];
    let mut curve: Vec<(i64, &Decimal)> =
        business.curve.iter().map(|point| (micros(&point.after), &point.revenue_per_hour)).collect();
    curve.sort_by_key(|(after, _)| *after);
    for (after, amount) in curve {
        steps.retain(|(known, _)| *known != after);
        steps.push((after, amount.to_f64()));
    }
    let shares: BTreeMap<String, f64> =
        services.iter().map(|service| (telemetry_name(service), share(service))).collect();
    Some(PeakRevenue { currency: business.currency.clone(), shares, steps })
}

fn micros(text: &DurationText) -> i64 {
    i64::try_from(text.get().as_micros()).unwrap_or(i64::MAX)
}

/// Offsets of a time zone around `now`: from the year before to the end of the next, so that they are others once a year.
pub(crate) fn offsets(zone: &TimeZone, now: Timestamp) -> Offsets {
    let year = now.to_zoned(TimeZone::UTC).year();
    let begin_of = |year: i16| date(year, 1, 1).to_zoned(TimeZone::UTC).map(|begin| begin.timestamp());
    let (Ok(from), Ok(to)) = (begin_of(year - 1), begin_of(year + 2)) else { return Offsets::default() };
    let first = (from.as_second(), zone.to_offset(from).seconds());
    let later = zone.following(from).take_while(|change| change.timestamp() < to);
    let later = later.map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    Offsets::new(std::iter::once(first).chain(later).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_crds::occurrence::time_zone;

    #[test]
    fn offsets_follow_the_clock_of_the_zone() {
        let now: Timestamp = "2026-11-27T20:00:00Z".parse().unwrap();
        let offsets = offsets(&time_zone("Europe/Amsterdam").unwrap(), now);
        for (instant, seconds) in [
            ("2026-01-15T12:00:00Z", 3600),
            ("2026-07-15T12:00:00Z", 7200),
            ("2026-10-25T00:59:59Z", 7200),
            ("2026-10-25T01:00:00Z", 3600),
            ("2027-07-15T12:00:00Z", 7200),
        ] {
            let t = instant.parse::<Timestamp>().unwrap().as_second();
            assert_eq!(offsets.local(t) - t, seconds, "{instant}");
        }
    }
}
