//! Slow links: callers wait longer for their callees, but no callee serves slower, so the time is lost on the way.
//!
//! Which callee it is follows from who waits, and from where in the distribution of the waits it shows: a callee that gets a
//! share `f` of the calls moves the quantiles above `1 - f` by the whole delay, and those below hardly. Cost: linear in edges.

use crate::facts::Fact;
use crate::features::View;
use crate::signal::Class;

/// Strength of "the links to this node are slow", 0 to 1, for each node.
pub(crate) fn links(view: &View<'_>) -> Vec<f64> {
    let n = view.graph.nodes.len();
    let waits: Vec<f64> = (0..n).map(|i| unexplained_wait(view, i)).collect();
    let all: f64 = waits.iter().sum();
    let mut out = vec![0.0; n];
    if all <= 0.0 {
        return out;
    }
    let volume: Vec<Option<f64>> = (0..n).map(|i| view.facts.traffic(view.case, i)).collect();
    for node in 0..n {
        let callers: Vec<usize> = view.graph.callers[node]
            .iter()
            .copied()
            .filter(|c| view.facts.of_class(view.case, *c, Class::LatencyClient).is_some())
            .collect();
        if callers.is_empty() {
            continue;
        }
        let here: f64 = callers.iter().map(|c| waits[*c]).sum();
        // All callers that wait must be callers of this node, else the fault lies elsewhere.
        let covered = here / all;
        let fits: f64 = callers.iter().map(|c| waits[*c] * fit(view, &volume, *c, node)).sum();
        out[node] = fits / callers.len() as f64 * covered;
    }
    out
}

/// How clearly a node waits longer on calls than its callees' own serving times explain, 0 to 1.
fn unexplained_wait(view: &View<'_>, node: usize) -> f64 {
    let Some(wait) = view.facts.worst(node, Class::LatencyClient) else {
        return 0.0;
    };
    let clear = ((wait.score.z - 1.5) / 3.0).clamp(0.0, 1.0);
    let excess = wait.score.observed - wait.score.normal;
    if clear <= 0.0 || excess <= 0.0 {
        return 0.0;
    }
    let stat = &view.case.series[wait.series].stat;
    let served = view.graph.callees[node]
        .iter()
        .flat_map(|c| view.facts.by_node[*c].iter())
        .filter(|f| {
            f.signal.class == Class::Latency && &view.case.series[f.series].stat == stat && f.score.z > 2.5
        })
        .map(|f| (f.score.observed - f.score.normal).max(0.0))
        .fold(0.0, f64::max);
    clear * (1.0 - (served / excess).clamp(0.0, 1.0))
}

/// How well the waits of a caller fit a delay of the calls to one of its callees, 0 to 1; 1 where the volumes are unknown.
fn fit(view: &View<'_>, volume: &[Option<f64>], caller: usize, callee: usize) -> f64 {
    // Calls of the caller to each callee: what a callee gets, split by the volume of its callers.
    let calls = |callee: usize| {
        let callers = &view.graph.callers[callee];
        let all: f64 = callers.iter().filter_map(|c| volume[*c]).sum();
        let part = if callers.len() == 1 { 1.0 } else { volume[caller]? / all.max(1e-9) };
        Some(volume[callee]? * part)
    };
    let all: Option<Vec<f64>> = view.graph.callees[caller].iter().map(|c| calls(*c)).collect();
    let (Some(all), Some(own)) = (all, calls(callee)) else {
        return 1.0;
    };
    let share = own / all.iter().sum::<f64>().max(1e-9);
    let mut waits: Vec<(f64, &Fact)> = view.facts.by_node[caller]
        .iter()
        .filter(|f| f.signal.class == Class::LatencyClient)
        .filter_map(|f| Some((tail(&view.case.series[f.series].stat)?, f)))
        .collect();
    waits.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.order.cmp(&b.1.order)));
    let delay = waits.iter().map(|w| w.1.score.excess).fold(0.0, f64::max);
    if delay <= 0.0 {
        return 1.0;
    }
    let mut out: f64 = 1.0;
    for (tail, fact) in waits {
        let moved = fact.score.excess / delay;
        // From not at all, where the share is half of the tail, to the whole delay, where it is twice the tail.
        let expected = (0.5 + (share / tail).max(1e-6).ln() / 4.0_f64.ln()).clamp(0.0, 1.0);
        out = out.min(1.0 - 0.6 * ((moved - expected).abs() - 0.4).max(0.0) / 0.6);
    }
    out
}

/// The share of values above a quantile, from the name of the statistic: 0.01 for `p99`.
fn tail(stat: &str) -> Option<f64> {
    let percent: f64 = stat.strip_prefix(['p', 'P'])?.parse().ok()?;
    // `p999` means 99.9 %.
    let quantile = if percent > 100.0 { percent / 1000.0 } else { percent / 100.0 };
    (0.0..1.0).contains(&quantile).then_some(1.0 - quantile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_by_name() {
        for (stat, value) in [("p99", 0.01), ("p50", 0.5), ("P99.9", 0.001), ("p999", 0.001), ("p5", 0.95)] {
            assert!((tail(stat).unwrap_or(9.0) - value).abs() < 1e-9, "{stat}");
        }
        assert_eq!(tail("Average"), None);
    }
}
