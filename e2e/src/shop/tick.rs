//! One second of the shop: requests flow down from caller to callee, answers come back up, and orders are counted.

use std::collections::BTreeMap;

use super::flow::{Answer, Callee, Edge};
use super::rng::exceeds;
use super::station::Limits;
use super::world::{Instance, World};

/// Seconds that people wait for a page.
const PATIENCE: f64 = 8.0;
/// Seconds in which a new instance needs more CPU.
const COLD: i64 = 20;
/// How much more.
const COLD_WORK: f64 = 1.5;
/// Seconds after which an entry of a cache is asked for again on average.
const CACHE_ASK: f64 = 8.0;
/// Weight of the newest second in the use that autoscalers see.
const FRESH: f64 = 0.1;

impl World {
    /// One second.
    pub fn tick(&mut self) {
        let wave = self.rng.about_one(0.05);
        let journeys: Vec<f64> = self.demand().iter().map(|d| d * wave).collect();
        let total: f64 = journeys.iter().sum();
        let shares = self.node_shares();
        let held = self.held_connections();
        let mut rates = vec![0.0; self.topology.services.len()];
        let mut queries = vec![0.0; self.stores.len()];
        let entry = self.topology.services.iter().position(|s| s.name == self.topology.entry);
        if let Some(entry) = entry {
            rates[entry] = total;
        }
        let mut entry_flow = (0.0, 0.0);
        for service in self.order.clone() {
            let (served, shed) = self.serve(service, rates[service], &shares, &held);
            self.ledger.arrived += rates[service];
            self.ledger.served += served;
            self.ledger.failed += shed;
            if Some(service) == entry {
                entry_flow = (served, shed);
            }
            self.spread(service, served, &journeys, &mut rates, &mut queries);
        }
        for (at, store) in self.topology.stores.iter().enumerate() {
            let limits = Limits {
                work: store.work_ms / 1e3,
                cores: store.cores,
                speed: 1.0,
                workers: store.max_connections,
                calls: 0.0,
                connections: f64::INFINITY,
                room: store.max_connections,
            };
            self.stores[at].last = self.stores[at].station.second(queries[at], &limits);
        }
        for service in self.order.clone().into_iter().rev() {
            self.answers(service, &journeys);
        }
        self.count_orders(entry, &journeys, entry_flow);
        self.second += 1;
        for service in 0..self.usage.len() {
            let used = |of: fn(&Instance) -> f64| -> f64 {
                self.of[service].iter().map(|i| of(&self.instances[*i])).sum()
            };
            let percent = 100.0 * used(|i| i.last.cores_used) / used(|i| i.cpu).max(1e-9);
            self.usage[service] += FRESH * (percent - self.usage[service]);
        }
    }

    /// Part of what its instances want that each node can give.
    fn node_shares(&self) -> BTreeMap<String, f64> {
        let wanted = |node: &str| -> f64 {
            self.instances.iter().filter(|i| i.node == node).map(|i| i.wants).sum::<f64>()
                + self.noise.get(node).copied().unwrap_or_default()
        };
        self.topology
            .nodes
            .iter()
            .map(|n| (n.name.clone(), (n.cores / wanted(&n.name).max(1e-9)).min(1.0)))
            .collect()
    }

    /// Part of the connections that clients ask for that each store takes.
    fn held_connections(&mut self) -> Vec<f64> {
        for store in &mut self.stores {
            store.asked = 0.0;
        }
        for (service, told) in self.topology.services.iter().enumerate() {
            let pool = self.cluster.number(&told.name, "DB_POOL_SIZE") * self.of[service].len() as f64;
            for edge in &self.edges[service] {
                if let (Callee::Store(store), None) = (edge.to, edge.via) {
                    self.stores[store].asked += pool;
                }
            }
        }
        let most = self.topology.stores.iter().map(|s| s.max_connections);
        most.zip(&self.stores).map(|(most, store)| (most / store.asked.max(1e-9)).min(1.0)).collect()
    }

    /// Share of a cached call's requests that an instance answers itself.
    pub(crate) fn hit(&self, instance: &Instance, edge: &Edge) -> f64 {
        if !edge.cached {
            return 0.0;
        }
        let ttl = self.cluster.number(&self.topology.services[instance.service].name, "CACHE_TTL_SECONDS");
        let age = (self.second as i64 - instance.born) as f64;
        ttl / (ttl + CACHE_ASK) * (age / ttl.max(1.0)).clamp(0.0, 1.0)
    }

    /// Share of a service's requests that its rule refuses, and the values that do it.
    #[must_use]
    pub fn refused(&self, service: usize) -> Vec<(String, String, f64)> {
        let Some(rule) = &self.topology.services[service].rule else { return Vec::new() };
        let values = self.cluster.configs.get(&rule.config_map);
        let value = |key: &str| values.and_then(|v| v.get(key)).cloned().unwrap_or_default();
        rule.keys
            .iter()
            .map(|(key, k)| (key.clone(), value(key), k.share))
            .filter(|(_, value, _)| !value.parse::<f64>().is_ok_and(|value| value < rule.below))
            .collect()
    }

    /// Lets the instances of a service serve; gives what was served and what was turned away.
    fn serve(
        &mut self,
        service: usize,
        rate: f64,
        shares: &BTreeMap<String, f64>,
        held: &[f64],
    ) -> (f64, f64) {
        let own = self.of[service].clone();
        if own.is_empty() {
            return (0.0, rate);
        }
        let name = self.topology.services[service].name.clone();
        let (workers, pool) =
            (self.cluster.number(&name, "WORKERS"), self.cluster.number(&name, "DB_POOL_SIZE"));
        let refused: f64 = self.refused(service).iter().map(|(_, _, share)| share).sum();
        let waits_for_nobody = self.consumes(service);
        let times: Vec<f64> = self.edges[service].iter().map(|edge| self.call(service, edge).time).collect();
        let (mut served, mut shed) = (0.0, 0.0);
        for at in own.clone() {
            let instance = &self.instances[at];
            let (mut connections, mut pool_use) = (f64::INFINITY, 0.0_f64);
            let mut calls = instance.release.wait + instance.fault.wait;
            for (edge, time) in self.edges[service].iter().zip(&times) {
                let asked = edge.per * edge.share * (1.0 - self.hit(instance, edge));
                calls += asked * time;
                if let (Callee::Store(store), None) = (edge.to, edge.via) {
                    let time = self.query_time(store);
                    let usable = pool * held[store] * instance.connections;
                    connections = connections.min(usable / (asked * time).max(1e-9));
                    pool_use = pool_use.max(instance.last.arrived * asked * time / usable.max(1e-9));
                }
            }
            let cold = if self.second as i64 - instance.born < COLD { COLD_WORK } else { 1.0 };
            let work = self.topology.services[service].work_ms / 1e3
                * instance.release.work
                * instance.fault.work
                * cold;
            let speed = shares.get(&instance.node).copied().unwrap_or(1.0);
            let cores = instance.cpu * speed;
            let room = if waits_for_nobody { f64::INFINITY } else { Limits::usual_room(workers) };
            let limits = Limits { work, cores, speed, workers, calls, connections, room };
            let arrived = rate / own.len() as f64;
            let instance = &mut self.instances[at];
            instance.wants = ((instance.station.queued + arrived) * work).min(instance.cpu);
            instance.last = instance.station.second(arrived, &limits);
            let good = (1.0 - instance.release.errors) * (1.0 - instance.fault.errors) * (1.0 - refused);
            instance.errors = 1.0 - good.max(0.0);
            instance.pool_use = pool_use.min(1.0);
            let by_pool = connections <= limits.capacity();
            instance.pending = if by_pool { instance.station.queued } else { 0.0 };
            served += instance.last.served;
            shed += instance.last.shed;
        }
        (served, shed)
    }

    /// Seconds that a query holds its connection now.
    #[must_use]
    pub fn query_time(&self, store: usize) -> f64 {
        let told = &self.topology.stores[store];
        self.stores[store].last.own_time.max(told.work_ms / 1e3) + told.hold_ms / 1e3
    }

    /// Whether a service takes its requests from a broker.
    #[must_use]
    pub fn consumes(&self, service: usize) -> bool {
        let to = |e: &&Edge| e.to == Callee::Service(service);
        let mut calls = self.edges.iter().flatten().filter(to).peekable();
        calls.peek().is_some() && calls.all(|e| e.via.is_some())
    }

    /// Sends what `served` requests of a service ask of others.
    fn spread(&self, service: usize, served: f64, journeys: &[f64], rates: &mut [f64], queries: &mut [f64]) {
        let all: f64 = journeys.iter().sum::<f64>().max(1e-9);
        let instances = &self.of[service];
        for edge in &self.edges[service] {
            let share = edge.journey.map_or(1.0, |j| journeys[j] / all);
            let hits = instances.iter().map(|i| self.hit(&self.instances[*i], edge)).sum::<f64>();
            let asked = served * edge.per * share * (1.0 - hits / instances.len().max(1) as f64);
            if let Some(broker) = edge.via {
                queries[broker] += asked;
            }
            match edge.to {
                Callee::Service(to) => rates[to] += asked * self.call(service, edge).attempts,
                Callee::Store(to) => queries[to] += asked,
            }
        }
    }

    /// Works out how the instances of a service answer.
    fn answers(&mut self, service: usize, journeys: &[f64]) {
        let all: f64 = journeys.iter().sum::<f64>().max(1e-9);
        for edge in &mut self.edges[service] {
            edge.share = edge.journey.map_or(1.0, |j| journeys[j] / all);
        }
        let calls: Vec<_> = self.edges[service].iter().map(|edge| self.call(service, edge)).collect();
        for at in self.of[service].clone() {
            let instance = &self.instances[at];
            let mut time = instance.last.own_time + instance.release.wait + instance.fault.wait;
            let mut good = 1.0;
            for (edge, call) in self.edges[service].iter().zip(&calls) {
                let asked = edge.per * (1.0 - self.hit(instance, edge));
                time += asked * edge.share * call.time;
                if !edge.soft && edge.via.is_none() {
                    good *= 1.0 - edge.share * (1.0 - call.good.powf(asked));
                }
            }
            let taken = 1.0 - instance.last.shed / (instance.last.arrived + 1e-9);
            let good = (good * (1.0 - instance.errors) * taken).clamp(0.0, 1.0);
            self.instances[at].answer = Answer { time, good };
        }
    }

    fn count_orders(&mut self, entry: Option<usize>, journeys: &[f64], (served, shed): (f64, f64)) {
        let Some(entry) = entry else { return };
        let all: f64 = journeys.iter().sum::<f64>().max(1e-9);
        let (mut orders, mut lost) = (0.0, 0.0);
        for (at, journey) in self.topology.journeys.iter().enumerate() {
            let share = journeys[at] / all;
            let good = self.journey_success(entry, at);
            let bad = served * share * (1.0 - good) + shed * share;
            self.ledger.visits_lost += bad;
            if journey.is_order {
                orders += served * share * good;
                lost += bad;
            }
        }
        self.ledger.orders += orders;
        self.ledger.lost += lost;
        self.order_success = if orders + lost > 0.0 { orders / (orders + lost) } else { 1.0 };
    }

    /// Share of the served requests of a journey that succeed in time.
    #[must_use]
    pub fn journey_success(&self, entry: usize, journey: usize) -> f64 {
        let own = &self.of[entry];
        let part = self.edges[entry].iter().filter(|e| e.journey == Some(journey));
        let calls: Vec<_> = part.map(|edge| (edge, self.call(entry, edge))).collect();
        let of = |at: &usize| {
            let instance = &self.instances[*at];
            let (mut time, mut good) = (instance.last.own_time, 1.0 - instance.errors);
            for (edge, call) in &calls {
                let asked = edge.per * (1.0 - self.hit(instance, edge));
                time += asked * call.time;
                if !edge.soft && edge.via.is_none() {
                    good *= call.good.powf(asked);
                }
            }
            good * (1.0 - exceeds(time, PATIENCE))
        };
        if own.is_empty() { 0.0 } else { own.iter().map(of).sum::<f64>() / own.len() as f64 }
    }
}
