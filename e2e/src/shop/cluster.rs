//! The shop's view of Kubernetes: what Deployments, autoscalers, ConfigMaps and pods say. Without an API it plays their
//! controllers itself, so that a copy of the shop can run on by itself.

use std::collections::BTreeMap;

use super::rng::hash;
use super::topology::{Autoscale, Topology};

/// A Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Replicas that are asked for.
    pub replicas: u32,
    /// Tag of the image.
    pub tag: String,
    /// CPU limit of a replica, in cores.
    pub cpu: f64,
}

impl Workload {
    /// Whether a pod is as it is asked for.
    fn is_of(&self, pod: &Pod) -> bool {
        pod.tag == self.tag && (pod.cpu - self.cpu).abs() < 1e-9
    }
}

/// A pod that takes requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Identity; names in telemetry.
    pub name: String,
    /// Service.
    pub service: String,
    /// Node.
    pub node: String,
    /// Tag of the image that it runs.
    pub tag: String,
    /// CPU limit, in cores.
    pub cpu: f64,
}

/// What is in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Deployments by service.
    pub workloads: BTreeMap<String, Workload>,
    /// Bounds of autoscalers by service.
    pub autoscalers: BTreeMap<String, Autoscale>,
    /// Values of ConfigMaps by name.
    pub configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Running pods, by service and then by age.
    pub pods: Vec<Pod>,
    /// Pods made so far by [`Cluster::play`].
    pub made: u64,
}

/// Tag of a service's image: that of its first release is `0`.
pub(super) fn tag(seed: u64, service: &str, release: &str) -> String {
    format!("{:012x}", hash(seed, &["release", service, release]) >> 16)
}

/// Name of the ConfigMap of a service.
#[must_use]
pub fn config_name(service: &str) -> String {
    format!("{service}-config")
}

/// Values that a service has when its topology says nothing else.
pub const DEFAULTS: [(&str, &str); 5] = [
    ("WORKERS", "64"),
    ("DB_POOL_SIZE", "4"),
    ("CALL_TIMEOUT_MS", "1500"),
    ("CALL_RETRIES", "1"),
    ("CACHE_TTL_SECONDS", "60"),
];

impl Cluster {
    /// The cluster as the manifests of a topology make it, without pods.
    pub(super) fn of(topology: &Topology, seed: u64) -> Self {
        let mut cluster = Self::default();
        for service in &topology.services {
            let tag = tag(seed, &service.name, "0");
            let workload = Workload { replicas: service.replicas, tag, cpu: service.cpu };
            cluster.workloads.insert(service.name.clone(), workload);
            if let Some(bounds) = &service.autoscale {
                cluster.autoscalers.insert(service.name.clone(), bounds.clone());
            }
            let mut values = BTreeMap::from(DEFAULTS.map(|(key, value)| (key.to_owned(), value.to_owned())));
            values.extend(service.config.clone());
            cluster.configs.insert(config_name(&service.name), values);
            if let Some(rule) = &service.rule {
                let values = rule.keys.iter().map(|(key, k)| (key.clone(), k.value.to_string()));
                cluster.configs.insert(rule.config_map.clone(), values.collect());
            }
        }
        cluster
    }

    /// A number of a service's configuration; the default where it is missing or no number.
    pub(super) fn number(&self, service: &str, key: &str) -> f64 {
        let value = self.configs.get(&config_name(service)).and_then(|c| c.get(key));
        let number = value.and_then(|v| v.parse().ok()).filter(|v: &f64| v.is_finite() && *v >= 0.0);
        let default = || DEFAULTS.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.parse().ok());
        number.or_else(default).unwrap_or_default()
    }

    /// Sets the replicas that a Deployment asks for.
    pub(super) fn scale(&mut self, service: &str, replicas: u32) {
        if let Some(workload) = self.workloads.get_mut(service) {
            workload.replicas = replicas;
        }
    }

    /// Pods of a service.
    pub(super) fn pods_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| pod.service == service)
    }

    /// Whether the pods are where Deployments want them: enough of each, of the right kind, and no more.
    pub(super) fn is_settled(&self) -> bool {
        self.workloads.iter().all(|(service, workload)| {
            self.pods_of(service).all(|pod| workload.is_of(pod))
                && self.pods_of(service).count() == workload.replicas as usize
        })
    }

    /// Brings the pods to where Deployments want them, as controllers and a scheduler would. `nodes` gives those that a
    /// service may run on, with their free cores.
    pub(super) fn play(&mut self, nodes: &dyn Fn(&str) -> Vec<(String, f64)>) {
        for (service, workload) in self.workloads.clone() {
            self.pods.retain(|p| p.service != service || workload.is_of(p));
            let nodes = nodes(&service);
            let present = self.pods_of(&service).count();
            // Where no node takes them, pods wait.
            let wanted = if nodes.is_empty() { 0 } else { workload.replicas as usize };
            for _ in present..wanted {
                self.start(&service, &workload, &nodes);
            }
            let mut kept = 0;
            self.pods.retain(|p| {
                kept += u32::from(p.service == service);
                p.service != service || kept <= workload.replicas
            });
        }
        self.sort();
    }

    /// Makes a new pod of a service on the best of these nodes, which it gives.
    pub(super) fn start(&mut self, service: &str, workload: &Workload, nodes: &[(String, f64)]) -> String {
        self.made += 1;
        let node = place(&self.pods, service, nodes);
        let name = format!("{service}-{:06x}", self.made);
        let (tag, cpu) = (workload.tag.clone(), workload.cpu);
        self.pods.push(Pod { name, service: service.to_owned(), node: node.clone(), tag, cpu });
        node
    }

    /// Orders the pods by service and name.
    pub(super) fn sort(&mut self) {
        self.pods.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
    }
}

/// The node for a new pod: the one with the most cores free by use and by limits, away from pods of the same service.
/// `nodes` have the cores that are used by what is no pod of the shop taken off, as a load-aware scheduler sees them.
fn place(pods: &[Pod], service: &str, nodes: &[(String, f64)]) -> String {
    let score = |node: &(String, f64)| {
        let here = pods.iter().filter(|p| p.node == node.0);
        let (asked, same) =
            here.fold((0.0, 0), |(asked, same), p| (asked + p.cpu, same + i32::from(p.service == service)));
        node.1 - asked - 2.0 * f64::from(same)
    };
    let best = nodes.iter().max_by(|a, b| score(a).total_cmp(&score(b)).then_with(|| b.0.cmp(&a.0)));
    best.map(|n| n.0.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::topology::tests::small;

    fn nodes(_: &str) -> Vec<(String, f64)> {
        small().nodes.iter().map(|n| (n.name.clone(), n.cores)).collect()
    }

    #[test]
    fn plays_the_controllers() {
        let mut c = Cluster::of(&small(), 1);
        c.play(&nodes);
        assert_eq!(c.pods.len(), 8);
        let of = |c: &Cluster, s: &str| c.pods.iter().filter(|p| p.service == s).cloned().collect::<Vec<_>>();
        let first = of(&c, "price");
        c.workloads.get_mut("price").unwrap().replicas = 4;
        c.play(&nodes);
        assert_eq!(of(&c, "price").len(), 4);
        assert!(first.iter().all(|p| c.pods.contains(p)), "old pods stay");
        c.workloads.get_mut("price").unwrap().tag = "x".into();
        c.play(&nodes);
        assert!(of(&c, "price").iter().all(|p| p.tag == "x" && !first.contains(p)));
        c.workloads.get_mut("price").unwrap().replicas = 1;
        c.play(&nodes);
        assert_eq!(of(&c, "price").len(), 1);
        assert_eq!(c.number("price", "WORKERS"), 64.0);
    }

    #[test]
    fn spreads_and_avoids_busy_nodes() {
        let mut c = Cluster::of(&small(), 1);
        c.play(&nodes);
        let spread = |s: &str| {
            c.pods
                .iter()
                .filter(|p| p.service == s)
                .map(|p| &p.node)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(spread("web").len(), 2);
        assert_eq!(place(&[], "web", &[("a".into(), -3.0), ("b".into(), 1.0)]), "b");
    }
}
