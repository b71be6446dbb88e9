//! Conservation of symptom: a node's excess, minus what its callees hand up, is its own share.
//!
//! Excess latency or failures are expressed per request of the symptom's entity (excess times the node's calls). What a
//! callee has in excess is split among its callers by their volume. Deep, rare or noisy nodes get little, and a front end
//! that only waits gets nothing.

use crate::case::Case;
use crate::facts::Facts;
use crate::graph::Graph;
use crate::signal::{Class, Golden};
use crate::stats::correlation;

/// Nodes without telemetry are passed through at most this deep.
const PASS_THROUGH: usize = 3;

/// The account of one signal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Own share of the excess at the target (or of the largest excess where the target shows none), 0 to 1.
    pub share: Vec<f64>,
    /// Excess of each node, in request-seconds or failed requests.
    pub total: Vec<f64>,
    /// Part of `total` that its callees explain.
    pub handed_up: Vec<f64>,
    /// Clarity of the excess, 0 to 1.
    pub clarity: Vec<f64>,
    /// The node that this one only mirrors from its caller's side.
    pub mirrors: Vec<Option<usize>>,
}

pub(crate) fn account(case: &Case, graph: &Graph, facts: &Facts, golden: Golden) -> Account {
    let n = graph.nodes.len();
    let volume = volumes(case, graph, facts);
    let mut out = Account {
        share: vec![0.0; n],
        total: vec![0.0; n],
        handed_up: vec![0.0; n],
        clarity: vec![0.0; n],
        mirrors: mirrors(case, graph, facts),
    };
    let mut known = vec![false; n];
    for node in 0..n {
        let excess = match golden {
            Golden::Errors => facts.errors(case, node).map(|(usual, now, z, _)| (now - usual, z)),
            _ => facts
                .of_class(case, node, Class::Latency)
                .map(|f| (f.score.observed - f.score.normal, f.score.z)),
        };
        if let Some((excess, z)) = excess {
            known[node] = true;
            out.clarity[node] = ((z - 1.5) / 2.5).clamp(0.0, 1.0);
            out.total[node] = excess.max(0.0) * volume[node] * out.clarity[node];
        }
    }
    for node in 0..n {
        out.handed_up[node] = handed_up(graph, &out, &known, &volume, node);
    }
    let largest = (0..n).filter(|i| graph.reachable(*i)).map(|i| out.total[i]).fold(0.0, f64::max);
    let at_target = out.total[graph.target];
    // A late or averaged alarm shows less at the target than below it: the yardstick is at least a third of the largest.
    let yardstick = at_target.max(largest / 3.0);
    if yardstick > 0.0 {
        for node in 0..n {
            let own = (out.total[node] - out.handed_up[node]).max(0.0);
            // What is handed up is an estimate: an own share counts when it is a good part of the node's excess.
            let genuine = ((own / out.total[node].max(1e-12) - 0.1) / 0.4).clamp(0.0, 1.0);
            out.share[node] = (own / yardstick).clamp(0.0, 1.0) * genuine;
        }
    }
    for node in 0..n {
        if let Some(real) = out.mirrors[node] {
            // The caller's view of a callee adds nothing of its own.
            let moved = std::mem::take(&mut out.share[node]);
            if out.total[real] > 0.0 || !known[real] {
                out.share[real] = out.share[real].max(moved.min(1.0) * 0.9);
            } else {
                out.share[node] = moved * 0.5;
            }
        }
    }
    out
}

fn volumes(case: &Case, graph: &Graph, facts: &Facts) -> Vec<f64> {
    let raw: Vec<Option<f64>> = (0..graph.nodes.len()).map(|i| facts.traffic(case, i)).collect();
    let fallback = raw[graph.target].unwrap_or_else(|| {
        let below: f64 = graph.callees[graph.target].iter().filter_map(|c| raw[*c]).sum();
        if below > 0.0 { below } else { 1.0 }
    });
    raw.into_iter().map(|v| v.unwrap_or(fallback).max(0.0)).collect()
}

/// Excess that the callees of `node` pass on to it.
fn handed_up(graph: &Graph, account: &Account, known: &[bool], volume: &[f64], node: usize) -> f64 {
    let mut sum = 0.0;
    let mut seen = vec![node];
    let mut level: Vec<(usize, usize, usize)> = graph.callees[node].iter().map(|c| (*c, node, 0)).collect();
    while let Some((callee, via, depth)) = level.pop() {
        if seen.contains(&callee) {
            continue;
        }
        seen.push(callee);
        if account.mirrors[callee].is_some_and(|real| graph.callees[node].contains(&real)) {
            continue;
        }
        if !known[callee] && depth < PASS_THROUGH {
            level.extend(graph.callees[callee].iter().map(|c| (*c, callee, depth + 1)));
            continue;
        }
        let callers = &graph.callers[callee];
        let all: f64 = callers.iter().map(|c| volume[*c]).sum();
        let part = if callers.len() <= 1 || all <= 0.0 { 1.0 } else { volume[via] / all };
        sum += account.total[callee] * part;
    }
    sum
}

/// Leaves that show the same flow as a sibling which has a life of its own: the same caller, and request counts that move
/// together through the baseline. Such a leaf is the caller's view of the sibling (a load balancer, a remote endpoint).
fn mirrors(case: &Case, graph: &Graph, facts: &Facts) -> Vec<Option<usize>> {
    let n = graph.nodes.len();
    let mut out = vec![None; n];
    for leaf in 0..n {
        if !graph.callees[leaf].is_empty() || !graph.hosts[leaf].is_empty() {
            continue;
        }
        let [caller] = graph.callers[leaf].as_slice() else { continue };
        let Some(flow) = facts.of_class(case, leaf, Class::Traffic) else { continue };
        let mut best: Option<(f64, usize)> = None;
        for sibling in graph.callees[*caller].iter().copied().filter(|s| *s != leaf && !graph.callees[*s].is_empty()) {
            let Some(other) = facts.of_class(case, sibling, Class::Traffic) else { continue };
            let (a, b) = (&case.series[flow.series].baseline, &case.series[other.series].baseline);
            let r = correlation(a, b, 30).unwrap_or(0.0);
            if r > 0.5 && best.is_none_or(|(top, _)| r > top) {
                best = Some((r, sibling));
            }
        }
        out[leaf] = best.map(|(_, sibling)| sibling);
    }
    out
}
