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
        let parts: Vec<f64> = journeys.iter().map(|j| j / total.max(1e-9)).collect();
        let shares = self.node_shares();
        let held = self.held_connections();
        let mut rates = vec![0.0; self.topology.services.len()];
        let mut queries = vec![0.0; self.stores.len()];
        rates[self.entry] = total;
        let mut visits = (0.0, 0.0);
        for service in self.order.clone() {
            let (served, shed) = self.serve(service, rates[service], &shares, &held);
            self.ledger.arrived += rates[service];
            self.ledger.served += served;
            self.ledger.failed += shed;
            if service == self.entry {
                visits = (served, shed);
            }
            self.spread(service, served, &parts, &mut rates, &mut queries);
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
            self.answers(service);
        }
        self.count_orders(&parts, visits);
        self.second += 1;
        for service in 0..self.usage.len() {
            let own = self.instances_of(service);
            let used: f64 = own.iter().map(|i| i.last.cores_used).sum();
            let percent = 100.0 * used / own.iter().map(|i| i.cpu).sum::<f64>().max(1e-9);
            self.usage[service] += FRESH * (percent - self.usage[service]);
        }
    }

    /// Part of what its instances want that each node can give.
    fn node_shares(&self) -> BTreeMap<String, f64> {
        let wanted = |node: &str| self.on_node(node, |i| i.wants).max(1e-9);
        let nodes = self.topology.nodes.iter();
        nodes.map(|n| (n.name.clone(), (n.cores / wanted(&n.name)).min(1.0))).collect()
    }

    /// Part of the connections that clients ask for that each store takes.
    fn held_connections(&self) -> Vec<f64> {
        let mut asked = vec![0.0_f64; self.stores.len()];
        for (service, edges) in self.edges.iter().enumerate() {
            let pool = self.number(service, "DB_POOL_SIZE") * self.of[service].len() as f64;
            for store in edges.iter().filter_map(Edge::pooled) {
                asked[store] += pool;
            }
        }
        let stores = self.topology.stores.iter().zip(asked);
        stores.map(|(store, asked)| (store.max_connections / asked.max(1e-9)).min(1.0)).collect()
    }

    /// Share of a cached call's requests that an instance answers itself.
    pub(super) fn hit(&self, instance: &Instance, edge: &Edge) -> f64 {
        if !edge.cached {
            return 0.0;
        }
        let ttl = self.number(instance.service, "CACHE_TTL_SECONDS");
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

    /// CPU seconds of a request at an instance that is warm.
    pub(super) fn work(&self, instance: &Instance) -> f64 {
        let usual = self.topology.services[instance.service].work_ms / 1e3;
        usual * instance.release.work * instance.fault.work
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
        let arrived = rate / own.len() as f64;
        let (workers, pool) = (self.number(service, "WORKERS"), self.number(service, "DB_POOL_SIZE"));
        let room = if self.consumes(service) { f64::INFINITY } else { Limits::usual_room(workers) };
        let refused: f64 = self.refused(service).iter().map(|(_, _, share)| share).sum();
        let times: Vec<f64> = self.edges[service].iter().map(|edge| self.call(service, edge).time).collect();
        let (mut served, mut shed) = (0.0, 0.0);
        for at in own {
            let instance = &self.instances[at];
            let (mut connections, mut pool_use) = (f64::INFINITY, 0.0_f64);
            let mut calls = instance.wait();
            for (edge, time) in self.edges[service].iter().zip(&times) {
                let asked = edge.per * edge.share * (1.0 - self.hit(instance, edge));
                calls += asked * time;
                if let Some(store) = edge.pooled() {
                    let usable = pool * held[store] * instance.connections;
                    connections = connections.min(usable / (asked * time).max(1e-9));
                    pool_use = pool_use.max(instance.last.arrived * asked * time / usable.max(1e-9));
                }
            }
            let cold = if self.second as i64 - instance.born < COLD { COLD_WORK } else { 1.0 };
            let work = self.work(instance) * cold;
            let speed = shares.get(&instance.node).copied().unwrap_or(1.0);
            let cores = instance.cpu * speed;
            let limits = Limits { work, cores, speed, workers, calls, connections, room };
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
    pub(super) fn query_time(&self, store: usize) -> f64 {
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
    fn spread(&mut self, service: usize, served: f64, parts: &[f64], rates: &mut [f64], queries: &mut [f64]) {
        for edge in &mut self.edges[service] {
            edge.share = edge.journey.map_or(1.0, |journey| parts[journey]);
        }
        let own = self.instances_of(service);
        for edge in &self.edges[service] {
            let hits = own.iter().map(|i| self.hit(i, edge)).sum::<f64>();
            let asked = served * edge.per * edge.share * (1.0 - hits / own.len().max(1) as f64);
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
    fn answers(&mut self, service: usize) {
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
            let taken = 1.0 - instance.last.turned_away();
            let good = (good * (1.0 - instance.errors) * taken).clamp(0.0, 1.0);
            self.instances[at].answer = Answer { time, good };
        }
    }

    fn count_orders(&mut self, parts: &[f64], (served, shed): (f64, f64)) {
        let (mut orders, mut lost) = (0.0, 0.0);
        for (at, (journey, share)) in self.topology.journeys.iter().zip(parts).enumerate() {
            let good = self.journey_success(at);
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
    fn journey_success(&self, journey: usize) -> f64 {
        let own = self.instances_of(self.entry);
        let part = self.edges[self.entry].iter().filter(|e| e.journey == Some(journey));
        let calls: Vec<_> = part.map(|edge| (edge, self.call(self.entry, edge))).collect();
        let of = |instance: &Instance| {
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
