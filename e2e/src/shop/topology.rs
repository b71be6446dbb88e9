//! What the shop is made of: services, stores, who calls whom, and what a request costs. Data, read from a file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Callee.
    pub to: String,
    /// Calls per request on average.
    #[serde(default = "one")]
    pub per: f64,
    /// A failure is answered by a fallback.
    #[serde(default, skip_serializing_if = "is_false")]
    pub soft: bool,
    /// Through this broker: nobody waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Answers are cached in the caller, as long as its configuration says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cached: bool,
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A service.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Calls of each request; for the entry service they are those of the journeys.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// Bounds of its autoscaler, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// Values of a ConfigMap that it checks in every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Differences from the usual configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Share of the requests.
    pub share: f64,
    /// Value at first.
    pub value: f64,
}

/// A store or a broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Cores.
    pub cores: f64,
    /// Pool that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    /// The store of that name.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&Store> {
        self.stores.iter().find(|s| s.name == name)
    }

    /// Callers before callees, positions in `services`.
    ///
    /// # Errors
    /// When a name is unknown or doubled, calls form a circle, or a number is out of range.
    pub fn order(&self) -> Result<Vec<usize>, TopologyError> {
        self.check_numbers()?;
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
        let at: BTreeMap<&str, usize> =
            self.services.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
        let mut waiting = vec![0_usize; self.services.len()];
        let mut callees = vec![Vec::new(); self.services.len()];
        for (i, service) in self.services.iter().enumerate() {
            for call in self.calls_of(service) {
                let broker = call.via.as_ref().filter(|via| self.store(via).is_none());
                if let Some(missing) = broker.or(Some(&call.to).filter(|to| !names.contains(to))) {
                    return Err(TopologyError::Unknown { from: service.name.clone(), to: missing.clone() });
                }
                if let Some(to) = at.get(call.to.as_str()) {
                    callees[i].push(*to);
                    waiting[*to] += 1;
                }
            }
        }
        let mut ready: Vec<usize> = (0..self.services.len()).rev().filter(|i| waiting[*i] == 0).collect();
        let mut order = Vec::with_capacity(self.services.len());
        while let Some(next) = ready.pop() {
            order.push(next);
            for to in &callees[next] {
                waiting[*to] -= 1;
                if waiting[*to] == 0 {
                    ready.push(*to);
                }
            }
        }
        match (0..self.services.len()).find(|i| !order.contains(i)) {
            Some(left) => Err(TopologyError::Circle(self.services[left].name.clone())),
            None => Ok(order),
        }
    }

    /// Calls of a service; the entry's are those of all journeys.
    pub fn calls_of<'a>(&'a self, service: &'a Service) -> Vec<&'a Call> {
        if service.name == self.entry {
            self.journeys.iter().flat_map(|j| &j.calls).collect()
        } else {
            service.calls.iter().collect()
        }
    }

    fn check_numbers(&self) -> Result<(), TopologyError> {
        let bad = |of: &str, what| Err(TopologyError::Number { of: of.to_owned(), what });
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !positive(self.demand) || !positive(self.order_value) {
            return bad("demand and orderValue", "must be above 0");
        }
        if (self.journeys.iter().map(|j| j.share).sum::<f64>() - 1.0).abs() > 1e-6 {
            return bad("journeys", "their shares must add up to 1");
        }
        if self.nodes.is_empty() || self.nodes.iter().any(|n| !positive(n.cores)) {
            return bad("nodes", "there must be one, and each must have cores");
        }
        for service in &self.services {
            if !positive(service.work_ms) || !positive(service.cpu) || service.replicas == 0 {
                return bad(&service.name, "workMs, cpu and replicas must be above 0");
            }
            if !self.nodes.iter().any(|n| n.pool == service.pool) {
                return bad(&service.name, "there must be a node of its pool");
            }
            if self.calls_of(service).iter().any(|c| !c.per.is_finite() || c.per < 0.0) {
                return bad(&service.name, "per of a call must not be below 0");
            }
        }
        for store in &self.stores {
            if !positive(store.work_ms)
                || !(0.0..=60_000.0).contains(&store.hold_ms)
                || !positive(store.cores)
                || !positive(store.max_connections)
            {
                return bad(
                    &store.name,
                    "workMs, cores and maxConnections must be above 0, and holdMs not below",
                );
            }
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
