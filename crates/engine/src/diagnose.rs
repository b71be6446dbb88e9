//! From an incident's symptom to a draft: ranking, impact and money.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_causal::group::{Group, GroupState};
use causeway_causal::impact::{Impact, Money, Requests, impact, revenue_at_risk};
use causeway_causal::rank::rank;
use causeway_causal::ranking::Ranking;
use causeway_model::{Finding, Micros, SeriesId, SpanKind};

use crate::bundle::Inquiry;
use crate::case::{About, build};
use crate::change::Change;
use crate::engine::Engine;
use crate::golden::is_golden;
use crate::incident::Incident;
use crate::objective::{is_objective, underlying};
use crate::state::{for_case, is_state};

/// What an incident is decided from at data time `at_us`, and the ranking of its suspects. `None` when it has no symptom.
pub(crate) fn inquire(engine: &Engine, incident: &Incident, at_us: Micros) -> Option<(Inquiry, Ranking)> {
    let symptom = incident.symptoms.values().min_by_key(|f| (f.since_us, f.id.clone()))?;
    // A burn is looked into by the golden signal that burns; a state belongs to no series.
    let of_no_group = is_objective(&symptom.series) || is_state(&symptom.series);
    let series = SeriesId {
        signal: underlying(&symptom.series).into(),
        group: if of_no_group { "".into() } else { Arc::clone(&symptom.series.group) },
        ..symptom.series.clone()
    };
    let about =
        About { id: &incident.fingerprint, symptom: &series, since_us: incident.since_us, until_us: at_us };
    let changes: Vec<Change> = engine.changes.iter().cloned().collect();
    let mut case = build(&about, &engine.recent, &engine.metrics, &engine.calls.topology, &changes);
    case.states = for_case(engine.told.open().chain(engine.measured.open()), incident, &mut case.names);
    let ranking = rank(&case);
    let named = ranking.ranked.first().filter(|_| !ranking.abstained).map(|s| s.entity.clone());
    let root = named.clone().unwrap_or_else(|| incident.service.clone());
    let (affected, money) = figures_from(engine, incident, &root, count(engine, incident, at_us), at_us);
    let group = Group {
        id: incident.group.unwrap_or_default(),
        scope: incident.namespace.clone(),
        fingerprint: incident.fingerprint.clone(),
        opened_for: incident.service.clone(),
        signal: series.signal.to_string(),
        opened_us: incident.since_us,
        updated_us: at_us,
        latest_us: incident.symptoms.values().map(|f| f.since_us).max().unwrap_or(incident.since_us),
        state: GroupState::Open,
        reopened: incident.reopened,
        roots: named.iter().cloned().collect(),
        entities: incident.symptoms.values().map(|f| f.series.entity.to_string()).collect(),
        findings: incident.symptoms.keys().cloned().collect(),
        cause: named,
    };
    Some((Inquiry { case, group, impact: affected, money }, ranking))
}

/// From how many seconds on a request counts as slow: above the band of the latency symptom, else the limit of the
/// burning objective; without either only failed requests count.
fn slow_seconds(engine: &Engine, incident: &Incident) -> f64 {
    let of_band = |f: &&Finding| f.series.signal.as_ref() == "latency" && f.upper.is_finite();
    let band = incident.symptoms.values().filter(of_band).min_by_key(|f| (f.since_us, f.id.clone()));
    band.map(|f| f.upper)
        .or_else(|| incident.symptoms.values().find_map(|f| engine.objectives.limit_seconds(&f.series)))
        .unwrap_or(f64::INFINITY)
}

/// Who suffers and what it costs by data time `at_us`, when `requests` are those since the incident began.
pub(crate) fn figures(
    engine: &Engine,
    incident: &Incident,
    requests: Requests,
    at_us: Micros,
) -> (Impact, Option<Money>) {
    let root = if incident.root.is_empty() { &incident.service } else { &incident.root };
    figures_from(engine, incident, root, requests, at_us)
}

fn figures_from(
    engine: &Engine,
    incident: &Incident,
    root: &str,
    requests: Requests,
    at_us: Micros,
) -> (Impact, Option<Money>) {
    let suffers = |id: &SeriesId| is_golden(id) || is_objective(id) || is_state(id);
    let mut symptomatic: BTreeSet<String> =
        engine.open_series().filter(|(id, _)| suffers(id)).map(|(id, _)| id.entity.to_string()).collect();
    symptomatic.extend(incident.symptoms.values().map(|f| f.series.entity.to_string()));
    let entry_points = engine.calls.entry_points(at_us);
    let mut affected = impact(&engine.calls.topology, at_us, root, &symptomatic, &entry_points);
    let share = requests.share();
    affected.request_share = (requests.all > 0).then_some(share.value);
    affected.requests = (requests.all > 0).then_some(requests);
    affected.error_budget_per_hour = engine.objectives.budget_per_hour(&incident.service);
    let until_us = incident.hurt_until(at_us);
    let money = engine.revenue(&incident.service, incident.since_us, until_us).map(|revenue| {
        let of_event = revenue.event.map(|event| format!("revenue is as PeakEvent {event} declares it"));
        let assumptions: Vec<&str> = [
            "revenue is lost in proportion to the affected requests of the entry point",
            "a request slower than the learned band, or failed, counts as affected",
        ]
        .into_iter()
        .chain(of_event.as_deref())
        .collect();
        let seconds = (until_us - incident.since_us) as f64 / 1e6;
        revenue_at_risk(revenue.currency, revenue.per_hour, share, seconds, &assumptions)
    });
    (affected, money)
}

/// Requests at the incident's service since it began, counted on to data time `at_us`: all, and those that failed or
/// were slower than its band. While it does not hurt nothing is counted.
pub(crate) fn count(engine: &Engine, incident: &Incident, at_us: Micros) -> Requests {
    let Requests { mut affected, mut all } = incident.requests;
    let until_us = incident.hurt_until(at_us);
    let limit = slow_seconds(engine, incident);
    for window in engine.recent.between(incident.counted_us, until_us) {
        for span in &window.spans {
            let served = matches!(span.kind, SpanKind::Server | SpanKind::Consumer) || span.parent == 0;
            if served && span.service.as_ref() == incident.service {
                all += window.weight();
                affected += window.weight() * u64::from(span.error || span.duration_us as f64 / 1e6 > limit);
            }
        }
    }
    Requests { affected, all }
}
