//! The shop as it runs: one-second fluid ticks over services, stores and nodes. A clone is a snapshot; clones run on alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::autoscaler::Autoscaler;
use super::cause::{Behaviour, Cause, Change, Kind, Scenario};
use super::cluster::{Cluster, Workload, tag};
use super::flow::{Answer, Edge, edges};
use super::rng::Rng;
use super::station::{Second, Station};
use super::topology::{Topology, TopologyError};

/// Seconds between two looks of the autoscalers, as in Kubernetes.
const AUTOSCALE: u64 = 15;

/// An instance of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// Service, position in the topology.
    pub service: usize,
    /// Pod.
    pub pod: String,
    /// Node.
    pub node: String,
    /// CPU limit, in cores.
    pub cpu: f64,
    /// How its image differs.
    pub release: Behaviour,
    /// How it differs by itself.
    pub fault: Behaviour,
    /// Share of its connections that work.
    pub connections: f64,
    /// Second in which it began to take requests.
    pub born: i64,
    /// Cores that it would use.
    pub wants: f64,
    /// Requests at it.
    pub station: Station,
    /// What the last second brought.
    pub last: Second,
    /// Time from request to answer, and share of the arrivals that succeed.
    pub answer: Answer,
    /// Share of its requests that fail by itself.
    pub errors: f64,
    /// Use of its connections to stores, 0 to 1.
    pub pool_use: f64,
    /// Requests that wait for a connection.
    pub pending: f64,
}

impl Instance {
    /// Seconds that each request waits for nothing.
    pub(super) fn wait(&self) -> f64 {
        self.release.wait + self.fault.wait
    }
}

/// A store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreState {
    /// Queries at it.
    pub station: Station,
    /// What the last second brought.
    pub last: Second,
}

/// Sums since the beginning, in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Requests that came to any service.
    pub arrived: f64,
    /// Served.
    pub served: f64,
    /// Turned away, or lost with an instance.
    pub failed: f64,
    /// Orders that succeeded.
    pub orders: f64,
    /// Orders that were lost.
    pub lost: f64,
    /// Visits of any kind, orders too, that failed or took too long.
    pub visits_lost: f64,
}

#[derive(Clone, Debug, PartialEq)]
struct Crowd {
    journey: Option<String>,
    factor: f64,
    since: u64,
    ramp: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is made of.
    pub topology: Topology,
    /// What Kubernetes says.
    pub cluster: Cluster,
    /// Seconds since the beginning.
    pub second: u64,
    /// Instances, in the order of services and pods.
    pub instances: Vec<Instance>,
    /// Stores, as in the topology.
    pub stores: Vec<StoreState>,
    /// Sums.
    pub ledger: Ledger,
    /// Share of orders that succeed now.
    pub order_success: f64,
    /// Cores that something else takes, by node.
    pub noise: BTreeMap<String, f64>,
    /// Nodes that take no new pods.
    pub cordoned: BTreeSet<String>,
    /// Used share of the volumes, by service, where it is told.
    pub volumes: BTreeMap<String, f64>,
    /// Use of the CPU limit of a service's instances, in percent, as an autoscaler sees it.
    pub usage: Vec<f64>,
    /// Calls by service.
    pub(super) edges: Vec<Vec<Edge>>,
    /// Positions in `instances` by service.
    pub(super) of: Vec<Range<usize>>,
    pub(super) order: Vec<usize>,
    /// Position of the service that people reach.
    pub(super) entry: usize,
    seed: u64,
    pub(super) rng: Rng,
    releases: BTreeMap<(String, String), Behaviour>,
    crowds: Vec<Crowd>,
    autoscalers: Vec<Autoscaler>,
}

impl World {
    /// A shop that has been running for a while.
    ///
    /// # Errors
    /// When the topology can't be used.
    pub fn new(topology: Topology, seed: u64) -> Result<Self, TopologyError> {
        let order = topology.order()?;
        let entry = topology.service(&topology.entry).unwrap_or_default();
        let (services, stores) = (topology.services.len(), topology.stores.len());
        let mut world = Self {
            cluster: Cluster::of(&topology, seed),
            second: 0,
            instances: Vec::new(),
            stores: vec![StoreState::default(); stores],
            ledger: Ledger::default(),
            order_success: 1.0,
            noise: BTreeMap::new(),
            cordoned: BTreeSet::new(),
            volumes: BTreeMap::new(),
            usage: vec![0.0; services],
            edges: edges(&topology),
            of: vec![0..0; services],
            order,
            entry,
            seed,
            rng: Rng::new(seed, "demand"),
            releases: BTreeMap::new(),
            crowds: Vec::new(),
            autoscalers: vec![Autoscaler::default(); services],
            topology,
        };
        world.play();
        world.open();
        Ok(world)
    }

    /// Takes the instances that are there to have been running for a while.
    pub fn open(&mut self) {
        for instance in &mut self.instances {
            instance.born = -1_000;
        }
    }

    /// Brings pods to where Deployments want them, without an API.
    fn play(&mut self) {
        if self.cluster.is_settled() && self.cluster.pods.len() == self.instances.len() {
            return;
        }
        let mut cluster = std::mem::take(&mut self.cluster);
        cluster.play(&|service| self.free_nodes(service));
        self.cluster = cluster;
        self.follow();
    }

    /// Nodes that a service may run on, with their cores less what is used there by others: what a scheduler sees.
    fn free_nodes(&self, service: &str) -> Vec<(String, f64)> {
        let pool = self.topology.service(service).and_then(|at| self.topology.services[at].pool.as_deref());
        let takes = |name: &str| !self.cordoned.contains(name);
        let nodes = self.topology.nodes.iter().filter(|n| n.pool.as_deref() == pool && takes(&n.name));
        nodes.map(|n| (n.name.clone(), n.cores - self.noise_on(&n.name))).collect()
    }

    /// Cores of a node that something else takes.
    fn noise_on(&self, node: &str) -> f64 {
        self.noise.get(node).copied().unwrap_or_default()
    }

    /// A sum over the instances on a node, and what something else takes there.
    pub(super) fn on_node(&self, node: &str, of: fn(&Instance) -> f64) -> f64 {
        self.instances.iter().filter(|i| i.node == node).map(of).sum::<f64>() + self.noise_on(node)
    }

    /// Starts a pod, of the shop or not, for the next to count with; gives its node.
    pub(super) fn start(&mut self, service: &str) -> String {
        let nodes = self.free_nodes(service);
        let stranger = || Workload { replicas: 1, tag: String::new(), cpu: 0.1 };
        let workload = self.cluster.workloads.get(service).cloned().unwrap_or_else(stranger);
        self.cluster.start(service, &workload, &nodes)
    }

    /// A number of a service's configuration.
    pub(super) fn number(&self, service: usize, key: &str) -> f64 {
        self.cluster.number(&self.topology.services[service].name, key)
    }

    /// The instances of a service.
    pub(super) fn instances_of(&self, service: usize) -> &[Instance] {
        &self.instances[self.of[service].clone()]
    }

    /// Takes over the pods of the cluster: new ones start cold, the requests at gone ones are lost.
    pub(super) fn follow(&mut self) {
        let mut old: BTreeMap<String, Instance> =
            self.instances.drain(..).map(|i| (i.pod.clone(), i)).collect();
        for (at, service) in self.topology.services.iter().enumerate() {
            let first = self.instances.len();
            for pod in self.cluster.pods_of(&service.name) {
                let release = self.releases.get(&(service.name.clone(), pod.tag.clone()));
                let instance = old.remove(&pod.name).unwrap_or_else(|| Instance {
                    service: at,
                    pod: pod.name.clone(),
                    node: pod.node.clone(),
                    cpu: pod.cpu,
                    release: release.cloned().unwrap_or_default(),
                    connections: 1.0,
                    born: self.second as i64,
                    ..Instance::default()
                });
                self.instances.push(instance);
            }
            self.of[at] = first..self.instances.len();
        }
        self.ledger.failed += old.values().map(|i| i.station.queued).sum::<f64>();
    }

    /// Sets a cause. Returns what has to be changed in Kubernetes for it; [`World::cluster`] has it already.
    pub fn begin(&mut self, scenario: &Scenario) -> Change {
        let Some(service) = scenario.service(&self.topology, self.seed) else { return Change::None };
        let own = self.topology.service(&service).map(|at| self.of[at].clone()).unwrap_or_default();
        match &scenario.cause {
            Cause::Release { behaviour } => {
                let tag = self.release(&service, behaviour.clone());
                return Change::Image { service, tag };
            }
            Cause::Status { of, status, release } => {
                let tag = release.then(|| self.release(&service, Behaviour::default()));
                let first = self.instances[own].first();
                let name = match of {
                    Kind::Deployment => Some(&service),
                    Kind::Pod => first.map(|i| &i.pod),
                    Kind::Node => first.map(|i| &i.node),
                };
                let name = name.cloned().unwrap_or_default();
                let status = status.to_string().replace("{service}", &service).parse().unwrap_or_default();
                return Change::Status { of: *of, name, status, image: tag.map(|tag| (service, tag)) };
            }
            Cause::Volume { used } => {
                self.volumes.insert(service, *used);
            }
            Cause::Config { config_map, key, value } => {
                let config_map = config_map.replace("{service}", &service);
                let values = self.cluster.configs.entry(config_map.clone()).or_default();
                values.insert(key.clone(), value.clone());
                return Change::Config { config_map, key: key.clone(), value: value.clone() };
            }
            Cause::Demand { journey, factor, ramp } => {
                let (journey, since) = (journey.clone(), self.second);
                self.crowds.push(Crowd { journey, factor: *factor, since, ramp: *ramp });
            }
            Cause::StuckConnections { left } => {
                for instance in &mut self.instances[own] {
                    instance.connections = *left;
                }
            }
            Cause::Instance { behaviour } => {
                let pick = Rng::new(self.seed, "instance").below(own.len());
                if let Some(instance) = self.instances[own].get_mut(pick) {
                    instance.fault = behaviour.clone();
                }
            }
            Cause::NodeNoise { cores } => {
                let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
                for instance in &self.instances[own] {
                    *pods.entry(&instance.node).or_default() += 1;
                }
                if let Some((busiest, _)) = pods.into_iter().max_by_key(|(_, count)| *count) {
                    *self.noise.entry(busiest.to_owned()).or_default() += cores;
                    return Change::Crowd { node: busiest.to_owned() };
                }
            }
        }
        Change::None
    }

    /// A new tag of a service that behaves like this.
    fn release(&mut self, service: &str, behaviour: Behaviour) -> String {
        let tag = tag(self.seed, service, "1");
        self.releases.insert((service.to_owned(), tag.clone()), behaviour);
        if let Some(workload) = self.cluster.workloads.get_mut(service) {
            workload.tag.clone_from(&tag);
        }
        tag
    }

    /// Requests per second that people send now, by journey.
    #[must_use]
    pub fn demand(&self) -> Vec<f64> {
        let crowd = |journey: &str| -> f64 {
            let told = self.crowds.iter().filter(|c| c.journey.as_deref().is_none_or(|j| j == journey));
            told.map(|c| {
                let part = (self.second - c.since) as f64 / c.ramp.max(1) as f64;
                1.0 + (c.factor - 1.0) * part.min(1.0)
            })
            .product()
        };
        self.topology.journeys.iter().map(|j| self.topology.demand * j.share * crowd(&j.name)).collect()
    }

    /// Runs by itself: controllers, autoscalers and all.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            if self.second > 0 && self.second.is_multiple_of(AUTOSCALE) {
                self.settle();
            } else {
                self.play();
            }
            self.tick();
        }
    }

    /// Plays autoscalers and controllers, without an API.
    pub(crate) fn settle(&mut self) {
        for (service, replicas) in self.autoscale() {
            self.cluster.scale(&service, replicas);
        }
        self.play();
    }

    /// What the autoscalers ask for now, where that is not what is there.
    pub(super) fn autoscale(&mut self) -> Vec<(String, u32)> {
        let mut out = Vec::new();
        for (at, service) in self.topology.services.iter().enumerate() {
            let Some(bounds) = self.cluster.autoscalers.get(&service.name) else { continue };
            let Some(workload) = self.cluster.workloads.get(&service.name) else { continue };
            let wanted = self.autoscalers[at].wanted(self.second, workload.replicas, self.usage[at], bounds);
            if wanted != workload.replicas {
                out.push((service.name.clone(), wanted));
            }
        }
        out
    }

    /// Tag that a service has at first.
    #[must_use]
    pub fn first_tag(&self, service: &str) -> String {
        tag(self.seed, service, "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::topology::tests::small;
    use proptest::prelude::*;

    fn world(seed: u64) -> World {
        World::new(small(), seed).unwrap()
    }

    fn scenario(cause: serde_json::Value, service: &str) -> Scenario {
        serde_json::from_value(serde_json::json!({"title": "t", "services": [service], "cause": cause}))
            .unwrap()
    }

    fn causes() -> Vec<Scenario> {
        use serde_json::json;
        vec![
            scenario(json!({"type": "Release", "behaviour": {"work": 8}}), "price"),
            scenario(json!({"type": "Config", "configMap": "tax-rates", "key": "NL", "value": "2.1"}), "tax"),
            scenario(json!({"type": "Demand", "factor": 6, "ramp": 30}), "price"),
            scenario(json!({"type": "StuckConnections", "left": 0.02}), "price"),
            scenario(json!({"type": "Instance", "behaviour": {"wait": 4}}), "price"),
            scenario(json!({"type": "NodeNoise", "cores": 150}), "price"),
        ]
    }

    fn queued(world: &World) -> f64 {
        world.instances.iter().map(|i| i.station.queued).sum()
    }

    fn balance(world: &World) -> f64 {
        world.ledger.arrived - world.ledger.served - world.ledger.failed - queued(world)
    }

    #[test]
    fn an_ordinary_day_loses_nothing() {
        let mut w = world(1);
        w.run(300);
        assert!(w.ledger.lost < 0.001 * w.ledger.orders, "{:?}", w.ledger);
        assert!(w.ledger.orders > 3_000.0 && balance(&w).abs() < 1e-3);
    }

    #[test]
    fn every_cause_costs_orders_and_conserves_requests() {
        for scenario in causes() {
            let mut w = world(1);
            w.run(100);
            w.begin(&scenario);
            let before = w.ledger.lost;
            w.run(300);
            assert!(w.ledger.lost - before > 10.0, "{} lost {}", scenario.cause.word(), w.ledger.lost);
            assert!(balance(&w).abs() < 1e-3, "{}: {}", scenario.cause.word(), balance(&w));
        }
    }

    /// Lost orders in five minutes after a repair, or without one.
    fn lost(at: usize, repair: fn(&mut World)) -> f64 {
        let mut w = world(1);
        w.run(100);
        w.begin(&causes()[at]);
        w.run(120);
        let before = w.ledger.lost;
        repair(&mut w);
        w.run(300);
        w.ledger.lost - before
    }

    fn restart(w: &mut World) {
        w.cluster.pods.retain(|p| p.service != "price");
    }

    #[test]
    fn the_right_repair_helps_and_a_wrong_one_does_not() {
        let undo = |w: &mut World| {
            let tag = w.first_tag("price");
            w.cluster.workloads.get_mut("price").unwrap().tag = tag;
        };
        let revert = |w: &mut World| {
            w.cluster.configs.get_mut("tax-rates").unwrap().insert("NL".into(), "0.21".into());
        };
        let grow = |w: &mut World| {
            w.cluster.autoscalers.get_mut("price").unwrap().max = 40;
            for name in ["web", "tax", "mail"] {
                w.cluster.workloads.get_mut(name).unwrap().replicas = 16;
            }
            w.noise.clear();
        };
        type Repair = fn(&mut World);
        let rights: [(usize, Repair); 6] =
            [(0, undo), (1, revert), (2, grow), (3, restart), (4, restart), (5, restart)];
        for (at, right) in rights {
            let (with, without) = (lost(at, right), lost(at, |_| {}));
            assert!(with < 0.5 * without, "{}: {with} of {without}", causes()[at].cause.word());
        }
        for (at, wrong) in [(0, restart as Repair), (1, undo), (3, revert)] {
            assert!(lost(at, wrong) > 0.9 * lost(at, |_| {}), "{}", causes()[at].cause.word());
        }
    }

    #[test]
    fn fewer_replicas_than_the_demand_needs_do_harm() {
        let after = |shrink: bool| {
            let mut w = world(1);
            w.run(100);
            if shrink {
                let web = w.cluster.workloads.get_mut("web").unwrap();
                (web.replicas, web.cpu) = (1, 0.1);
            }
            w.run(300);
            w.ledger
        };
        let (shrunk, usual) = (after(true), after(false));
        assert!(shrunk.lost > usual.lost + 0.2 * usual.orders, "{shrunk:?} {usual:?}");
        assert!(shrunk.visits_lost > shrunk.lost);
    }

    fn digest(w: &World) -> (Ledger, Vec<Instance>, Vec<StoreState>) {
        (w.ledger, w.instances.clone(), w.stores.clone())
    }

    #[test]
    fn the_seed_decides_everything() {
        let play = |seed| {
            let mut w = world(seed);
            w.run(60);
            w.begin(&causes()[4]);
            w.run(60);
            digest(&w)
        };
        assert_eq!(play(4), play(4));
        assert_ne!(play(4).0, play(5).0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_fork_runs_on_alike_and_an_action_on_it_does_not_touch_the_other(
            seed in 0..1_000_u64, cause in 0..6_usize, before in 1..200_u64, after in 1..120_u64, replicas in 1..9_u32) {
            let mut w = world(seed);
            w.run(before);
            w.begin(&causes()[cause]);
            let (mut same, mut other) = (w.clone(), w.clone());
            other.cluster.workloads.get_mut("tax").unwrap().replicas = replicas;
            other.run(after);
            w.run(after);
            same.run(after);
            prop_assert_eq!(digest(&w), digest(&same));
            prop_assert!(balance(&other).abs() < 1e-3);
        }
    }
}
