//! All metric facts of a case by entity: what each series means and how unusual it is.

use crate::case::Case;
use crate::graph::Graph;
use crate::signal::{Class, Signal, classify};
use crate::window::{Score, Window, score};

/// One scored series.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub series: usize,
    /// Position among all series by name: ties never depend on the order of the input.
    pub order: usize,
    pub signal: Signal,
    pub score: Score,
}

/// Scored series by node of the graph.
pub(crate) struct Facts {
    pub by_node: Vec<Vec<Fact>>,
    pub window: Window,
}

impl Facts {
    pub(crate) fn of(case: &Case, graph: &Graph) -> Self {
        let window = Window::of(case);
        let mut by_node = vec![Vec::new(); graph.nodes.len()];
        let mut known: ahash::AHashMap<(&str, &str), Signal> = ahash::AHashMap::new();
        let mut sorted: Vec<usize> = (0..case.series.len()).collect();
        let name = |at: usize| {
            let series = &case.series[at];
            (case.name(series.entity), series.metric.as_str(), series.stat.as_str())
        };
        sorted.sort_by(|a, b| name(*a).cmp(&name(*b)));
        for (order, at) in sorted.into_iter().enumerate() {
            let series = &case.series[at];
            let signal = *known
                .entry((series.metric.as_str(), series.stat.as_str()))
                .or_insert_with(|| classify(&series.metric, &series.stat));
            let (Some(node), Some(score)) = (graph.at(series.entity), score(series, &signal, &window)) else {
                continue;
            };
            by_node[node].push(Fact { series: at, order, signal, score });
        }
        Self { by_node, window }
    }

    /// The fact of a class whose statistic fits best: the symptom's own first, then mean, median and upper quantiles.
    pub(crate) fn of_class(&self, case: &Case, node: usize, class: Class) -> Option<&Fact> {
        let order = |stat: &str| {
            let stat = stat.to_ascii_lowercase();
            if stat == case.symptom.stat.to_ascii_lowercase() {
                return 0;
            }
            ["average", "mean", "p50", "p90", "p95", "p99"]
                .iter()
                .position(|s| *s == stat)
                .map_or(9, |p| p + 1)
        };
        self.by_node[node]
            .iter()
            .filter(|f| f.signal.class == class)
            .min_by_key(|f| (order(&case.series[f.series].stat), f.order))
    }

    /// The largest deviation of a class.
    pub(crate) fn worst(&self, node: usize, class: Class) -> Option<&Fact> {
        self.by_node[node]
            .iter()
            .filter(|f| f.signal.class == class)
            .max_by(|a, b| a.score.z.total_cmp(&b.score.z).then(b.order.cmp(&a.order)))
    }

    /// The largest deviation of any series of a node, in any direction.
    pub(crate) fn oddest(&self, node: usize) -> Option<&Fact> {
        self.by_node[node]
            .iter()
            .max_by(|a, b| a.score.z.abs().total_cmp(&b.score.z.abs()).then(b.order.cmp(&a.order)))
    }

    /// Mean traffic of a node in the incident; `None` without a traffic series.
    pub(crate) fn traffic(&self, case: &Case, node: usize) -> Option<f64> {
        let fact = self.of_class(case, node, Class::Traffic)?;
        Some(fact.score.mean).filter(|v| v.is_finite())
    }

    /// Excess share of failed requests (0 to 1) and its deviation, with the fact it comes from.
    pub(crate) fn errors(&self, case: &Case, node: usize) -> Option<(f64, f64, &Fact)> {
        let scale = |f: &Fact| match f.signal.unit {
            "pct" => 100.0,
            "count" => self.traffic(case, node).unwrap_or(1.0).max(1.0),
            _ => 1.0,
        };
        [Class::Success, Class::Errors]
            .into_iter()
            .filter_map(|class| self.of_class(case, node, class))
            .map(|f| ((f.score.excess / scale(f)).clamp(0.0, 1.0), f.score.z, f))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }
}
