//! Shops made from a seed.

use std::collections::BTreeMap;

use causeway_e2e::shop::cause::Scenario;
use causeway_e2e::shop::rng::Rng;
use causeway_e2e::shop::topology::{Autoscale, Call, Journey, Node, Service, Store, Topology};
use serde_json::json;

/// Calls to others by name.
fn call(to: &str, per: f64) -> Call {
    Call { to: to.to_owned(), per, soft: false, via: None, cached: false }
}

/// A number between two.
fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.unit()
}

/// Two decimals, as people write limits.
fn rounded(value: f64) -> f64 {
    (value * 100.0).ceil() / 100.0
}

/// A shop of eight to twelve services in three tiers, three stores and a broker. Instances use 25 to 80 % of their CPU, stores
/// give out 40 to 110 % of their connections, nodes are used by 45 to 80 %.
pub(crate) fn topology(seed: u64) -> Topology {
    let mut rng = Rng::new(seed, "topology");
    let demand = between(&mut rng, 30.0, 70.0);
    let middle: Vec<String> = (0..3 + rng.below(2)).map(|i| format!("front-{i}")).collect();
    let lower: Vec<String> = (0..3 + rng.below(3)).map(|i| format!("back-{i}")).collect();
    let stores: Vec<String> = (0..3).map(|i| format!("db-{i}")).collect();
    let mut services = vec![blank("web", "GET /")];
    for name in &middle {
        let mut service = blank(name, &format!("GET /{name}"));
        service.calls.push(call(&lower[rng.below(lower.len())], 1.0));
        let other = &lower[rng.below(lower.len())];
        if service.calls[0].to != *other {
            let mut second = call(other, if rng.chance(0.5) { 0.5 } else { 1.0 });
            second.soft = rng.chance(0.3);
            service.calls.push(second);
        }
        if rng.chance(0.4) {
            service.calls.push(call(&stores[rng.below(3)], 1.0));
        }
        services.push(service);
    }
    for name in &lower {
        let mut service = blank(name, &format!("GET /{name}"));
        if rng.chance(0.7) {
            let mut query = call(&stores[rng.below(3)], if rng.chance(0.3) { 2.0 } else { 1.0 });
            query.cached = rng.chance(0.2);
            service.calls.push(query);
        }
        services.push(service);
    }
    services.push(blank("worker", "process events"));
    let shares = [0.5, 0.3, 0.2];
    let journeys = ["GET /", "GET /search", "POST /orders"].iter().enumerate().map(|(at, name)| {
        let mut calls = vec![call(&middle[at], 1.0)];
        if at == 2 {
            calls.push(call(&middle[middle.len() - 1], 1.0));
            calls.push(Call { via: Some("events".to_owned()), ..call("worker", 1.0) });
            calls.dedup_by(|a, b| a.to == b.to);
        }
        Journey { name: (*name).to_owned(), share: shares[at], is_order: at == 2, calls }
    });
    let mut topology = Topology {
        entry: "web".to_owned(),
        demand,
        order_value: 40.0,
        journeys: journeys.collect(),
        services,
        stores: stores.iter().map(|name| store(name, &mut rng)).collect(),
        nodes: Vec::new(),
    };
    topology.stores.push(Store {
        name: "events".to_owned(),
        system: "kafka".to_owned(),
        work_ms: 0.3,
        hold_ms: 1.0,
        cores: 2.0,
        max_connections: 1_000.0,
    });
    fit(&mut topology, &mut rng);
    topology
}

fn blank(name: &str, operation: &str) -> Service {
    Service {
        name: name.to_owned(),
        operation: operation.to_owned(),
        work_ms: 1.0,
        replicas: 1,
        cpu: 0.1,
        pool: None,
        calls: Vec::new(),
        autoscale: None,
        rule: None,
        config: BTreeMap::new(),
    }
}

fn store(name: &str, rng: &mut Rng) -> Store {
    Store {
        name: name.to_owned(),
        system: "postgresql".to_owned(),
        work_ms: between(rng, 1.5, 4.0),
        hold_ms: between(rng, 10.0, 60.0),
        cores: 4.0,
        max_connections: 1.0,
    }
}

/// Requests per second of every service on an ordinary day, without caches; only those that must succeed if `hard`.
fn rates(topology: &Topology, hard: bool) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::from([(topology.entry.clone(), topology.demand)]);
    for journey in &topology.journeys {
        for call in journey.calls.iter().filter(|call| !hard || call.via.is_none()) {
            *rates.entry(call.to.clone()).or_insert(0.0) += topology.demand * journey.share * call.per;
        }
    }
    // Tiers stand in the order of their calls.
    for service in &topology.services {
        let rate = rates.get(&service.name).copied().unwrap_or(0.0);
        for call in service.calls.iter().filter(|call| !hard || !call.soft) {
            *rates.entry(call.to.clone()).or_insert(0.0) += rate * call.per;
        }
    }
    rates
}

/// Gives services, pools, stores and nodes the limits that their load asks for.
fn fit(topology: &mut Topology, rng: &mut Rng) {
    let rates = rates(topology, false);
    let holds: BTreeMap<String, f64> =
        topology.stores.iter().map(|s| (s.name.clone(), (s.work_ms + s.hold_ms) / 1e3)).collect();
    let mut asked: BTreeMap<String, f64> = BTreeMap::new();
    let mut cores = 0.0;
    for service in &mut topology.services {
        let rate = rates.get(&service.name).copied().unwrap_or(0.0).max(1.0);
        service.work_ms = between(rng, 3.0, 14.0);
        service.replicas = 2 + rng.below(5) as u32;
        let used = between(rng, 0.25, 0.8);
        let work = rate * service.work_ms / 1e3;
        cores += work;
        service.cpu = rounded(work / f64::from(service.replicas) / used);
        if rng.chance(0.3) && service.name != "worker" {
            let target = 60;
            service.cpu = rounded(work / f64::from(service.replicas) / 0.58);
            service.autoscale = Some(Autoscale {
                min: service.replicas,
                max: service.replicas + 1 + rng.below(4) as u32,
                target,
            });
        }
        let held: f64 =
            service.calls.iter().filter_map(|c| Some(rate * c.per * holds.get(&c.to)?)).fold(0.0, f64::max);
        if held > 0.0 {
            let pool = (held / f64::from(service.replicas) / between(rng, 0.15, 0.7)).ceil().max(1.0);
            service.config.insert("DB_POOL_SIZE".to_owned(), pool.to_string());
            for call in service.calls.iter().filter(|c| holds.contains_key(&c.to)) {
                *asked.entry(call.to.clone()).or_default() += pool * f64::from(service.replicas);
            }
        }
    }
    for store in &mut topology.stores {
        if let Some(asked) = asked.get(&store.name) {
            store.max_connections = (asked * between(rng, 0.9, 2.5)).ceil().max(4.0);
        }
    }
    let nodes = 3 + rng.below(3);
    let each = rounded(cores / between(rng, 0.45, 0.8) / nodes as f64);
    topology.nodes =
        (0..nodes).map(|i| Node { name: format!("node-{i}"), cores: each, pool: None }).collect();
}

/// What goes wrong in a shop.
pub(crate) fn fault(topology: &Topology, seed: u64) -> Scenario {
    let mut rng = Rng::new(seed, "fault");
    let rates = rates(topology, true);
    let busy = |s: &&Service| rates.get(&s.name).is_some_and(|rate| *rate > 0.25 * topology.demand);
    let inner: Vec<&Service> =
        topology.services.iter().filter(|s| s.name != "worker" && s.name != "web").filter(busy).collect();
    let pooled: Vec<&&Service> = inner.iter().filter(|s| s.config.contains_key("DB_POOL_SIZE")).collect();
    let victim = inner[rng.below(inner.len())].name.clone();
    let with_pool = pooled.get(rng.below(pooled.len())).map_or(victim.clone(), |s| s.name.clone());
    let (service, cause) = match seed % 8 {
        0 => (victim, json!({"type": "Release", "behaviour": {"work": between(&mut rng, 3.0, 6.0)}})),
        1 => (victim, json!({"type": "Demand", "factor": between(&mut rng, 1.5, 2.0), "ramp": 30})),
        2 => (with_pool, json!({"type": "StuckConnections", "left": 0.02})),
        3 => (victim, json!({"type": "Release", "behaviour": {"errors": between(&mut rng, 0.2, 0.6)}})),
        4 => (victim, json!({"type": "Instance", "behaviour": {"wait": between(&mut rng, 3.0, 9.0)}})),
        5 => (
            victim,
            json!({"type": "Config", "configMap": "{service}-config", "key": "WORKERS", "value": "1"}),
        ),
        6 => (
            with_pool,
            json!({"type": "Config", "configMap": "{service}-config", "key": "DB_POOL_SIZE", "value": "0.1"}),
        ),
        _ => (
            victim,
            json!({"type": "NodeNoise", "cores": topology.nodes[0].cores * between(&mut rng, 1.5, 3.0)}),
        ),
    };
    serde_json::from_value(json!({"title": "generated", "services": [service], "cause": cause})).unwrap()
}
