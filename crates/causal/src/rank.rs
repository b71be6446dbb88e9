//! Ranks the entities of a case by how well each explains the symptom.

use crate::case::Case;
use crate::features::{NAMES, TERMS, View};
use crate::fuse::{points, probabilities};
use crate::ranking::{CauseClass, Ranking, Suspect, Term};

/// Ranks every entity of the case. The same case gives the same bytes: ties break by distance from the symptom, then by name.
/// Cost: linear in metric points times at most 160 windows, spans and log lines.
pub fn rank(case: &Case) -> Ranking {
    let view = View::of(case);
    let n = view.graph.nodes.len();
    let parts: Vec<_> = (0..n).map(|node| points(&view, node)).collect();
    let scores: Vec<f64> = parts.iter().map(|p| p.iter().sum()).collect();
    let chances = probabilities(&scores);
    let mut order: Vec<usize> = (0..n).collect();
    // Node numbers follow names.
    order.sort_by(|a, b| {
        scores[*b]
            .total_cmp(&scores[*a])
            .then(view.graph.distance[*a].cmp(&view.graph.distance[*b]))
            .then(a.cmp(b))
    });
    let ranked: Vec<Suspect> = order
        .iter()
        .map(|node| {
            let mut terms: Vec<Term> = (0..TERMS)
                .filter(|t| parts[*node][*t] > 0.0)
                .map(|t| Term {
                    name: NAMES[t].to_owned(),
                    value: view.features[*node][t],
                    points: parts[*node][t],
                })
                .collect();
            terms.sort_by(|a, b| b.points.total_cmp(&a.points).then(a.name.cmp(&b.name)));
            Suspect {
                entity: case.name(view.graph.nodes[*node]).to_owned(),
                score: scores[*node],
                probability: chances[*node],
                terms,
                class: CauseClass::Unknown,
                evidence: Vec::new(),
                path: Vec::new(),
                change: None,
            }
        })
        .collect();
    let confidence = ranked.first().map_or(0.0, |s| s.probability);
    let second = ranked.get(1).map_or(0.0, |s| s.probability);
    Ranking {
        abstained: ranked.first().is_none_or(|s| s.score < crate::fuse::NONE),
        confidence,
        margin: confidence - second,
        ranked,
    }
}
