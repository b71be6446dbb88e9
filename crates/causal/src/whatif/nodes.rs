//! Nodes, which whatever runs on them shares: what is used of them after a change, and how much longer work takes there.

use super::level::{now, usual};
use super::load::Load;
use super::system::{Service, System};

/// Used share of a node from which more may be asked for than can be seen, and what is taken to be asked for then.
const NODE_FULL: (f64, f64) = (0.97, 1.5);
/// Times the usual latency from which a service on a full node waits for it.
const SLOWED: f64 = 2.0;

/// Adds what services use more or less of the nodes' cores.
pub(super) fn fill_nodes(system: &System, present: &[Load], after: &[Load], used: &mut [f64]) {
    for (at, service) in system.services.iter().enumerate() {
        let cores = |load: &Load| {
            let limit = service.cores / now(&service.cpu, system.window_s);
            limit * (load.instances / present[at].instances) * load.cpu.min(1.0)
        };
        let more = cores(&after[at]) * (limit_factor(&present[at], &after[at])) - cores(&present[at]);
        let total = total(service);
        if !more.is_finite() || total <= 0.0 {
            continue;
        }
        // What is new goes where there is room.
        let made =
            after[at].instances > present[at].instances || limit_factor(&present[at], &after[at]) > 1.05;
        let spread = if made && more > 0.0 { free(system, service, used) } else { service.placed.clone() };
        let all: f64 = spread.iter().map(|(_, part)| part).sum();
        for (node, part) in &spread {
            if let Some(used) = used.get_mut(*node) {
                *used += more * part / all;
            }
        }
    }
}

/// Nodes that a service may run on, each with the cores that it has left; with all of its cores where no node has any.
fn free(system: &System, service: &Service, used: &[f64]) -> Vec<(usize, f64)> {
    let first = service.placed.first().map(|(node, _)| *node);
    let nodes: Vec<usize> =
        first.into_iter().flat_map(|node| neighbours(system, node).into_iter().chain([node])).collect();
    let left = |node: &usize| (*node, (system.nodes[*node].cores - used[*node]).max(0.0));
    let found: Vec<(usize, f64)> = nodes.iter().map(left).collect();
    if found.iter().any(|(_, left)| *left > 0.0) {
        found
    } else {
        nodes.iter().map(|node| (*node, system.nodes[*node].cores)).collect()
    }
}

/// How many times longer work takes where fewer instances are left, each of which needs more of its one node; which ones go is
/// not known.
pub(super) fn alone(system: &System, service: &Service, before: &Load, after: &Load) -> f64 {
    if after.instances >= before.instances {
        return 1.0;
    }
    let more = service.cores / total(service)
        * (before.instances / after.instances * after.rate / before.rate - 1.0);
    let of = |node: usize| (system.nodes[node].used + more) / system.nodes[node].cores;
    let placed = service.placed.iter().filter(|(node, _)| *node < system.nodes.len());
    let (sum, all) =
        placed.fold((0.0, 0.0), |(sum, all), (node, count)| (sum + of(*node).max(1.0) * count, all + count));
    let mean = sum / all;
    if mean.is_finite() { mean } else { 1.0 }
}

/// By how much the CPU limit of an instance grew, as far as use and demand tell.
fn limit_factor(before: &Load, after: &Load) -> f64 {
    let (old, new) = (before.cpu * before.instances / before.rate, after.cpu * after.instances / after.rate);
    let factor = old / new;
    if factor.is_finite() && factor > 0.0 { factor } else { 1.0 }
}

/// Moves what runs on a node to others: pod by pod to the node with the fewest of the same service, and of those to the one
/// with the most left of what pods may use, as the default scores of kube-scheduler have it.
pub(super) fn empty(system: &System, name: &str, used: &mut [f64], after: &mut [Load]) {
    let Some(node) = system.nodes.iter().position(|node| node.name == name) else { return };
    let others = neighbours(system, node);
    let mut placed: Vec<Vec<f64>> =
        system.services.iter().map(|s| (0..used.len()).map(|n| on(s, n)).collect()).collect();
    let limit = |service: &Service| service.cores / now(&service.cpu, system.window_s) / total(service);
    let mut given: Vec<f64> = (0..used.len())
        .map(|n| system.services.iter().map(|s| on(s, n) * limit(s)).filter(|v| v.is_finite()).sum())
        .collect();
    for (at, service) in system.services.iter().enumerate() {
        let here = on(service, node);
        if here <= 0.0 {
            continue;
        }
        if others.is_empty() {
            // Nowhere to go: they are gone until somebody makes room.
            let left = (total(service) - here) / total(service);
            if let Some(load) = after.get_mut(at) {
                load.instances *= left;
                let more = if left > 0.0 { 1.0 / left } else { f64::INFINITY };
                (load.cpu, load.pool) = (load.cpu * more, load.pool * more);
            }
            continue;
        }
        let each = service.cores / total(service);
        let (each, limit) = (if each.is_finite() { each } else { 0.0 }, limit(service));
        for _ in 0..here.round() as usize {
            let free = |n: usize| system.nodes[n].cores - given[n];
            let best = others
                .iter()
                .copied()
                .min_by(|a, b| placed[at][*a].total_cmp(&placed[at][*b]).then(free(*b).total_cmp(&free(*a))));
            let Some(to) = best else { break };
            placed[at][to] += 1.0;
            used[to] += each;
            used[node] -= each;
            given[to] += if limit.is_finite() { limit } else { 0.0 };
        }
    }
}

/// Instances of a service on a node.
pub(super) fn on(service: &Service, node: usize) -> f64 {
    service.placed.iter().filter(|(at, _)| *at == node).map(|(_, count)| count).sum()
}

/// Instances of a service on all nodes.
pub(super) fn total(service: &Service) -> f64 {
    service.placed.iter().map(|(_, count)| count).sum()
}

/// Nodes on which services of this node run, or services that share a node with those: where a scheduler may put them.
pub(super) fn neighbours(system: &System, node: usize) -> Vec<usize> {
    let mut found = vec![false; system.nodes.len()];
    let mut open = vec![node];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut found[at], true) {
            continue;
        }
        for service in &system.services {
            if service.placed.iter().any(|(n, _)| *n == at) {
                open.extend(service.placed.iter().map(|(n, _)| *n).filter(|n| *n < found.len()));
            }
        }
    }
    (0..found.len()).filter(|at| found[*at] && *at != node).collect()
}

/// Whether a node is so full that more may be asked of it than can be seen.
pub(super) fn is_full(system: &System, node: usize) -> bool {
    system.nodes.get(node).is_some_and(|node| node.used >= NODE_FULL.0 * node.cores)
}

/// How many times as much as can be seen may be asked of the nodes of a service, because some of them are full.
pub(super) fn on_full_nodes(system: &System, service: &Service) -> f64 {
    let of = |node: usize| if is_full(system, node) { NODE_FULL.1 } else { 1.0 };
    let sum: f64 = service.placed.iter().map(|(node, count)| of(*node) * count).sum();
    let all = total(service);
    if all > 0.0 { sum / all } else { 1.0 }
}

/// How many times longer work takes on the nodes of each service. `left` are nodes that they have left. A node that is full says
/// nothing of who waits there: those that take longer than usual do.
pub(super) fn crowding(system: &System, used: &[f64], left: &[usize]) -> Vec<f64> {
    let slow = |node: usize, waits: bool| {
        let share = used[node] / system.nodes[node].cores;
        let was = system.nodes[node].used / system.nodes[node].cores;
        match share {
            _ if !share.is_finite() => 1.0,
            _ if was >= NODE_FULL.0 && share >= NODE_FULL.0 && waits => NODE_FULL.1.max(share),
            _ if share > 1.0 => share,
            _ => 1.0,
        }
    };
    let of = |service: &Service| {
        let usually = usual(&service.latency, system.window_s);
        let waits = now(&service.latency, system.window_s) > SLOWED * usually;
        // What has left a node shares the fate of those that were elsewhere already.
        let placed = service.placed.iter().filter(|(n, _)| *n < used.len() && !left.contains(n));
        let (sum, all) =
            placed.fold((0.0, 0.0), |(sum, all), (n, count)| (sum + slow(*n, waits) * count, all + count));
        if all > 0.0 { sum / all } else { 1.0 }
    };
    system.services.iter().map(of).collect()
}
