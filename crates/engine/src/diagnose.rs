//! From an incident's symptom to a draft: ranking, impact and money.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_causal::group::{Group, GroupState};
use causeway_causal::impact::{Impact, Share, impact, revenue_at_risk};
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

/// What an incident is decided from at data time `at_us`, and the ranking of its suspects. `None` when it has no symptom.
pub(crate) fn inquire(engine: &Engine, incident: &Incident, at_us: Micros) -> Option<(Inquiry, Ranking)> {
    let symptom = incident.symptoms.values().min_by_key(|f| (f.since_us, f.id.clone()))?;
    // A burn is looked into by the golden signal that burns.
    let series = SeriesId {
        signal: underlying(&symptom.series).into(),
        group: if is_objective(&symptom.series) { "".into() } else { Arc::clone(&symptom.series.group) },
        ..symptom.series.clone()
    };
    let about =
        About { id: &incident.fingerprint, symptom: &series, since_us: incident.since_us, until_us: at_us };
    let changes: Vec<Change> = engine.changes.iter().cloned().collect();
    let case = build(&about, &engine.recent, &engine.metrics, &engine.calls.topology, &changes);
    let ranking = rank(&case);
    let symptomatic: BTreeSet<String> = engine
        .open_series()
        .filter(|(id, _)| is_golden(id) || is_objective(id))
        .map(|(id, _)| id.entity.to_string())
        .collect();
    let entry_points = engine.calls.entry_points(at_us);
    let named = ranking.ranked.first().filter(|_| !ranking.abstained).map(|s| s.entity.clone());
    let root = named.clone().unwrap_or_else(|| incident.service.clone());
    let mut affected: Impact = impact(&engine.calls.topology, at_us, &root, &symptomatic, &entry_points);
    let share = slow_share(engine, incident, slow_seconds(engine, incident), at_us);
    affected.request_share = Some(share.value);
    affected.error_budget_per_hour = engine.objectives.budget_per_hour(&incident.service);
    let money = engine.revenue(&incident.service, incident.since_us, at_us).map(|revenue| {
        let of_event = revenue.event.map(|event| format!("revenue is as PeakEvent {event} declares it"));
        let assumptions: Vec<&str> = [
            "revenue is lost in proportion to the affected requests of the entry point",
            "a request slower than the learned band, or failed, counts as affected",
        ]
        .into_iter()
        .chain(of_event.as_deref())
        .collect();
        let seconds = (at_us - incident.since_us) as f64 / 1e6;
        revenue_at_risk(revenue.currency, revenue.per_hour, share, seconds, &assumptions)
    });
    let group = Group {
        id: 0,
        fingerprint: incident.fingerprint.clone(),
        opened_for: incident.service.clone(),
        signal: series.signal.to_string(),
        opened_us: incident.since_us,
        updated_us: at_us,
        state: GroupState::Open,
        reopened: incident.reopened,
        roots: named.iter().cloned().collect(),
        entities: symptomatic,
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

/// Requests at the symptom's service, since it began, that failed or were slower than its band.
fn slow_share(engine: &Engine, incident: &Incident, upper_seconds: f64, at_us: Micros) -> Share {
    let (mut slow, mut all) = (0, 0);
    for window in engine.recent.between(incident.since_us, at_us) {
        for span in &window.spans {
            let served = matches!(span.kind, SpanKind::Server | SpanKind::Consumer) || span.parent == 0;
            if served && span.service.as_ref() == incident.service {
                all += 1;
                slow += u64::from(span.error || span.duration_us as f64 / 1e6 > upper_seconds);
            }
        }
    }
    Share::of_counts(slow, all)
}
