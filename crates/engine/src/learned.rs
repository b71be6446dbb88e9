//! What the engine counted and learned, for people.

use std::collections::BTreeSet;

use crate::engine::Engine;

/// What the engine counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Windows evaluated.
    pub windows: u64,
    /// Partials that came after their window had been evaluated.
    pub late_partials: u64,
    /// Series ignored because the limit was reached.
    pub series_refused: u64,
    /// Rankings made.
    pub rankings: u64,
}

/// What was learned so far, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Services with golden signals.
    pub services: usize,
    /// Call edges.
    pub edges: usize,
    /// Golden-signal series with a detector.
    pub baselines: usize,
    /// Of those, the ones with a band.
    pub baselines_ready: usize,
    /// Metric series.
    pub metrics: usize,
    /// Log templates.
    pub templates: usize,
}

impl Engine {
    /// What was learned.
    #[must_use]
    pub fn learned(&self) -> Learned {
        Learned {
            services: self.watched.keys().map(|s| &s.entity).collect::<BTreeSet<_>>().len(),
            edges: self.calls.topology.size().1,
            baselines: self.watched.len(),
            baselines_ready: self
                .watched
                .values()
                .filter(|w| w.points.back().is_some_and(|p| p.upper.is_finite()))
                .count(),
            metrics: self.metrics.len(),
            templates: self.template_texts.len(),
        }
    }
}
