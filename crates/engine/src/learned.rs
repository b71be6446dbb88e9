//! What the engine counted and learned, for people.

use std::collections::BTreeSet;

use causeway_causal::topology::{EdgeKind, EdgeView};

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

/// Who a service is connected with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Entities that call it.
    pub callers: usize,
    /// Entities that it calls.
    pub callees: usize,
    /// Of both, those that no trace shows.
    pub inferred: usize,
}

impl Engine {
    /// Who is connected with a service, known by any of these names, at the newest data time; `None` while no telemetry
    /// shows it. O(neighbours).
    #[must_use]
    pub fn neighbours(&self, entities: &[String]) -> Option<Neighbours> {
        let topology = self.topology();
        let id = entities.iter().find_map(|entity| topology.by_key(entity))?;
        let at_us = self.watermark_us()?;
        let calls = |edges: Vec<EdgeView>| {
            edges.into_iter().filter(|e| e.kind == EdgeKind::Calls).collect::<Vec<_>>()
        };
        let (above, below) = (calls(topology.above(id, at_us)), calls(topology.below(id, at_us)));
        let inferred = above.iter().chain(&below).filter(|e| e.inferred).count();
        Some(Neighbours { callers: above.len(), callees: below.len(), inferred })
    }

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
