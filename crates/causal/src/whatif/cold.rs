//! New instances: what they need until they are warm, whether they get it, and what the old ones take with them.
//!
//! A new instance that needs `n` times what it has falls behind by `n - 1` seconds each second. When what waits at it has
//! waited for longer than callers do, they give up and ask again, which keeps it behind after it is warm (Bronson et al.,
//! *Metastable Failures in Distributed Systems*, 2021).

use super::level::{FRESH_S, median, now, usual, windows};
use super::load::{FULL, Load};
use super::nodes::{neighbours, on, on_full_nodes, total};
use super::outlook::Outlook;
use super::system::{Change, Service, System};
use super::verdict::{LOST, is_in_trouble, mends, percent, two};

/// CPU of a request at a new instance, as a multiple, where no start was seen.
const COLD: f64 = 1.6;
/// Seconds until an instance is warm.
const START_S: f64 = 30.0;
/// Seconds that callers wait where none was seen to give up.
pub(super) const PATIENCE_S: f64 = 2.0;
/// Seconds that people wait (Nielsen, *Usability Engineering*, 1993, ch. 5).
const PEOPLE_S: f64 = 10.0;
/// Part of that time by which new instances may fall behind: what is asked again meanwhile comes on top.
const BEHIND: f64 = 0.25;
/// Largest share of instances that is reckoned with as away: who lets all go at once means it.
const MOST_AWAY: f64 = 0.75;
/// Use from which new instances are no remedy, whatever the trouble is.
const BUSY: f64 = 0.85;
/// Times as much as usual that people ask for, from which trouble comes from that.
const SURGE: f64 = 1.25;
/// Share of failures up to which requests still wait, and are not turned away yet.
const WAITING: f64 = 0.03;
/// Seconds over which what waits is compared with what comes.
const COMES_S: f64 = 300.0;

/// CPU of a request at a new instance of a service, as a multiple: as its past starts showed. Where none was seen those of others
/// may make it more, and not less.
pub(super) fn factor(system: &System, at: usize) -> f64 {
    let own = system.services[at].cold;
    let others = || median(system.services.iter().map(|service| service.cold)).max(COLD);
    if own.is_finite() { own.max(1.0) } else { others() }
}

/// Seconds that those wait who ask a service; `None` where nobody waits.
fn patience(system: &System, at: usize) -> Option<f64> {
    let mut calls = system.calls.iter().filter(|call| call.to == at).peekable();
    if calls.peek().is_none() {
        return Some(PEOPLE_S);
    }
    let waits = calls.filter(|call| call.waits);
    let seen = |seconds: f64| if seconds.is_finite() { seconds } else { PATIENCE_S };
    waits.map(|call| seen(call.timeout)).reduce(f64::min)
}

/// Instances that would be replaced although those that are new could not carry their share.
pub(super) fn starts(
    system: &System,
    changes: &[Change],
    present: &[Load],
    outlook: &Outlook<'_>,
) -> Option<String> {
    let replaced = changes.iter().filter(|change| {
        matches!(change, Change::Roll { .. } | Change::Empty { .. } | Change::Remove { .. })
    });
    let emptied = emptied(system, changes);
    if (emptied - 1.0) * START_S > PATIENCE_S {
        return Some(format!(
            "new instances need more until they are warm: {} of their cores would be asked of the nodes that are left",
            percent(emptied)
        ));
    }
    replaced.flat_map(|change| system.touched(change)).find_map(|at| {
        let (load, service) = (&present[at], &system.services[at]);
        if mends(outlook, at) {
            return None;
        }
        if now(&service.cpu, system.window_s) >= FULL && now(&service.latency, system.window_s) > PATIENCE_S {
            let grows = |change: &Change| matches!(change, Change::Cpu { factor, .. } if *factor > 1.0);
            return lost(system, at).filter(|_| !changes.iter().any(grows));
        }
        let used = needed(system, changes, load, outlook, at);
        let away = changes.iter().find_map(|change| match change {
            Change::Roll { at_once, .. } if system.touched(change).contains(&at) => {
                Some(at_once.min(MOST_AWAY))
            }
            _ => None,
        });
        // While some are away the others carry their share.
        let nodes = on_full_nodes(system, service).max(emptied);
        let times = factor(system, at) * nodes;
        let need = (used * times).max(used / (1.0 - away.unwrap_or(0.0)));
        let trouble = is_in_trouble(service, system.window_s);
        let remedy = trouble && !was_changed(service, system.window_s) && !surges(system);
        let one = changes.iter().any(|change| matches!(change, Change::Remove { .. }));
        let behind = (need - 1.0) * START_S > BEHIND * patience(system, at)?;
        (behind && (!remedy || used >= BUSY && !one)).then(|| {
            format!(
                "new instances of {} need about {} times as much until they are warm: at {} of the CPU limit they could not \
                 carry their share",
                service.entity,
                two(times),
                percent(used)
            )
        })
    })
}

/// What is asked of the nodes that take over what runs on those that are emptied, of their cores, while it is new; 1 where
/// that is less, or not known.
fn emptied(system: &System, changes: &[Change]) -> f64 {
    let of = |change: &Change| {
        let Change::Empty { node } = change else { return 1.0 };
        let Some(node) = system.nodes.iter().position(|known| known.name == *node) else { return 1.0 };
        let left = || neighbours(system, node).into_iter().map(|node| &system.nodes[node]);
        let services = system.services.iter().enumerate();
        let moved = services.map(|(at, s)| s.cores * on(s, node) / total(s) * factor(system, at));
        let moved: f64 = moved.filter(|cores| cores.is_finite()).sum();
        let (used, cores): (f64, f64) = (left().map(|n| n.used).sum(), left().map(|n| n.cores).sum());
        ((used + moved) / cores).max(1.0)
    };
    changes.iter().map(of).fold(1.0, f64::max)
}

/// Whether people ask for much more than usual: no replacement is a remedy for that.
fn surges(system: &System) -> bool {
    let is_entry = |at: &usize| !system.calls.iter().any(|call| call.to == *at);
    let rates = (0..system.services.len()).filter(is_entry).map(|at| &system.services[at].rate);
    rates.into_iter().any(|rate| now(rate, system.window_s) > SURGE * usual(rate, system.window_s))
}

/// Used share of the CPU limit of a service whose instances are replaced.
fn needed(system: &System, changes: &[Change], load: &Load, outlook: &Outlook<'_>, at: usize) -> f64 {
    let of = |change: &&Change| system.touched(change).contains(&at);
    // An autoscaler reacts only when it has seen the use.
    let cut = changes.iter().filter(of).find_map(|change| match change {
        Change::Cpu { factor, .. } => Some(*factor),
        _ => None,
    });
    let undone = changes
        .iter()
        .filter(of)
        .any(|change| matches!(change, Change::UndoRelease { .. } | Change::UndoConfig { .. }));
    let before = outlook.band(at, super::Signal::Cpu).map(|band| band.likely[1]).filter(|_| undone);
    // What is taken back needs what it needed before.
    before.map_or(load.cpu, |before| load.cpu.min(before)) / cut.unwrap_or(1.0)
}

/// Whether a service was changed within the newest minutes: then its trouble comes from that, and new instances have it, too.
pub(super) fn was_changed(service: &Service, window_s: f64) -> bool {
    let recent = service.rate.len().saturating_sub(windows(FRESH_S, window_s));
    service.releases.iter().chain(&service.configs).any(|made| *made >= recent)
}

/// Requests that wait at instances are lost with them: as many as come, times how long they wait (Little's law).
fn lost(system: &System, at: usize) -> Option<String> {
    let service = &system.services[at];
    let of = |values: &[f64]| now(values, system.window_s);
    let waiting = of(&service.rate) * of(&service.latency);
    let rates = system.services.iter().map(|service| of(&service.rate)).filter(|rate| rate.is_finite());
    let share = waiting / (COMES_S * rates.sum::<f64>());
    (of(&service.errors) < WAITING && share >= LOST).then(|| {
        format!(
            "about {waiting:.0} requests wait at {}, and would be lost with its instances",
            service.entity
        )
    })
}
