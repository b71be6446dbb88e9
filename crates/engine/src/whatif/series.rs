//! Metric histories of services on a grid of windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_causal::whatif::{Service, Signal};
use causeway_model::Micros;

use crate::case::MetricHistory;
use crate::history::History;
use crate::names::{Says, label, pool_host, says};

/// A series that has told nothing for so many windows is over.
const OVER: usize = 6;
/// Windows that count as now.
const NEW: usize = 9;
/// Windows of an instance in which it is new, and those after which it is not any more.
const STARTING: usize = 2;
const STARTED: std::ops::Range<usize> = 6..18;
/// Used share of the CPU limit of a new instance from which it shows only that it needs more.
const FULL: f64 = 0.92;

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
    /// Used share of the CPU limit of each instance, by window.
    pods: Vec<Vec<f64>>,
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

/// Median of the values that are there; NaN without any.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut known: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    if known.is_empty() { f64::NAN } else { (known[(known.len() - 1) / 2] + known[known.len() / 2]) / 2.0 }
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
        if what == Says::PodCpuShare {
            let mut pod = grid.empty();
            for (window, (sum, count)) in cells {
                if let Some(at) = grid.window(window * grid.window_us).filter(|_| *count > 0) {
                    pod[at] = sum / *count as f64;
                    self.instances[at] += 1.0;
                }
            }
            self.pods.push(pod);
        }
        let counted = matches!(what, Says::Durations | Says::SpanDurations | Says::SpanErrors);
        for (window, (sum, count)) in cells {
            let Some(at) = grid.window(window * grid.window_us).filter(|_| *count > 0) else { continue };
            // Requests and spans are counted; levels of several series are added up, each by its mean.
            let (sum, count) = if counted { (*sum, *count as f64) } else { (sum / *count as f64, 1.0) };
            sums[at].0 += sum * factor;
            sums[at].1 += count;
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

    /// CPU of a request at a new instance, as a multiple of what the same instance needs later: the median of all starts that
    /// were seen; NaN without any. What it uses is compared with what others use that were there before and after; where all
    /// were replaced, with what comes, of which each is taken to have the same share.
    fn cold(&self, rate: &[f64]) -> f64 {
        let Some(first) = self.instances.iter().position(|count| *count > 0.0) else { return f64::NAN };
        let used = |pod: &[f64], at: usize| pod.get(at).copied().filter(|used| *used < FULL);
        let start = |pod: &Vec<f64>| {
            let begin = pod.iter().position(|used| used.is_finite()).filter(|at| *at > first)?;
            let tells = |pod: &Vec<f64>, at: usize| pod.get(at).is_some_and(|used| used.is_finite());
            let stays = |other: &&Vec<f64>| tells(other, begin - 1) && tells(other, begin + STARTED.start);
            let others: Vec<&Vec<f64>> = self.pods.iter().filter(stays).collect();
            let share = |at: usize| {
                if others.is_empty() {
                    return Some(rate.get(at)? / self.instances.get(at)?);
                }
                let all: Option<Vec<f64>> = others.iter().map(|other| used(other, at)).collect();
                all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
            };
            let cost = |at: usize| Some(used(pod, at)? / share(at)?).filter(|cost| cost.is_finite());
            let new: Option<Vec<f64>> = (begin..begin + STARTING).map(cost).collect();
            let new = new?.iter().sum::<f64>() / STARTING as f64;
            Some(new / median(STARTED.filter_map(|after| cost(begin + after))))
        };
        median(self.pods.iter().filter_map(start))
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
        let rate = self.values(Signal::Rate, grid);
        let cores = self.of(Says::Cores, false).or_else(|| self.of(Says::PodCores, false));
        let cores = cores.map_or(f64::NAN, tail);
        Service {
            entity: entity.to_owned(),
            cold: self.cold(&rate),
            rate,
            latency: self.values(Signal::Latency, grid),
            errors: self.values(Signal::Errors, grid),
            cpu: self.values(Signal::Cpu, grid),
            pool: self.values(Signal::Pool, grid),
            pending: self.of(Says::Pending, false).unwrap_or_else(|| grid.empty()),
            lag: self.of(Says::Lag, false).unwrap_or_else(|| grid.empty()),
            instances,
            cores,
            ..Service::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows with nothing before `from` and from `until` on.
    fn pod(from: usize, until: usize, used: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..40).map(|at| if (from..until).contains(&at) { used(at) } else { f64::NAN }).collect()
    }

    fn cold(pods: Vec<Vec<f64>>, rate: f64) -> f64 {
        let running = |at: usize| pods.iter().filter(|pod| pod[at].is_finite()).count() as f64;
        let instances = (0..40).map(running).collect();
        Course { instances, pods, ..Course::default() }.cold(&[rate; 40])
    }

    #[test]
    fn what_new_instances_need_is_read_from_starts() {
        let new = |begin: usize| move |at: usize| if at < begin + STARTING { 0.45 } else { 0.3 };
        let replaced =
            vec![pod(0, 10, |_| 0.3), pod(0, 10, |_| 0.3), pod(10, 40, new(10)), pod(10, 40, new(10))];
        assert!((cold(replaced, 20.0) - 1.5).abs() < 1e-9);
        // One more, because more comes than before: the others show how much.
        let busy = |at: usize| if at < 14 { 0.2 } else { 0.6 };
        let added =
            vec![pod(0, 40, busy), pod(0, 40, busy), pod(16, 40, |at| if at < 18 { 0.84 } else { 0.6 })];
        assert!((cold(added, 20.0) - 1.4).abs() < 1e-9);
        let full = vec![pod(0, 40, |_| 0.6), pod(16, 40, |at| if at < 18 { 1.0 } else { 0.6 })];
        assert!(cold(full, 20.0).is_nan(), "more can't be seen");
        assert!(cold(vec![pod(0, 40, |_| 0.5)], 20.0).is_nan(), "it was there before");
    }
}
