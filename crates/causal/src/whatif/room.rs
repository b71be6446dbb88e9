//! Whether there is room for more of a service: on its nodes, and at those that it calls.

use super::cold::{self, PATIENCE_S, was_changed};
use super::level::{now, usual};
use super::load::{FULL, GROWN, Load};
use super::nodes::{is_full, neighbours};
use super::system::{Call, Change, Service, System};
use super::verdict::{is_in_trouble, percent};

/// Used share of the nodes of a service from which more of it has no room.
const CRAMMED: f64 = 0.93;
/// What is asked of a service on full nodes that takes long, of what it gets: at least.
const BEYOND: f64 = 1.5;

/// What is asked of nodes while new instances start, of what they have, from which callers and callees starve together.
const CRAMPED: f64 = 1.15;
/// What a changed service would still be asked for, of what its instances can do: at least.
const DROWNED: f64 = 1.2;

/// More of a service than its nodes have room for.
pub(super) fn lacks(system: &System, changes: &[Change], present: &[Load], after: &[Load]) -> Option<String> {
    grown(system, changes, present, after).find_map(|(change, at, times)| {
        let old = &present[at];
        squeezed(system, old, times, at)
            .or_else(|| cramped(system, old, times, at))
            .or_else(|| crammed(system, old, at).filter(|_| stays(change)))
    })
}

/// More of a service that would ask callees for more than they have.
pub(super) fn overwhelms(
    system: &System,
    changes: &[Change],
    present: &[Load],
    after: &[Load],
) -> Option<String> {
    grown(system, changes, present, after).find_map(|(change, at, _)| {
        upstream(system, changes, at).filter(|_| stays(change)).or_else(|| halfway(system, &after[at], at))
    })
}

/// More of a service at which so much waits that callees could not serve it beside what comes.
pub(super) fn works_off(
    system: &System,
    changes: &[Change],
    present: &[Load],
    after: &[Load],
) -> Option<String> {
    grown(system, changes, present, after)
        .find_map(|(change, at, times)| backlog(system, after, times, at).filter(|_| stays(change)))
}

/// What gets more CPU, by a change: the service, and how many times as much.
fn grown<'a>(
    system: &'a System,
    changes: &'a [Change],
    present: &'a [Load],
    after: &'a [Load],
) -> impl Iterator<Item = (&'a Change, usize, f64)> {
    let of = |change: &&Change| {
        matches!(change, Change::Instances { .. } | Change::Bounds { .. } | Change::Cpu { .. })
    };
    let touched = |change: &'a Change| system.touched(change).into_iter().map(move |at| (change, at));
    changes.iter().filter(of).flat_map(touched).filter_map(|(change, at)| {
        let (old, new) = (&present[at], &after[at]);
        let times = (old.cpu / old.rate) / (new.cpu / new.rate);
        (times >= 1.05).then_some((change, at, times))
    })
}

/// A larger limit begins without what waits; instances that stay work that off besides.
fn stays(change: &Change) -> bool {
    !matches!(change, Change::Cpu { .. })
}

/// More of what waits for its nodes, on nodes that have nothing left: whatever else runs there pays for it.
fn crammed(system: &System, old: &Load, at: usize) -> Option<String> {
    let service = &system.services[at];
    let of = |(sum, all): (f64, f64), (node, count): &(usize, f64)| {
        let share = system.nodes.get(*node).map_or(f64::NAN, |node| node.used / node.cores);
        (sum + share * count, all + count)
    };
    let (sum, all) = service.placed.iter().fold((0.0, 0.0), of);
    let full = sum / all;
    // What suffers itself gets its share of the cores at least.
    let suffers = is_in_trouble(service, system.window_s);
    (!suffers && old.crowded > 1.0 && full >= CRAMMED).then(|| {
        format!(
            "{} of the cores of the nodes of {} are used: more of it would take from what else runs there",
            percent(full),
            service.entity
        )
    })
}

/// Used cores of the nodes that a service may run on, and all of their cores; `None` where nothing of it is placed.
fn pool(system: &System, service: &Service) -> Option<(f64, f64)> {
    let (first, _) = service.placed.first()?;
    let nodes = neighbours(system, *first).into_iter().chain([*first]).map(|node| &system.nodes[node]);
    Some(nodes.fold((0.0, 0.0), |(used, cores), node| (used + node.used, cores + node.cores)))
}

/// `times` as much of what has too little CPU, where a node of it is full already and the others could not take it.
fn squeezed(system: &System, old: &Load, times: f64, at: usize) -> Option<String> {
    let service = &system.services[at];
    if !service.placed.iter().any(|(node, _)| is_full(system, *node)) {
        return None;
    }
    let (used, cores) = pool(system, service)?;
    let waits = now(&service.latency, system.window_s) > PATIENCE_S;
    let failing = now(&service.errors, system.window_s) - usual(&service.errors, system.window_s);
    // What a starving service fails, it had nothing for; what waits at it comes on top.
    let beyond = if waits { BEYOND.max(1.0 / (1.0 - failing.clamp(0.0, 0.9))) } else { 1.0 };
    let asked = old.cpu.max(beyond);
    let share = (used + service.cores * (times.min(asked) - 1.0)) / cores;
    (share > GROWN).then(|| {
        format!(
            "{} of their cores would be asked of the nodes of {}, some of which are full: what else runs there would starve",
            percent(share),
            service.entity
        )
    })
}

/// `times` as much of what has too little CPU and calls others, on nodes that could not take it while it starts: it would get too
/// little to work off what waits, and so would its callees, of which it asks more than before.
fn cramped(system: &System, old: &Load, times: f64, at: usize) -> Option<String> {
    let service = &system.services[at];
    let (used, cores) = pool(system, service)?;
    let limit = service.cores / now(&service.cpu, system.window_s);
    let starting = limit * times.min(old.cpu * cold::factor(system, at));
    let share = (used - service.cores + starting) / cores;
    (share > CRAMPED && system.calls.iter().any(|call| call.from == at)).then(|| {
        format!(
            "{} of their cores would be asked of the nodes of {} while it starts: it would ask more of its callees, which would \
             get less",
            percent(share),
            service.entity
        )
    })
}

/// More of what calls a service that is at its limit: it would only be asked for more.
fn upstream(system: &System, changes: &[Change], at: usize) -> Option<String> {
    let full = |at: usize| now(&system.services[at].cpu, system.window_s) >= FULL;
    if !full(at) {
        return None;
    }
    let grows = |to: usize| changes.iter().any(|change| system.touched(change).contains(&to));
    let held_up = |call: &&Call| call.from == at && call.waits && full(call.to) && !grows(call.to);
    let call = system.calls.iter().find(held_up)?;
    let (caller, callee) = (&system.services[at], &system.services[call.to]);
    Some(format!(
        "{} waits for {}, which uses {} of its CPU limit: more of the one would ask even more of the other",
        caller.entity,
        callee.entity,
        percent(now(&callee.cpu, system.window_s))
    ))
}

/// More instances of what a change has left too little of something else than CPU: the new ones have the change, too, and what
/// they serve more comes too late for whoever asks, but is asked of callees and stores.
fn halfway(system: &System, new: &Load, at: usize) -> Option<String> {
    let service = &system.services[at];
    let short = new.cpu.max(new.pool) >= DROWNED && now(&service.cpu, system.window_s) < FULL;
    (short && was_changed(service, system.window_s)).then(|| {
        format!(
            "{} would still be asked for {} of what its instances can do since it was changed: what they serve more comes too \
             late, and takes from others",
            service.entity,
            percent(new.cpu.max(new.pool))
        )
    })
}

/// What waits at instances that stay is worked off while new ones take their share of what comes: more than ever is asked of
/// callees meanwhile.
fn backlog(system: &System, after: &[Load], times: f64, at: usize) -> Option<String> {
    let service = &system.services[at];
    let of = |values: &[f64]| now(values, system.window_s);
    let (rate, failing) = (of(&service.rate), of(&service.errors));
    let more = rate * (1.0 - failing - 1.0 / times);
    if of(&service.cpu) < FULL || of(&service.latency) < PATIENCE_S || more <= 0.0 {
        return None;
    }
    let asked = |call: &&Call| {
        let callee = &after[call.to];
        callee.cpu * (1.0 + call.per_request * more / callee.rate)
    };
    let calls = system.calls.iter().filter(|call| call.from == at && call.waits);
    let worst = calls.filter(|call| asked(call) >= 1.0).max_by(|a, b| asked(a).total_cmp(&asked(b)))?;
    Some(format!(
        "about {:.0} requests wait at {}: while they are worked off beside what comes, {} would need {} of its CPU limit",
        rate * of(&service.latency),
        service.entity,
        system.services[worst.to].entity,
        percent(asked(&worst))
    ))
}
