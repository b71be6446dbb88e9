//! Metrics of the shop, as its services and their containers would report them every few seconds.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, metric::Data,
};

use super::flow::Callee;
use super::world::World;
use crate::otlp::{Payload, attribute, gauge, nanos};

/// Size of a volume, in bytes.
const VOLUME: f64 = 1e10;

/// Sums of the seconds since the last report.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    seconds: f64,
    services: Vec<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    arrived: f64,
    good: f64,
    time: f64,
}

impl Meter {
    /// Takes the last second of the shop.
    pub fn second(&mut self, world: &World) {
        self.seconds += 1.0;
        self.services.resize(world.topology.services.len(), Sums::default());
        for instance in &world.instances {
            let Some(sums) = self.services.get_mut(instance.service) else { continue };
            sums.arrived += instance.last.arrived;
            sums.good += instance.last.arrived * instance.answer.good;
            sums.time += instance.last.arrived * instance.answer.time;
        }
    }

    /// Writes the report of the time since `from_us`, stamped with its end, and begins anew.
    pub fn report(&mut self, world: &World, from_us: i64, at_us: i64, out: &mut Payload) {
        let seconds = self.seconds.max(1.0);
        for (at, service) in world.topology.services.iter().enumerate() {
            let sums = self.services.get(at).copied().unwrap_or_default();
            let mut metrics = vec![
                duration(from_us, at_us, sums),
                gauge("requests.rate", "{request}/s", at_us, sums.arrived / seconds, Vec::new()),
            ];
            if sums.arrived > 0.0 {
                let errors = 1.0 - sums.good / sums.arrived;
                metrics.push(gauge("requests.errors", "1", at_us, errors, Vec::new()));
            }
            instances(world, at, at_us, &mut metrics);
            out.metrics.entry(service.name.clone()).or_default().extend(metrics);
        }
        *self = Self::default();
    }
}

/// What collectors report of limits: the connections of each instance's pools, those that stores take, and the nodes' cores.
pub fn capacities(world: &World, at_us: i64, out: &mut Payload) {
    let topology = &world.topology;
    for instance in &world.instances {
        let service = &topology.services[instance.service].name;
        let pool = world.cluster.number(service, "DB_POOL_SIZE");
        for edge in &world.edges[instance.service] {
            let (Callee::Store(store), None) = (edge.to, edge.via) else { continue };
            let attributes = vec![
                attribute("db.client.connection.pool.name", &format!("{}/shop", topology.stores[store].name)),
                attribute("k8s.pod.name", &instance.pod),
            ];
            let most = gauge("db.client.connection.max", "{connection}", at_us, pool, attributes);
            out.metrics.entry(service.clone()).or_default().push(most);
        }
    }
    for store in topology.stores.iter().filter(|store| store.system == "postgresql") {
        let most =
            gauge("postgresql.connection.max", "{connections}", at_us, store.max_connections, Vec::new());
        out.metrics.entry(store.name.clone()).or_default().push(most);
    }
    for node in &topology.nodes {
        let pods: f64 =
            world.instances.iter().filter(|i| i.node == node.name).map(|i| i.last.cores_used).sum();
        let used = (pods + world.noise.get(&node.name).copied().unwrap_or_default()).min(node.cores);
        let named = || vec![attribute("k8s.node.name", &node.name)];
        let metrics = out.metrics.entry("kubelet".to_owned()).or_default();
        metrics.push(gauge("k8s.node.cpu.usage", "{cpu}", at_us, used, named()));
        metrics.push(gauge("k8s.node.allocatable_cpu", "{cpu}", at_us, node.cores, named()));
    }
}

fn instances(world: &World, service: usize, at_us: i64, out: &mut Vec<Metric>) {
    let own: Vec<_> = world.of[service].iter().map(|i| &world.instances[*i]).collect();
    let sum = |of: &dyn Fn(&super::world::Instance) -> f64| own.iter().map(|i| of(i)).sum::<f64>();
    let mut put = |name: &str, unit: &str, value: f64, attributes: Vec<KeyValue>| {
        out.push(gauge(name, unit, at_us, value, attributes));
    };
    let cores = sum(&|i| i.last.cores_used);
    put("container.cpu.usage", "{cpu}", cores, Vec::new());
    put("k8s.container.cpu_limit_utilization", "1", cores / sum(&|i| i.cpu).max(1e-9), Vec::new());
    for instance in &own {
        let pod = || vec![attribute("k8s.pod.name", &instance.pod)];
        put("k8s.pod.cpu_limit_utilization", "1", instance.last.cores_used / instance.cpu.max(1e-9), pod());
    }
    if let Some(used) = world.volumes.get(&world.topology.services[service].name) {
        let volume = || vec![attribute("k8s.volume.name", "data")];
        put("k8s.volume.capacity", "By", VOLUME, volume());
        put("k8s.volume.available", "By", VOLUME * (1.0 - used), volume());
    }
    if world.consumes(service) {
        put("messaging.consumer.lag", "{message}", sum(&|i| i.station.queued), Vec::new());
    } else {
        let active = sum(&|i| i.station.queued + i.last.served * (i.answer.time - i.last.own_time).max(0.0));
        put("http.server.active_requests", "{request}", active, Vec::new());
    }
    let store = |e: &super::flow::Edge| matches!((e.to, e.via), (Callee::Store(_), None));
    if world.edges[service].iter().any(store) {
        put("db.client.connection.pending_requests", "{request}", sum(&|i| i.pending), Vec::new());
        put(
            "db.client.connection.utilization",
            "1",
            sum(&|i| i.pool_use) / own.len().max(1) as f64,
            Vec::new(),
        );
    }
}

fn duration(from_us: i64, at_us: i64, sums: Sums) -> Metric {
    Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                start_time_unix_nano: nanos(from_us),
                time_unix_nano: nanos(at_us),
                count: sums.arrived.round() as u64,
                sum: Some(sums.time),
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: AggregationTemporality::Delta.into(),
        })),
        ..Metric::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::topology::tests::small;

    #[test]
    fn every_service_reports_and_begins_anew() {
        let mut world = World::new(small(), 1).unwrap();
        let mut meter = Meter::default();
        for _ in 0..10 {
            world.run(1);
            meter.second(&world);
        }
        let mut out = Payload::default();
        meter.report(&world, 0, 10_000_000, &mut out);
        assert_eq!(out.metrics.len(), 4);
        let named =
            |service: &str, name: &str| out.metrics[service].iter().filter(|m| m.name == name).count();
        assert_eq!(named("price", "db.client.connection.pending_requests"), 1);
        assert_eq!(named("mail", "messaging.consumer.lag"), 1);
        assert_eq!(named("web", "k8s.pod.cpu_limit_utilization"), 2);
        assert!(meter.services.is_empty());
    }
}
