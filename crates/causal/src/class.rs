//! What kind of cause the evidence of a suspect speaks for. Runbooks are chosen by it.

use crate::case::ChangeKind;
use crate::facts::Fact;
use crate::features::{
    BEHAVIOUR, CHANGE, ERRORS, LATENCY, LINK, MEMORY, RESTARTS, SATURATION, SILENCE, TIME, View,
};
use crate::ranking::CauseClass;
use crate::signal::Class;

/// Deviation from which a figure speaks clearly.
const CLEAR: f64 = 4.0;
/// Traffic that is this many times the usual is more demand.
const GROWN: f64 = 1.5;
/// Use of the own limit, 0 to 1, from which there is nothing left.
const USED_UP: f64 = 0.85;

/// What kind of cause the terms of a node speak for. `points` are what each term added to its score.
pub(crate) fn class(view: &View<'_>, node: usize, points: &[f64]) -> CauseClass {
    let change = view.change(node).filter(|_| points[CHANGE] > 0.3);
    match change.map(|(_, at)| view.case.changes[at].kind) {
        Some(ChangeKind::Release) => return CauseClass::BadRelease,
        Some(ChangeKind::Config) => return CauseClass::BadConfig,
        _ => {}
    }
    let best = (0..points.len())
        .filter(|t| *t != CHANGE && points[*t] > 0.0)
        .max_by(|a, b| points[*a].total_cmp(&points[*b]).then(b.cmp(a)));
    match best {
        None => CauseClass::Unknown,
        Some(RESTARTS) => state_class(view, node).unwrap_or(CauseClass::FaultyInstance),
        Some(LINK) => CauseClass::NetworkDelay,
        Some(MEMORY | SILENCE) => CauseClass::CodeReturn,
        // Slow, failing and busy are what it looks like when something is used up: that says more.
        Some(term) => used_up(view, node).unwrap_or_else(|| match term {
            SATURATION => CauseClass::Saturation,
            TIME | BEHAVIOUR if demanded(view, node) => CauseClass::Overload,
            TIME => time_class(view, node),
            BEHAVIOUR => behaviour_class(view, node),
            _ => signal_class(view, node, term),
        }),
    }
}

/// What is used up at a node: messages wait that more demand brought, more demand than its CPU can serve, or its
/// connections although its CPU has some left.
fn used_up(view: &View<'_>, node: usize) -> Option<CauseClass> {
    let (demand, busy) = (grown(view, node), cpu(view, node) >= USED_UP);
    if demand && waits(view, node, Class::Lag) {
        return Some(CauseClass::QueueGrowth);
    }
    if demand && busy {
        return Some(CauseClass::Overload);
    }
    (!busy && waits(view, node, Class::Pool)).then_some(CauseClass::ConnectionPool)
}

/// Whether clearly more is asked of a node, and of one that calls it: a caller that only tries again has no more to do
/// than usual.
fn demanded(view: &View<'_>, node: usize) -> bool {
    let busier = |caller: &usize| {
        let traffic = view.facts.of_class(view.case, *caller, Class::Traffic);
        traffic.is_some_and(|t| t.score.z > CLEAR)
    };
    let callers = &view.graph.callers[node];
    grown(view, node) && (callers.is_empty() || callers.iter().any(busier))
}

/// Whether clearly more requests than usual reach a node.
fn grown(view: &View<'_>, node: usize) -> bool {
    let traffic = view.facts.of_class(view.case, node, Class::Traffic);
    traffic.is_some_and(|t| t.score.z > CLEAR && t.score.observed > GROWN * t.score.normal.max(1e-9))
}

/// Highest use of a CPU limit at a node, 0 to 1; 0 where nothing is measured against a limit.
fn cpu(view: &View<'_>, node: usize) -> f64 {
    let share = |f: &Fact| match (f.signal.class, f.signal.unit) {
        (Class::Cpu, "ratio") => Some(f.score.observed),
        (Class::Cpu, "pct") => Some(f.score.observed / 100.0),
        _ => None,
    };
    view.facts.by_node[node].iter().filter_map(share).fold(0.0, f64::max)
}

/// Whether a figure of this class has clearly grown beyond the level from which it counts.
fn waits(view: &View<'_>, node: usize, class: Class) -> bool {
    let high = |f: &Fact| f.score.z > CLEAR && f.score.observed >= f.signal.material;
    view.facts.by_node[node].iter().any(|f| f.signal.class == class && high(f))
}

/// The class of what is wrong in itself at a node; the earliest of several.
fn state_class(view: &View<'_>, node: usize) -> Option<CauseClass> {
    let here = view.case.states.iter().filter(|s| view.graph.at(s.entity) == Some(node));
    let first = here.min_by(|a, b| (a.since_us, a.kind, &a.object).cmp(&(b.since_us, b.kind, &b.object)));
    first.map(|state| state.kind.class())
}

fn time_class(view: &View<'_>, node: usize) -> CauseClass {
    let entity = view.graph.nodes[node];
    let own: f64 = view.time.own.iter().filter(|s| s.from == entity).map(|s| s.excess_us).sum();
    let link: f64 =
        view.time.links.iter().filter(|s| s.to == entity || s.from == entity).map(|s| s.excess_us).sum();
    if link > own { CauseClass::NetworkDelay } else { CauseClass::SlowItself }
}

fn behaviour_class(view: &View<'_>, node: usize) -> CauseClass {
    let strongest = view.shifts_of[node].first().map_or(0.0, |s| view.shifts[*s].z);
    let raises =
        view.shifts_of[node].iter().map(|s| &view.shifts[*s]).any(|s| s.appeared() && s.z > 0.5 * strongest);
    if raises { CauseClass::CodeException } else { CauseClass::CodeReturn }
}

fn signal_class(view: &View<'_>, node: usize, term: usize) -> CauseClass {
    let leaf = view.graph.callees[node].is_empty() && view.graph.hosts[node].is_empty();
    match term {
        _ if grown(view, node) => CauseClass::Overload,
        ERRORS if leaf => CauseClass::DependencyDown,
        ERRORS => CauseClass::FailsItself,
        LATENCY => CauseClass::SlowItself,
        _ => CauseClass::Unknown,
    }
}
