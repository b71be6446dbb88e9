//! Ranks the entities of a case by how well each explains the symptom.

use crate::case::Case;
use crate::class::class;
use crate::evidence::{evidence, symptom};
use crate::features::{CHANGE, NAMES, TERMS, View};
use crate::fuse::{NONE, WEIGHTS, needed, points, probabilities};
use crate::ranking::{Ranking, Suspect, Term};

/// Evidence is gathered for the first few.
const EVIDENCE_FOR: usize = 5;

/// Ranks every entity of the case. The same case gives the same bytes: ties break by distance from the symptom,
/// then by the most unusual series, then by name.
/// Cost: linear in metric points times at most 160 windows, spans and log lines.
pub fn rank(case: &Case) -> Ranking {
    let view = View::of(case);
    let n = view.graph.nodes.len();
    let parts: Vec<_> = (0..n).map(|node| points(&view, node)).collect();
    let scores: Vec<f64> = parts.iter().map(|p| p.iter().sum()).collect();
    let chances = probabilities(&scores);
    let mut order: Vec<usize> = (0..n).collect();
    // What differs only by the order of additions is equal. Node numbers follow names.
    let whole = |value: f64| (value * 1e9).round() as i64;
    let odd: Vec<i64> = (0..n).map(|i| view.facts.oddest(i).map_or(0, |f| whole(f.score.z.abs()))).collect();
    order.sort_by(|a, b| {
        whole(scores[*b])
            .cmp(&whole(scores[*a]))
            .then(view.graph.distance[*a].cmp(&view.graph.distance[*b]))
            .then(odd[*b].cmp(&odd[*a]))
            .then(a.cmp(b))
    });
    let ranked: Vec<Suspect> = order
        .iter()
        .enumerate()
        .map(|(position, node)| suspect(&view, *node, position, &parts[*node], scores[*node], chances[*node]))
        .collect();
    let confidence = ranked.first().map_or(0.0, |s| s.probability);
    let second = ranked.get(1).map_or(0.0, |s| s.probability);
    Ranking {
        abstained: order.first().is_none_or(|best| scores[*best] < needed(&view, *best)),
        confidence,
        margin: confidence - second,
        ranked,
        symptom: symptom(&view),
    }
}

fn suspect(
    view: &View<'_>,
    node: usize,
    position: usize,
    parts: &[f64; TERMS],
    score: f64,
    probability: f64,
) -> Suspect {
    let mut terms: Vec<Term> = (0..TERMS)
        .filter(|t| parts[*t] > 0.0)
        .map(|t| Term { name: NAMES[t].to_owned(), value: view.features[node][t], points: parts[t] })
        .collect();
    terms.sort_by(|a, b| b.points.total_cmp(&a.points).then(a.name.cmp(&b.name)));
    let name = |n: usize| view.case.name(view.graph.nodes[n]).to_owned();
    Suspect {
        entity: name(node),
        score,
        probability,
        terms,
        class: class(view, node, parts),
        evidence: if position < EVIDENCE_FOR { evidence(view, node) } else { Vec::new() },
        path: view.graph.path_to_target(node).into_iter().map(name).collect(),
        change: view.change(node).filter(|c| c.0 > 0.05 && parts[CHANGE] > 0.0).map(|c| c.1),
    }
}

/// Names and coefficients (log-odds at strength 1) of the terms, in a fixed order. `examples/fit.rs` fits them.
pub fn coefficients() -> Vec<(&'static str, f64)> {
    NAMES.iter().copied().zip(WEIGHTS).collect()
}

/// Log-odds of "none of these".
pub fn none_of_these() -> f64 {
    NONE
}
