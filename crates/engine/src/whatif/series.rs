//! Metric histories of services on a grid of windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_causal::whatif::{Service, Signal};
use causeway_model::Micros;

use super::names::{Says, label, pool_host, says};
use crate::case::MetricHistory;
use crate::history::History;

/// A series that has told nothing for so many windows is over.
const OVER: usize = 6;
/// Windows that count as now.
const NEW: usize = 9;

/// Windows of equal length, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    first: i64,
    pub(super) length: usize,
    pub(super) window_us: i64,
}

impl Grid {
    /// The windows that end within `from_us..=until_us`, without the one that ends at `from_us`.
    pub(super) fn between(from_us: Micros, until_us: Micros, window_us: i64) -> Self {
        let window_us = window_us.max(1);
        let (first, end) = (from_us.max(0).div_euclid(window_us), until_us.div_euclid(window_us));
        Self { first, length: usize::try_from(end - first).unwrap_or_default(), window_us }
    }

    /// The window that a moment is in.
    pub(super) fn window(&self, at_us: Micros) -> Option<usize> {
        let at = usize::try_from(at_us.div_euclid(self.window_us) - self.first).ok()?;
        (at < self.length).then_some(at)
    }

    fn empty(&self) -> Vec<f64> {
        vec![f64::NAN; self.length]
    }
}

/// What the metrics of one entity say.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Sum and count by window, of each kind of series; several series of a kind are added up.
    sums: BTreeMap<Says, Vec<(f64, f64)>>,
    /// Instances that report, by window.
    instances: Vec<f64>,
    /// Connections that each instance may hold, by host of the store: sum and count of instances.
    pools: BTreeMap<String, (f64, f64)>,
    /// Connections that it takes, where it is a store.
    pub(super) store_most: Option<f64>,
    /// Used cores and cores by node, where it tells of nodes.
    nodes: BTreeMap<String, (f64, f64)>,
}

/// Courses by entity, of `only` or of all. O(series + their windows).
pub(super) fn courses(
    histories: &[&MetricHistory],
    grid: &Grid,
    only: Option<&str>,
) -> BTreeMap<Arc<str>, Course> {
    let mut courses: BTreeMap<Arc<str>, Course> = BTreeMap::new();
    let all = histories.iter().flat_map(|histories| histories.iter());
    for (id, history) in all.filter(|(id, _)| only.is_none_or(|only| only == id.entity.as_ref())) {
        if let Some((what, factor)) = says(&id.signal, &id.group) {
            let course = courses.entry(Arc::clone(&id.entity)).or_default();
            course.add(what, factor, &id.group, history, grid);
        }
    }
    courses
}

/// Used cores and cores of each node.
pub(super) fn nodes(courses: &BTreeMap<Arc<str>, Course>) -> BTreeMap<String, (f64, f64)> {
    let mut found: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (node, (used, cores)) in courses.values().flat_map(|course| &course.nodes) {
        let known = found.entry(node.clone()).or_insert((f64::NAN, f64::NAN));
        known.0 = if used.is_finite() { *used } else { known.0 };
        known.1 = if cores.is_finite() { *cores } else { known.1 };
    }
    found
}

impl Course {
    fn add(&mut self, what: Says, factor: f64, group: &str, history: &History, grid: &Grid) {
        let cells = history.by_window(grid.window_us);
        let newest = || {
            let new = grid.length.saturating_sub(NEW);
            let known: Vec<f64> = cells
                .iter()
                .filter_map(|(window, (sum, count))| {
                    let at = grid.window(window * grid.window_us)?;
                    (at >= new && *count > 0).then(|| sum / *count as f64)
                })
                .collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        match what {
            Says::PoolMost => {
                if let (Some(host), Some(most)) = (pool_host(group), newest()) {
                    let pool = self.pools.entry(host.to_owned()).or_default();
                    *pool =
                        (pool.0 + most, pool.1 + f64::from(u8::from(label(group, "k8s.pod.name").is_some())));
                }
            }
            Says::StoreMost => self.store_most = newest().or(self.store_most),
            Says::NodeUsed | Says::NodeCores => {
                let (Some(node), Some(value)) = (label(group, "k8s.node.name"), newest()) else { return };
                let known = self.nodes.entry(node.to_owned()).or_insert((f64::NAN, f64::NAN));
                if what == Says::NodeUsed { known.0 = value } else { known.1 = value }
            }
            _ => self.add_windows(what, factor, &cells, grid),
        }
    }

    fn add_windows(&mut self, what: Says, factor: f64, cells: &BTreeMap<i64, (f64, u64)>, grid: &Grid) {
        let sums = self.sums.entry(what).or_insert_with(|| vec![(0.0, 0.0); grid.length]);
        if self.instances.is_empty() {
            self.instances = vec![0.0; grid.length];
        }
        let counted = matches!(what, Says::Durations | Says::SpanDurations | Says::SpanErrors);
        for (window, (sum, count)) in cells {
            let Some(at) = grid.window(window * grid.window_us).filter(|_| *count > 0) else { continue };
            // Requests and spans are counted; levels of several series are added up, each by its mean.
            let (sum, count) = if counted { (*sum, *count as f64) } else { (sum / *count as f64, 1.0) };
            sums[at].0 += sum * factor;
            sums[at].1 += count;
            if what == Says::PodCpuShare {
                self.instances[at] += 1.0;
            }
        }
    }

    /// Sum, or mean over the series, of a kind by window.
    fn of(&self, what: Says, is_mean: bool) -> Option<Vec<f64>> {
        let value = |(sum, count): &(f64, f64)| match () {
            () if *count <= 0.0 => f64::NAN,
            () if is_mean => sum / count,
            () => *sum,
        };
        Some(self.sums.get(&what)?.iter().map(value).collect())
    }

    /// Whether requests come to it.
    pub(super) fn serves(&self) -> bool {
        [Says::Durations, Says::SpanDurations, Says::Rate].iter().any(|what| self.sums.contains_key(what))
    }

    /// Connections that an instance may hold to the store on a host.
    pub(super) fn pool_of(&self, host: &str) -> Option<f64> {
        let (sum, told) = self.pools.get(host)?;
        let instances = if *told > 0.0 { *told } else { self.reporting().max(1.0) };
        Some(sum / instances)
    }

    /// Instances that reported in the newest windows.
    fn reporting(&self) -> f64 {
        let new = self.instances.len().saturating_sub(OVER);
        self.instances.iter().skip(new).copied().fold(0.0, f64::max)
    }

    /// A signal by window; what is measured by the service itself comes before what its spans show.
    pub(super) fn values(&self, signal: Signal, grid: &Grid) -> Vec<f64> {
        let seconds = grid.window_us as f64 / 1e6;
        let per_second = |what: Says| -> Option<Vec<f64>> {
            let counts = self.sums.get(&what)?.iter();
            Some(counts.map(|(_, count)| if *count > 0.0 { count / seconds } else { f64::NAN }).collect())
        };
        let found = match signal {
            Signal::Rate => per_second(Says::Durations)
                .or_else(|| self.of(Says::Rate, false))
                .or_else(|| per_second(Says::SpanDurations)),
            Signal::Latency => self.of(Says::Durations, true).or_else(|| self.of(Says::SpanDurations, true)),
            Signal::Errors => self.of(Says::ErrorShare, true).or_else(|| {
                let (all, failed) = (self.sums.get(&Says::SpanDurations)?, self.sums.get(&Says::SpanErrors)?);
                let share = |(all, failed): (&(f64, f64), &(f64, f64))| failed.0 / all.1;
                Some(all.iter().zip(failed).map(share).collect())
            }),
            Signal::Cpu => self.of(Says::CpuShare, true).or_else(|| self.of(Says::PodCpuShare, true)),
            Signal::Pool => self.of(Says::PoolShare, true).or_else(|| {
                let most: f64 = self.pools.values().map(|(sum, _)| sum).sum();
                let used = self.of(Says::PoolUsed, false)?;
                (most > 0.0).then(|| used.into_iter().map(|used| used / most).collect())
            }),
        };
        found.unwrap_or_else(|| grid.empty())
    }

    /// The service that it is the course of.
    pub(super) fn service(&self, entity: &str, grid: &Grid) -> Service {
        let tail = |values: Vec<f64>| {
            let new: Vec<f64> = values.iter().rev().take(NEW).copied().filter(|v| v.is_finite()).collect();
            new.iter().sum::<f64>() / new.len() as f64
        };
        let instances =
            self.instances.iter().map(|count| if *count > 0.0 { *count } else { f64::NAN }).collect();
        Service {
            entity: entity.to_owned(),
            rate: self.values(Signal::Rate, grid),
            latency: self.values(Signal::Latency, grid),
            errors: self.values(Signal::Errors, grid),
            cpu: self.values(Signal::Cpu, grid),
            pool: self.values(Signal::Pool, grid),
            pending: self.of(Says::Pending, false).unwrap_or_else(|| grid.empty()),
            lag: self.of(Says::Lag, false).unwrap_or_else(|| grid.empty()),
            instances,
            cores: self.of(Says::Cores, false).map_or(f64::NAN, tail),
            ..Service::default()
        }
    }
}
