//! What is known of services as it stands, for people.

use std::collections::BTreeSet;

use causeway_model::{Micros, SeriesId};

use crate::detect::Point;
use crate::engine::Engine;

/// A golden signal of a service as it stands.
#[derive(Clone, Debug)]
pub struct GoldenView<'a> {
    /// Service and signal.
    pub series: &'a SeriesId,
    /// The tenant whose source told of it; empty when none is known.
    pub tenant: &'a str,
    /// Begin of the open finding.
    pub open_since_us: Option<Micros>,
    /// The newest points, oldest first.
    pub points: Vec<Point>,
}

impl Engine {
    /// The tenant whose source first told of an entity.
    #[must_use]
    pub fn tenant(&self, entity: &str) -> Option<&str> {
        self.tenants.get(entity).map(String::as_str)
    }

    /// Tenants that any entity is known of.
    #[must_use]
    pub fn tenants(&self) -> BTreeSet<&str> {
        self.tenants.values().map(String::as_str).collect()
    }

    /// Golden signals of all services, by service, each with at most `count` points.
    pub fn golden_signals(&self, count: usize) -> impl Iterator<Item = GoldenView<'_>> {
        self.watched.iter().map(move |(series, watched)| GoldenView {
            series,
            tenant: self.tenant(&series.entity).unwrap_or_default(),
            open_since_us: watched.open_since_us(),
            points: watched.points.iter().skip(watched.points.len().saturating_sub(count)).copied().collect(),
        })
    }
}
