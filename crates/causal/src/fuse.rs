//! From evidence to a ranking: a weighted sum of terms, a topology prior, and the probability that none of them is the cause.

use crate::features::{
    BEHAVIOUR, CHANGE, ERRORS, Features, LATENCY, LINK, MEMORY, NETWORK, RESTARTS, SATURATION, SILENCE,
    TERMS, TIME, View,
};

/// Log-odds that each term adds at strength 1: the rounded result of `cargo run --example fit -- --cases DIR ...` over labelled
/// outages, the same with edges removed and with late alarms, and windows without an incident. Changes and restarts do not
/// occur in those, theirs are set by hand.
pub(crate) const WEIGHTS: [f64; TERMS] = {
    let mut w = [0.0; TERMS];
    w[LATENCY] = 6.0;
    w[ERRORS] = 8.5;
    w[SATURATION] = 5.6;
    w[TIME] = 7.5;
    w[BEHAVIOUR] = 6.5;
    w[LINK] = 4.5;
    w[SILENCE] = 2.2;
    w[MEMORY] = 4.0;
    w[NETWORK] = 0.8;
    w[CHANGE] = 2.0;
    w[RESTARTS] = 3.0;
    w
};

/// Log-odds of "none of these".
pub(crate) const NONE: f64 = 2.9;
/// Score from which a cause is named: below it, a window without an incident looks the same.
pub(crate) const NAMED: f64 = 3.1;
/// What a suspect needs on top where nothing shows that requests suffer: a busy node alone is not an incident.
const QUIET_EXTRA: f64 = 4.0;
/// What remains of a score when no path leads from the symptom to the node.
const UNREACHABLE: f64 = 0.4;

/// What remains of it when a path is likely but not known.
const ASSUMED: f64 = 0.9;

/// Points of each term for one node.
pub(crate) fn points(view: &View<'_>, node: usize) -> Features {
    let f = &view.features[node];
    let mut out = [0.0; TERMS];
    let reach = match (view.graph.reachable(node), view.graph.assumed[node]) {
        (true, false) => 1.0,
        (true, true) => ASSUMED,
        _ => UNREACHABLE,
    };
    for term in 0..TERMS {
        out[term] = WEIGHTS[term] * f[term] * reach;
    }
    // A change is never a cause without a symptom of its own: it multiplies what else there is.
    let other: f64 = (0..TERMS).filter(|t| *t != CHANGE).map(|t| out[t]).sum();
    out[CHANGE] *= (other / 1.5).clamp(0.0, 1.0);
    out
}

/// Probability of each score among all and "none of these".
pub(crate) fn probabilities(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(NONE, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| if *s > 0.0 { (s - top).exp() } else { 0.0 }).collect();
    let all: f64 = weights.iter().sum::<f64>() + (NONE - top).exp();
    weights.into_iter().map(|w| w / all).collect()
}

/// Score that the best suspect needs to be named.
pub(crate) fn needed(view: &View<'_>, best: usize) -> f64 {
    let f = &view.features[best];
    let suffering =
        [LATENCY, ERRORS, TIME, BEHAVIOUR, LINK, SILENCE].iter().map(|t| f[*t]).fold(0.0, f64::max);
    let visible =
        view.latency.clarity_at_target.max(view.errors.clarity_at_target).max(suffering).clamp(0.0, 1.0);
    NAMED + QUIET_EXTRA * (1.0 - visible) * f64::from(u8::from(suffering < 0.3))
}
