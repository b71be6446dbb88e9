//! Whether a repair would do harm, and the sentence that says why.

use super::level::{now, usual};
use super::load::{CROWDED, Load, granted};
use super::outlook::Outlook;
use super::system::{Change, Service, System};
use super::{Signal, Verdict};
use super::{cold, room};
use crate::wording::quantity;

/// Use of CPU or connections from which requests are lost.
const STARVED: f64 = 0.92;
/// Share of the requests of an entry point that may fail more.
pub(super) const LOST: f64 = 0.01;
/// The same of a service whose change is taken back.
const LOST_ITSELF: f64 = 0.03;
/// Times that a request may take longer, if it then takes [`LONG_S`] at least.
const SLOWER: f64 = 3.0;
const LONG_S: f64 = 1.0;
/// Share of failures from which guesses are not good enough.
const FAILING: f64 = 0.2;
/// Times the usual latency from which a service is in trouble.
const TROUBLED: f64 = 2.0;
/// Judges. Harm at a neighbour is weighed against what the repair saves at entry points.
pub(super) fn judge(
    system: &System,
    changes: &[Change],
    present: &[Load],
    after: &[Load],
    outlook: &Outlook<'_>,
) -> (Verdict, String) {
    if changes.iter().all(|change| matches!(change, Change::Nothing { .. })) {
        return (
            Verdict::NoHarm,
            "no effect on neighbours is expected: no capacity, release or configuration changes".into(),
        );
    }
    let touched: Vec<usize> = changes.iter().flat_map(|change| system.touched(change)).collect();
    let known = touched.iter().any(|at| now(&system.services[*at].rate, system.window_s).is_finite());
    if !known {
        return (Verdict::Unknown, "too little is known of it to say what this would do".into());
    }
    let saves = entry_points(system).any(|at| saves(outlook, at));
    // What lies at the bottom of it says more than what people would see.
    let starves = starved(present, after);
    let bottom = starves.map(|at| shortage(system, changes, present, after, at));
    let reason = taken(system, changes, present, after)
        .or_else(|| room::lacks(system, changes, present, after))
        .or_else(|| levels(system, outlook).map(|seen| bottom.clone().unwrap_or(seen)))
        .or_else(|| itself(system, changes, outlook))
        // What is saved does not make up for what starves, where it is asked for what has waited besides.
        .or_else(|| room::works_off(system, changes, present, after).filter(|_| !saves || starves.is_some()))
        .or_else(|| bottom.clone().filter(|_| !saves))
        .or_else(|| room::overwhelms(system, changes, present, after).filter(|_| !saves))
        .or_else(|| cold::starts(system, changes, present, outlook).filter(|_| !saves));
    if let Some(reason) = reason {
        return (Verdict::Harm, reason);
    }
    let blind = touched.iter().all(|at| !present[*at].bound().is_finite() || present[*at].cpu.is_nan());
    let summary = summary(system, &touched, outlook, after);
    (if blind { Verdict::Unknown } else { Verdict::NoHarm }, summary)
}

/// Services that nobody waits for.
fn entry_points(system: &System) -> impl Iterator<Item = usize> + '_ {
    (0..system.services.len()).filter(|at| !system.calls.iter().any(|call| call.to == *at))
}

/// Whether fewer requests of an entry point fail, or take too long.
fn saves(outlook: &Outlook<'_>, at: usize) -> bool {
    let fails = outlook.band(at, Signal::Errors).is_some_and(|b| b.likely[1] < b.now - LOST);
    fails || outlook.band(at, Signal::Latency).is_some_and(|b| b.now > LONG_S && b.likely[1] * SLOWER < b.now)
}

/// Entry points that would fail more, or take much longer.
fn levels(system: &System, outlook: &Outlook<'_>) -> Option<String> {
    entry_points(system).find_map(|at| {
        let entity = &system.services[at].entity;
        let errors = outlook.band(at, Signal::Errors)?;
        // Where much fails already it takes more than a likely guess.
        let then = if errors.now < FAILING { errors.likely[1] } else { errors.likely[0] };
        if then > errors.now + LOST {
            return Some(format!(
                "{} of the requests of {entity} would fail, {} do now",
                quantity(errors.likely[1], "ratio"),
                quantity(errors.now, "ratio")
            ));
        }
        let time = outlook.band(at, Signal::Latency)?;
        let slow = time.likely[1] > SLOWER * time.now && time.likely[1] > LONG_S;
        slow.then(|| {
            format!(
                "a request of {entity} would take {}, it takes {} now",
                quantity(time.likely[1], "s"),
                quantity(time.now, "s")
            )
        })
    })
}

/// A change that is taken back made its service fail less, whoever notices.
fn itself(system: &System, changes: &[Change], outlook: &Outlook<'_>) -> Option<String> {
    let undone =
        changes.iter().filter(|c| matches!(c, Change::UndoRelease { .. } | Change::UndoConfig { .. }));
    undone.flat_map(|change| system.touched(change)).find_map(|at| {
        let band = outlook.band(at, Signal::Errors)?;
        (band.likely[1] > band.now + LOST_ITSELF).then(|| {
            format!(
                "{} of the requests of {} would fail, {} do now",
                quantity(band.likely[1], "ratio"),
                system.services[at].entity,
                quantity(band.now, "ratio")
            )
        })
    })
}

/// Capacity that is taken from what would need it.
fn taken(system: &System, changes: &[Change], present: &[Load], after: &[Load]) -> Option<String> {
    changes.iter().flat_map(|change| system.touched(change)).find_map(|at| {
        let (old, new) = (&present[at], &after[at]);
        let less = new.cpu / new.rate > 1.05 * old.cpu / old.rate
            || new.pool / new.rate > 1.05 * old.pool / old.rate;
        // What suffers from its nodes is made anew by another limit, on nodes that have room.
        let moves =
            changes.iter().any(|c| matches!(c, Change::Cpu { .. }) && system.touched(c).contains(&at))
                && old.crowded > CROWDED
                && is_in_trouble(&system.services[at], system.window_s);
        let needs = if moves { new.cpu.max(new.pool) } else { new.bound() };
        (less && needs >= STARVED).then(|| {
            let count = (new.instances - old.instances).abs() > 0.01;
            let who = if count {
                format!("{} → {} instances of ", whole(old.instances), whole(new.instances))
            } else {
                String::new()
            };
            let (what, before, then) = if new.pool > new.cpu {
                ("connections", old.pool, new.pool)
            } else {
                ("CPU limit", old.cpu, new.cpu)
            };
            let entity = &system.services[at].entity;
            format!("{who}{entity} would need {} of the {what}, {} now", percent(then), percent(before))
        })
    })
}

/// A service that would ask for more than there is, and does not now.
fn starved(present: &[Load], after: &[Load]) -> Option<usize> {
    let starves = |at: &usize| {
        after[*at].bound() >= STARVED && present[*at].bound() < STARVED.min(after[*at].bound() - 0.02)
    };
    (0..after.len()).filter(starves).max_by(|a, b| after[*a].bound().total_cmp(&after[*b].bound()))
}

/// What of it is too little, with the figures.
fn shortage(system: &System, changes: &[Change], present: &[Load], after: &[Load], at: usize) -> String {
    let (before, then) = (granted(system, present), granted(system, after));
    let (entity, old, new) = (&system.services[at].entity, &present[at], &after[at]);
    let counts = format!("{} → {} instances of {}", whole(old.instances), whole(new.instances), entity);
    if new.pool >= new.cpu.max(new.crowded) {
        for (store, of) in system.stores.iter().enumerate() {
            let pooled = system.services[at].pools.iter().any(|(pool, _)| *pool == store);
            if pooled && then[store].0 > of.most && then[store].0 > before[store].0 {
                let grown = largest(system, present, after, store).unwrap_or(at);
                return format!(
                    "{} → {} instances of {} ask for {} connections of {}, which takes {}: {entity} would need {} of its own",
                    whole(present[grown].instances),
                    whole(after[grown].instances),
                    system.services[grown].entity,
                    whole(then[store].0),
                    of.entity,
                    whole(of.most),
                    percent(new.pool)
                );
            }
        }
        return format!(
            "{counts} would need {} of their connections, {} now",
            percent(new.pool),
            percent(old.pool)
        );
    }
    if new.crowded > new.cpu {
        return format!("{} of their cores would be asked of the nodes of {entity}", percent(new.crowded));
    }
    let touched = changes.iter().any(|change| system.touched(change).contains(&at));
    if touched && (new.instances - old.instances).abs() > 0.01 {
        return format!(
            "{counts} would need {} of their CPU limit, {} now",
            percent(new.cpu),
            percent(old.cpu)
        );
    }
    if touched {
        return format!(
            "{entity} would need {} of its CPU limit, {} now",
            percent(new.cpu),
            percent(old.cpu)
        );
    }
    format!(
        "{entity} would get {} requests a second, {} now, and need {} of its CPU limit",
        two(new.rate),
        two(old.rate),
        percent(new.cpu)
    )
}

/// The client of a store that grows most.
fn largest(system: &System, present: &[Load], after: &[Load], store: usize) -> Option<usize> {
    let grows = |at: usize| {
        let pool =
            system.services[at].pools.iter().find(|(of, _)| *of == store).map_or(0.0, |(_, pool)| *pool);
        pool * (after[at].instances - present[at].instances)
    };
    (0..after.len()).filter(|at| grows(*at) > 0.0).max_by(|a, b| grows(*a).total_cmp(&grows(*b)))
}

/// Whether what is taken back, or made anew, ends what a service suffers from.
pub(super) fn mends(outlook: &Outlook<'_>, at: usize) -> bool {
    let fails = outlook.band(at, Signal::Errors).is_some_and(|b| b.likely[1] < b.now - LOST_ITSELF);
    fails || outlook.band(at, Signal::Latency).is_some_and(|b| b.now > LONG_S && b.likely[1] * SLOWER < b.now)
}

/// Whether a service fails more, or takes much longer, than usual.
pub(super) fn is_in_trouble(service: &Service, window_s: f64) -> bool {
    let slow = now(&service.latency, window_s) > TROUBLED * usual(&service.latency, window_s);
    slow || now(&service.errors, window_s) > usual(&service.errors, window_s) + LOST_ITSELF
}

/// What is foretold of the first that is touched.
fn summary(system: &System, touched: &[usize], outlook: &Outlook<'_>, after: &[Load]) -> String {
    let Some(at) = touched.first() else { return "no effect on neighbours is expected".into() };
    let entity = &system.services[*at].entity;
    let of = |signal: Signal, unit: &str, what: &str| {
        let band = outlook.band(*at, signal)?;
        let (old, new) = (band.now, band.likely[1]);
        (old.is_finite() && new.is_finite())
            .then(|| format!("{what} {} → {}", quantity(old, unit), quantity(new, unit)))
    };
    let parts: Vec<String> = [
        of(Signal::Latency, "s", "latency"),
        of(Signal::Errors, "ratio", "failures"),
        of(Signal::Cpu, "ratio", "CPU"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let neighbours = (0..after.len()).filter(|other| !touched.contains(other));
    let fullest = neighbours
        .filter(|other| after[*other].bound().is_finite() && after[*other].bound() > 0.0)
        .max_by(|a, b| after[*a].bound().total_cmp(&after[*b].bound()));
    let near = fullest.map(|other| {
        format!(
            "; the fullest neighbour is {} at {}",
            system.services[other].entity,
            percent(after[other].bound())
        )
    });
    format!("no harm is expected: {entity} {}{}", parts.join(", "), near.unwrap_or_default())
}

pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0} %", share * 100.0) } else { "more than all".to_owned() }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

pub(super) fn two(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
