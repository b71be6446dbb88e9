//! All metric facts of a case by entity: what each series means and how unusual it is.

use crate::case::Case;
use crate::graph::Graph;
use crate::signal::{Class, Golden, Signal, classify};
use crate::stats::{mean, median};
use crate::window::{Score, Window, directed, score};

/// One scored series.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub series: usize,
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
        for (at, series) in case.series.iter().enumerate() {
            let signal = *known
                .entry((series.metric.as_str(), series.stat.as_str()))
                .or_insert_with(|| classify(&series.metric, &series.stat));
            let (Some(node), Some(score)) = (graph.at(series.entity), score(series, &signal, &window)) else {
                continue;
            };
            by_node[node].push(Fact { series: at, signal, score });
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
            ["average", "mean", "p50", "p90", "p95", "p99"].iter().position(|s| *s == stat).map_or(9, |p| p + 1)
        };
        self.by_node[node]
            .iter()
            .filter(|f| f.signal.class == class)
            .min_by_key(|f| (order(&case.series[f.series].stat), f.series))
    }

    /// The largest deviation of a class.
    pub(crate) fn worst(&self, node: usize, class: Class) -> Option<&Fact> {
        self.by_node[node]
            .iter()
            .filter(|f| f.signal.class == class)
            .max_by(|a, b| a.score.z.total_cmp(&b.score.z).then(b.series.cmp(&a.series)))
    }

    /// Mean traffic of a node in the incident; `None` without a traffic series.
    pub(crate) fn traffic(&self, case: &Case, node: usize) -> Option<f64> {
        let fact = self.of_class(case, node, Class::Traffic)?;
        Some(fact.score.mean).filter(|v| v.is_finite())
    }

    /// How far traffic fell, as a deviation (positive: fell), with usual and present mean.
    pub(crate) fn traffic_drop(&self, case: &Case, node: usize) -> Option<(f64, f64, f64)> {
        let fact = self.of_class(case, node, Class::Traffic)?;
        let down = directed(&case.series[fact.series], &fact.signal, &self.window, -1.0)?;
        Some((down.z, down.normal, down.observed))
    }

    /// Usual share of failed requests and the share now, both 0 to 1, with the deviation.
    pub(crate) fn errors(&self, case: &Case, node: usize) -> Option<(f64, f64, f64, &Fact)> {
        let scale = |f: &Fact| if f.signal.unit == "pct" { 100.0 } else { 1.0 };
        let success = self.of_class(case, node, Class::Success).map(|f| {
            let s = scale(f);
            (1.0 - f.score.normal / s, 1.0 - f.score.observed / s, f.score.z, f)
        });
        let errors = self.of_class(case, node, Class::Errors).map(|f| {
            let per = match f.signal.unit {
                "count" => self.traffic(case, node).unwrap_or(1.0).max(1.0),
                _ => scale(f),
            };
            (f.score.normal / per, f.score.observed / per, f.score.z, f)
        });
        let worse = |a: &(f64, f64, f64, &Fact), b: &(f64, f64, f64, &Fact)| a.2.total_cmp(&b.2);
        success
            .into_iter()
            .chain(errors)
            .max_by(worse)
            .map(|(a, b, z, f)| (a.clamp(0.0, 1.0), b.clamp(0.0, 1.0), z, f))
    }

    /// Largest deviation of the symptom's golden signal at a node.
    pub(crate) fn golden_z(&self, node: usize, golden: Golden) -> f64 {
        self.by_node[node]
            .iter()
            .filter(|f| f.signal.class.golden() == golden)
            .map(|f| f.score.z.abs())
            .fold(0.0, f64::max)
    }

    /// Usual traffic of a node from its baseline; `None` without.
    pub(crate) fn usual_traffic(&self, case: &Case, node: usize) -> Option<f64> {
        let fact = self.of_class(case, node, Class::Traffic)?;
        let usual = median(case.series[fact.series].baseline.iter().copied());
        if usual.is_finite() {
            return Some(usual);
        }
        Some(mean(case.series[fact.series].values.iter().copied())).filter(|v| v.is_finite())
    }
}
