//! What the shop is made of: services, stores, who calls whom, and what a request costs. Data, read from a file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A shop.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// Service that people reach.
    pub entry: String,
    /// Requests per second that people send on an ordinary day.
    pub demand: f64,
    /// What an order is worth, in euros.
    pub order_value: f64,
    /// What people do: operations of the entry service.
    pub journeys: Vec<Journey>,
    /// Services with a Deployment of their own.
    pub services: Vec<Service>,
    /// Stores and brokers outside the cluster.
    pub stores: Vec<Store>,
    /// Nodes of the cluster.
    pub nodes: Vec<Node>,
}

/// One thing that people do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journey {
    /// Operation of the entry service.
    pub name: String,
    /// Share of the demand; the shares add up to 1.
    pub share: f64,
    /// Whether a success is an order.
    #[serde(default)]
    pub is_order: bool,
    /// What the entry service calls for it.
    pub calls: Vec<Call>,
}

/// A call to a service or a store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Callee.
    pub to: String,
    /// Calls per request on average.
    #[serde(default = "one")]
    pub per: f64,
    /// A failure is answered by a fallback.
    #[serde(default)]
    pub soft: bool,
    /// Through this broker: nobody waits.
    pub via: Option<String>,
    /// Answers are cached in the caller, as long as its configuration says.
    #[serde(default)]
    pub cached: bool,
}

fn one() -> f64 {
    1.0
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Name, also of its Deployment.
    pub name: String,
    /// Its operation, such as `GET /prices`.
    pub operation: String,
    /// CPU milliseconds of a request.
    pub work_ms: f64,
    /// Replicas at first.
    pub replicas: u32,
    /// CPU limit of a replica, in cores.
    pub cpu: f64,
    /// Pool of nodes that it runs on; the nodes without a pool when left out.
    pub pool: Option<String>,
    /// Calls of each request; for the entry service they are those of the journeys.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// Bounds of its autoscaler, where it has one.
    pub autoscale: Option<Autoscale>,
    /// Values of a ConfigMap that it checks in every request.
    pub rule: Option<Rule>,
    /// Differences from the usual configuration.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// Bounds of an autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscale {
    /// Replicas at least.
    pub min: u32,
    /// Replicas at most.
    pub max: u32,
    /// Use of the CPU limit that it aims at, in percent.
    pub target: u32,
}

/// A service refuses requests whose value is out of range, by an exception.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// ConfigMap.
    pub config_map: String,
    /// Share of the requests that use each key, and its usual value.
    pub keys: BTreeMap<String, Key>,
    /// Values must be below.
    pub below: f64,
    /// The exception that is raised.
    pub exception: String,
}

/// A key of a rule's ConfigMap.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Share of the requests.
    pub share: f64,
    /// Value at first.
    pub value: f64,
}

/// A store or a broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// Name.
    pub name: String,
    /// What it is, in OpenTelemetry's words, such as `postgresql`.
    pub system: String,
    /// CPU milliseconds of a query.
    pub work_ms: f64,
    /// Milliseconds that a query holds its connection besides.
    pub hold_ms: f64,
    /// Cores.
    pub cores: f64,
    /// Connections that it takes at most; clients share them in proportion to their pools.
    pub max_connections: f64,
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Cores.
    pub cores: f64,
    /// Pool that it belongs to.
    pub pool: Option<String>,
}

/// Why a topology can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TopologyError {
    /// A name that nothing has.
    #[error("{from} calls {to}, which is neither a service nor a store: correct the name or add it")]
    Unknown {
        /// Caller.
        from: String,
        /// Callee.
        to: String,
    },
    /// A name that two things have.
    #[error("{0} is there twice: give each service and store a name of its own")]
    Twice(String),
    /// Calls that lead back.
    #[error("the calls of {0} lead back to it: a shop's calls must not form a circle")]
    Circle(String),
    /// The entry is no service.
    #[error("the entry {0} is no service")]
    Entry(String),
    /// A number out of range.
    #[error("{of}: {what}")]
    Number {
        /// What it belongs to.
        of: String,
        /// What is asked for.
        what: &'static str,
    },
}

impl Topology {
    /// Position of the service of that name.
    pub(super) fn service(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|s| s.name == name)
    }

    /// Position of the store of that name.
    pub(super) fn store(&self, name: &str) -> Option<usize> {
        self.stores.iter().position(|s| s.name == name)
    }

    /// Callers before callees, positions in `services`.
    ///
    /// # Errors
    /// When a name is unknown or doubled, calls form a circle, or a number is out of range.
    pub(super) fn order(&self) -> Result<Vec<usize>, TopologyError> {
        self.check_numbers()?;
        self.check_names()?;
        let all = 0..self.services.len();
        let callees = |caller: usize| {
            let calls = self.calls_of(&self.services[caller]).into_iter();
            calls.filter_map(|(_, call)| self.service(&call.to))
        };
        let mut waiting = vec![0_usize; all.len()];
        for to in all.clone().flat_map(callees) {
            waiting[to] += 1;
        }
        let mut ready: Vec<usize> = all.clone().rev().filter(|i| waiting[*i] == 0).collect();
        let mut order = Vec::with_capacity(all.len());
        while let Some(next) = ready.pop() {
            order.push(next);
            for to in callees(next) {
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    ready.push(to);
                }
            }
        }
        match all.clone().find(|i| !order.contains(i)) {
            Some(left) => Err(TopologyError::Circle(self.services[left].name.clone())),
            None => Ok(order),
        }
    }

    /// Calls of a service, each with the journey that it belongs to: the entry's are those of all journeys.
    pub(super) fn calls_of<'a>(&'a self, service: &'a Service) -> Vec<(Option<usize>, &'a Call)> {
        if service.name != self.entry {
            return service.calls.iter().map(|call| (None, call)).collect();
        }
        let journeys = self.journeys.iter().enumerate();
        journeys.flat_map(|(at, journey)| journey.calls.iter().map(move |call| (Some(at), call))).collect()
    }

    fn check_names(&self) -> Result<(), TopologyError> {
        let mut names = BTreeSet::new();
        let all = self.services.iter().map(|s| &s.name).chain(self.stores.iter().map(|s| &s.name));
        for name in all {
            if !names.insert(name) {
                return Err(TopologyError::Twice(name.clone()));
            }
        }
        if self.service(&self.entry).is_none() {
            return Err(TopologyError::Entry(self.entry.clone()));
        }
        for service in &self.services {
            for (_, call) in self.calls_of(service) {
                let broker = call.via.as_ref().filter(|via| self.store(via).is_none());
                if let Some(missing) = broker.or(Some(&call.to).filter(|to| !names.contains(to))) {
                    return Err(TopologyError::Unknown { from: service.name.clone(), to: missing.clone() });
                }
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), TopologyError> {
        let check = |holds: bool, of: &str, what| {
            if holds { Ok(()) } else { Err(TopologyError::Number { of: of.to_owned(), what }) }
        };
        let positive = |numbers: &[f64]| numbers.iter().all(|n| n.is_finite() && *n > 0.0);
        check(positive(&[self.demand, self.order_value]), "demand and orderValue", "must be above 0")?;
        let shares: f64 = self.journeys.iter().map(|j| j.share).sum();
        check((shares - 1.0).abs() <= 1e-6, "journeys", "their shares must add up to 1")?;
        let cores: Vec<f64> = self.nodes.iter().map(|n| n.cores).collect();
        let holds = !cores.is_empty() && positive(&cores);
        check(holds, "nodes", "there must be one, and each must have cores")?;
        for service in &self.services {
            let holds = positive(&[service.work_ms, service.cpu]) && service.replicas > 0;
            check(holds, &service.name, "workMs, cpu and replicas must be above 0")?;
            let holds = self.nodes.iter().any(|n| n.pool == service.pool);
            check(holds, &service.name, "there must be a node of its pool")?;
            let holds = self.calls_of(service).iter().all(|(_, c)| c.per.is_finite() && c.per >= 0.0);
            check(holds, &service.name, "per of a call must not be below 0")?;
        }
        for store in &self.stores {
            let holds = positive(&[store.work_ms, store.cores, store.max_connections])
                && (0.0..=60_000.0).contains(&store.hold_ms);
            let what = "workMs, cores and maxConnections must be above 0, and holdMs not below";
            check(holds, &store.name, what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shop of three services and a store.
    pub(crate) fn small() -> Topology {
        let text = include_str!("small.json");
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn callers_come_before_callees_and_what_is_wrong_is_named() {
        let order = small().order().unwrap();
        let at = |name: &str| order.iter().position(|i| small().services[*i].name == name).unwrap();
        assert!(at("web") < at("price") && at("price") < at("tax"));
        let call = |to: &str| Call { to: to.into(), per: 1.0, soft: false, via: None, cached: false };
        let with = |change: &dyn Fn(&mut Topology)| {
            let mut topology = small();
            change(&mut topology);
            topology.order().unwrap_err()
        };
        assert_eq!(with(&|t| t.services[2].calls.push(call("web"))), TopologyError::Circle("web".into()));
        assert_eq!(
            with(&|t| t.services[2].calls.push(call("moon"))),
            TopologyError::Unknown { from: "tax".into(), to: "moon".into() }
        );
        assert_eq!(with(&|t| t.stores[0].name = "web".into()), TopologyError::Twice("web".into()));
        assert_eq!(with(&|t| t.entry = "x".into()), TopologyError::Entry("x".into()));
        assert!(matches!(with(&|t| t.journeys[0].share = 0.2), TopologyError::Number { .. }));
        assert!(matches!(with(&|t| t.services[0].cpu = 0.0), TopologyError::Number { .. }));
    }
}
