//! How much of their CPU services use, as metrics of OpenTelemetry say.

use std::collections::BTreeMap;

use causeway_model::SeriesKind;

use crate::engine::Engine;
use crate::measured::MINUTE_US;
use crate::names::{Says, says};

/// CPU that the workload of a service used in its busiest minute of the last hour. What is not measured is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuUse {
    /// Share of the limit: 0 to 1, the mean of its pods.
    pub of_limit: Option<f64>,
    /// Cores, the sum of its pods.
    pub cores: Option<f64>,
}

/// Sum and number of values by minute.
type ByMinute = BTreeMap<i64, (f64, u32)>;

fn is_of_cpu(told: &Says) -> bool {
    matches!(told, Says::CpuShare | Says::PodCpuShare | Says::Cores | Says::PodCores)
}

impl Engine {
    /// How much CPU a service uses, known by any of these names; `None` where nothing measures it. Cost: linear in the series
    /// of metrics.
    #[must_use]
    pub fn cpu_use(&self, entities: &[String]) -> Option<CpuUse> {
        // By name, so that one that counts containers and one that counts pods are not added up.
        let mut by_name: BTreeMap<&str, (Says, ByMinute)> = BTreeMap::new();
        for (id, history) in &self.metrics {
            let told = says(&id.signal, &id.group).map(|(told, _)| told).filter(is_of_cpu);
            let told = told.filter(|_| history.kind == SeriesKind::Gauge);
            let Some(told) = told.filter(|_| entities.iter().any(|entity| *entity == *id.entity)) else {
                continue;
            };
            let minutes = &mut by_name.entry(&id.signal).or_insert((told, ByMinute::new())).1;
            for (minute, value) in history.by_minute(MINUTE_US) {
                let cell = minutes.entry(minute).or_default();
                cell.0 += value;
                cell.1 += 1;
            }
        }
        let mut found = CpuUse::default();
        for (told, minutes) in by_name.values() {
            let value = |&(sum, count): &(f64, u32)| match told {
                Says::Cores | Says::PodCores => sum,
                _ => sum / f64::from(count),
            };
            let busiest = minutes.values().map(value).filter(|value| value.is_finite()).reduce(f64::max);
            let known = match told {
                Says::Cores | Says::PodCores => &mut found.cores,
                _ => &mut found.of_limit,
            };
            *known = known.iter().copied().chain(busiest).reduce(f64::max);
        }
        (found != CpuUse::default()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use causeway_model::{SeriesId, SeriesPartial, Window};

    use super::*;
    use crate::config::EngineConfig;
    use crate::history::History;

    fn engine(series: &[(&str, &str, &str, &[f64])]) -> Engine {
        let mut engine = Engine::new(EngineConfig::default());
        for (entity, signal, group, values) in series {
            let mut history = History::new(SeriesKind::Gauge);
            for (minute, value) in (0..).zip(*values) {
                let start_us = minute * MINUTE_US;
                let mut partial = SeriesPartial::default();
                partial.add(start_us, *value);
                history.push(Window { start_us, end_us: start_us + MINUTE_US }, &partial, 60 * MINUTE_US);
            }
            let id = SeriesId { entity: (*entity).into(), signal: (*signal).into(), group: (*group).into() };
            engine.metrics.insert(id, history);
        }
        engine
    }

    #[test]
    fn the_busiest_minute_of_all_pods_counts() {
        let engine = engine(&[
            ("shop/web", "k8s.pod.cpu_limit_utilization", "pod=a", &[0.2, 0.4, 0.3]),
            ("shop/web", "k8s.pod.cpu_limit_utilization", "pod=b", &[0.2, 0.6, 0.1]),
            ("shop/web", "k8s.container.cpu_limit_utilization", "", &[0.2, 0.45]),
            ("shop/web", "k8s.pod.cpu.usage", "pod=a", &[1.0, 2.0]),
            ("shop/web", "k8s.pod.cpu.usage", "pod=b", &[1.0, 0.5]),
            ("shop/db", "k8s.pod.cpu_limit_utilization", "", &[0.9]),
        ]);
        let known = |name: &str| engine.cpu_use(&[name.to_owned(), "other".to_owned()]);
        assert_eq!(known("shop/web"), Some(CpuUse { of_limit: Some(0.5), cores: Some(2.5) }));
        assert_eq!(known("shop/db"), Some(CpuUse { of_limit: Some(0.9), cores: None }));
        assert_eq!(known("shop/cart"), None);
    }
}
