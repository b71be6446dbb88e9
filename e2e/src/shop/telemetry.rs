//! Metrics of the shop, as its services and their containers would report them every few seconds.

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, metric::Data,
};

use super::flow::Edge;
use super::world::{Instance, World};
use crate::otlp::{Payload, attributes, gauge, nanos};

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
            let mut gauges = Gauges::of(&service.name, at_us, out);
            gauges.out.push(duration(from_us, at_us, sums));
            gauges.put("requests.rate", "{request}/s", sums.arrived / seconds, &[]);
            if sums.arrived > 0.0 {
                gauges.put("requests.errors", "1", 1.0 - sums.good / sums.arrived, &[]);
            }
            instances(world, at, gauges);
        }
        *self = Self::default();
    }
}

/// Gauges of a service at a time.
struct Gauges<'a> {
    at_us: i64,
    out: &'a mut Vec<Metric>,
}

impl<'a> Gauges<'a> {
    fn of(service: &str, at_us: i64, out: &'a mut Payload) -> Self {
        Self { at_us, out: out.metrics.entry(service.to_owned()).or_default() }
    }

    fn put(&mut self, name: &str, unit: &str, value: f64, named: &[(&str, &str)]) {
        self.out.push(gauge(name, unit, self.at_us, value, attributes(named)));
    }
}

/// What collectors report of limits: the connections of each instance's pools, those that stores take, and the nodes' cores.
pub fn capacities(world: &World, at_us: i64, out: &mut Payload) {
    let topology = &world.topology;
    for instance in &world.instances {
        let most = world.number(instance.service, "DB_POOL_SIZE");
        for store in world.edges[instance.service].iter().filter_map(Edge::pooled) {
            let pool = format!("{}/shop", topology.stores[store].name);
            let named = [("db.client.connection.pool.name", pool.as_str()), ("k8s.pod.name", &instance.pod)];
            let service = &topology.services[instance.service].name;
            let mut gauges = Gauges::of(service, at_us, out);
            gauges.put("db.client.connection.max", "{connection}", most, &named);
        }
    }
    for store in topology.stores.iter().filter(|store| store.system == "postgresql") {
        let mut gauges = Gauges::of(&store.name, at_us, out);
        gauges.put("postgresql.connection.max", "{connections}", store.max_connections, &[]);
    }
    for node in &topology.nodes {
        let used = world.on_node(&node.name, |i| i.last.cores_used).min(node.cores);
        let named = [("k8s.node.name", node.name.as_str())];
        let mut kubelet = Gauges::of("kubelet", at_us, out);
        kubelet.put("k8s.node.cpu.usage", "{cpu}", used, &named);
        kubelet.put("k8s.node.allocatable_cpu", "{cpu}", node.cores, &named);
    }
}

fn instances(world: &World, service: usize, mut gauges: Gauges<'_>) {
    let own = world.instances_of(service);
    let sum = |of: fn(&Instance) -> f64| own.iter().map(of).sum::<f64>();
    let cores = sum(|i| i.last.cores_used);
    gauges.put("container.cpu.usage", "{cpu}", cores, &[]);
    gauges.put("k8s.container.cpu_limit_utilization", "1", cores / sum(|i| i.cpu).max(1e-9), &[]);
    for instance in own {
        let used = instance.last.cores_used / instance.cpu.max(1e-9);
        gauges.put("k8s.pod.cpu_limit_utilization", "1", used, &[("k8s.pod.name", &instance.pod)]);
    }
    if let Some(used) = world.volumes.get(&world.topology.services[service].name) {
        let volume = [("k8s.volume.name", "data")];
        gauges.put("k8s.volume.capacity", "By", VOLUME, &volume);
        gauges.put("k8s.volume.available", "By", VOLUME * (1.0 - used), &volume);
    }
    if world.consumes(service) {
        gauges.put("messaging.consumer.lag", "{message}", sum(|i| i.station.queued), &[]);
    } else {
        let active = sum(|i| i.station.queued + i.last.served * (i.answer.time - i.last.own_time).max(0.0));
        gauges.put("http.server.active_requests", "{request}", active, &[]);
    }
    if world.edges[service].iter().any(|edge| edge.pooled().is_some()) {
        let used = sum(|i| i.pool_use) / own.len().max(1) as f64;
        gauges.put("db.client.connection.pending_requests", "{request}", sum(|i| i.pending), &[]);
        gauges.put("db.client.connection.utilization", "1", used, &[]);
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
