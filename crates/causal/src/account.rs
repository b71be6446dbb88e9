//! Conservation of symptom: what a node has in excess, less what its callees hand up to it, is its own share.
//!
//! Excess latency or failures are expressed per request of the symptom's entity (excess times the node's calls). What a
//! callee has in excess is split among its callers by their volume. The excess of the symptom then flows down the calls:
//! each node keeps what its callees do not explain. Deep, rare or noisy nodes get little, a front end that only waits gets
//! nothing, and a node whose callers show nothing gets nothing either.

use crate::case::Case;
use crate::facts::Facts;
use crate::graph::Graph;
use crate::missing::{adopt, mirrors, stranded};
use crate::signal::{Class, Golden};

/// Nodes without telemetry are passed through at most this deep.
const PASS_THROUGH: usize = 3;
/// The flow is followed this many calls down; longer paths and cycles keep what is left.
const DEPTH: usize = 12;
/// An excess below this part of the symptom's usual value is no matter.
const MATERIAL: f64 = 0.08;

/// The account of one signal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Own share of the symptom's excess, 0 to 1.
    pub share: Vec<f64>,
    /// Excess of each node, in request-seconds or failed requests.
    pub total: Vec<f64>,
    /// What each node is handed by which callee, in the same unit.
    pub handed: Vec<Vec<(usize, f64)>>,
    /// Whether the symptom's entity shows an excess itself, 0 to 1.
    pub clarity_at_target: f64,
    pub(crate) known: Vec<bool>,
    pub(crate) mirror: Vec<bool>,
    /// How far each excess stands out by itself, 0 to 1.
    distinct: Vec<f64>,
}

pub(crate) fn account(case: &Case, graph: &Graph, facts: &Facts, golden: Golden) -> Account {
    let n = graph.nodes.len();
    let volume = volumes(case, graph, facts);
    let mut out = Account {
        share: vec![0.0; n],
        total: vec![0.0; n],
        handed: vec![Vec::new(); n],
        clarity_at_target: 0.0,
        known: vec![false; n],
        mirror: vec![false; n],
        distinct: vec![0.0; n],
    };
    let excess: Vec<Option<(f64, f64)>> = (0..n).map(|i| excess(case, facts, golden, i)).collect();
    // The clearer the symptom, the clearer its cause must be.
    let wanted = excess[graph.target].map_or(1.0, |(_, z)| z).clamp(0.8, 4.0);
    for node in 0..n {
        if let Some((amount, z)) = excess[node] {
            out.known[node] = true;
            let clarity = ((z - 0.3) / (0.6 * wanted)).clamp(0.0, 1.0);
            out.distinct[node] = ((z - 1.5) / 2.5).clamp(0.0, 1.0);
            out.total[node] = amount.max(0.0) * volume[node] * clarity;
        }
    }
    out.clarity_at_target = excess[graph.target].map_or(0.0, |(_, z)| ((z - 1.0) / 2.0).clamp(0.0, 1.0));
    let stranded = stranded(graph, &out);
    out.mirror = mirrors(graph, &out);
    for node in 0..n {
        out.handed[node] = handed_up(graph, &out, &volume, node);
    }
    adopt(graph, &mut out, &stranded);
    let least = least_matter(case, graph, facts, golden) * volume[graph.target];
    shares(graph, &mut out, least);
    out
}

/// Excess per request and its deviation.
fn excess(case: &Case, facts: &Facts, golden: Golden, node: usize) -> Option<(f64, f64)> {
    if golden == Golden::Errors {
        return facts.errors(case, node).map(|(excess, z, _)| (excess, z));
    }
    let fact = facts.of_class(case, node, Class::Latency)?;
    let (mut amount, z) = (fact.score.excess, fact.score.z);
    // What a node waits longer for its own calls is not its own, even where no callee shows it: a slow link.
    let stat = &case.series[fact.series].stat;
    let waits = facts.by_node[node].iter().find(|f| {
        f.signal.class == Class::LatencyClient && &case.series[f.series].stat == stat && f.score.z > 1.5
    });
    if let Some(wait) = waits.filter(|w| w.score.excess > 0.3 * amount) {
        amount = (amount - wait.score.excess).max(0.15 * amount);
    }
    Some((amount, z))
}

/// Excess per request that is worth explaining.
fn least_matter(case: &Case, graph: &Graph, facts: &Facts, golden: Golden) -> f64 {
    match golden {
        Golden::Errors => 0.002,
        _ => facts
            .of_class(case, graph.target, Class::Latency)
            .map_or(0.0, |f| MATERIAL * f.score.normal.abs()),
    }
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
fn handed_up(graph: &Graph, account: &Account, volume: &[f64], node: usize) -> Vec<(usize, f64)> {
    let mut out = Vec::new();
    let mut seen = vec![node];
    let mut level: Vec<(usize, usize, usize)> = graph.callees[node].iter().map(|c| (*c, node, 0)).collect();
    while let Some((callee, via, depth)) = level.pop() {
        if seen.contains(&callee) || account.mirror[callee] {
            continue;
        }
        seen.push(callee);
        if !account.known[callee] && depth < PASS_THROUGH {
            level.extend(graph.callees[callee].iter().map(|c| (*c, callee, depth + 1)));
            continue;
        }
        let callers = &graph.callers[callee];
        let all: f64 = callers.iter().map(|c| volume[*c]).sum();
        let part = if callers.len() <= 1 || all <= 0.0 { 1.0 } else { volume[via] / all };
        let amount = account.total[callee] * part;
        if amount > 0.0 {
            out.push((callee, amount));
        }
    }
    out.sort_by_key(|(callee, _)| *callee);
    out
}

/// Lets the symptom's excess flow down, and mixes in each node's own excess from below for where edges are missing.
fn shares(graph: &Graph, out: &mut Account, least: f64) {
    let n = graph.nodes.len();
    let explained = |node: usize| {
        let handed: f64 = out.handed[node].iter().map(|(_, a)| a).sum();
        if out.total[node] <= 0.0 {
            // Nothing in excess here, yet below: a mean hides what a part of the requests suffers.
            return (if handed > 0.0 { 1.0 } else { 0.0 }, handed);
        }
        ((handed / out.total[node]).min(1.0), handed)
    };
    let mut flow = vec![0.0; n];
    let mut own = vec![0.0; n];
    flow[graph.target] = 1.0;
    for _ in 0..DEPTH {
        let mut next = vec![0.0; n];
        for node in 0..n {
            if flow[node] <= 1e-6 {
                continue;
            }
            let (part, handed) = explained(node);
            own[node] += flow[node] * (1.0 - part);
            for (callee, amount) in &out.handed[node] {
                next[*callee] += flow[node] * part * amount / handed.max(1e-12);
            }
        }
        flow = next;
    }
    let largest = (0..n).filter(|i| graph.reachable(*i)).map(|i| out.total[i]).fold(0.0, f64::max);
    let yardstick = out.total[graph.target].max(largest / 3.0).max(least);
    if yardstick <= 0.0 || largest <= 0.0 {
        return;
    }
    // An excess too small to matter to the symptom explains nothing.
    let matter = (largest / least.max(1e-12)).clamp(0.0, 1.0);
    for node in 0..n {
        let handed: f64 = out.handed[node].iter().map(|(_, a)| a).sum();
        let below = ((out.total[node] - handed).max(0.0) / yardstick).clamp(0.0, 1.0);
        let mut share = 0.65 * own[node] * matter + 0.35 * below * out.distinct[node];
        if node == graph.target {
            // What nothing below explains stays at the symptom: it says where the trouble shows, not where it is.
            share *= 0.2;
        } else if graph.callees[graph.target] == [node] {
            // The only way in sees everything that the symptom sees.
            share *= 0.45;
        }
        if out.mirror[node] {
            share *= 0.3;
        }
        // A symptom that hardly shows in this signal does not speak for its causes either.
        share *= 0.5 + 0.5 * out.clarity_at_target;
        out.share[node] = if out.total[node] > 0.0 { share } else { 0.0 };
    }
}
