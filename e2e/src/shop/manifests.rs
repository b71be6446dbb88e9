//! The manifests that a topology leads to: nodes, Deployments, autoscalers and ConfigMaps, and nothing of what goes wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::NAMESPACE;
use super::cluster::{Cluster, config_name};
use super::topology::Topology;

/// Registry of the shop's images.
pub const REGISTRY: &str = "registry.example.com/shop";

/// Label of a node with the pool that it belongs to.
pub(crate) const POOL: &str = "shop.example.com/pool";

/// Name of a pool; nodes without one have a pool of their own.
pub(crate) fn pool(named: Option<&String>) -> &str {
    named.map_or("general", String::as_str)
}

/// One YAML text with all workloads of the topology; the seed decides the tags.
#[must_use]
pub fn workloads(topology: &Topology, seed: u64) -> String {
    let cluster = Cluster::of(topology, seed);
    let mut out = String::from(
        "# The workloads of the shop. Made from its topology; what the values mean, only the shop knows.\n",
    );
    for node in &topology.nodes {
        let (name, pool) = (&node.name, pool(node.pool.as_ref()));
        put(
            &mut out,
            format_args!(
                "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{POOL}: {pool}}}}}\n"
            ),
        );
    }
    for (name, values) in &cluster.configs {
        config_map(&mut out, name, values);
    }
    for service in &topology.services {
        let Some(workload) = cluster.workloads.get(&service.name) else { continue };
        let mut maps = vec![config_name(&service.name)];
        maps.extend(service.rule.as_ref().map(|rule| rule.config_map.clone()));
        deployment(&mut out, &service.name, workload, pool(service.pool.as_ref()), &maps);
        if let Some(bounds) = cluster.autoscalers.get(&service.name) {
            autoscaler(&mut out, &service.name, bounds);
        }
    }
    out
}

// Writing to a String can't fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).ok();
}

fn config_map(out: &mut String, name: &str, values: &BTreeMap<String, String>) {
    put(
        out,
        format_args!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\ndata:\n"
        ),
    );
    for (key, value) in values {
        put(out, format_args!("  {key}: {}\n", serde_json::Value::from(value.as_str())));
    }
}

fn deployment(
    out: &mut String,
    name: &str,
    workload: &super::cluster::Workload,
    pool: &str,
    maps: &[String],
) {
    let (replicas, tag) = (workload.replicas, &workload.tag);
    let cpu = format!("{}m", (workload.cpu * 1e3).round());
    put(
        out,
        format_args!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {NAMESPACE}
  labels: {{app: {name}}}
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      nodeSelector: {{{POOL}: {pool}}}
      containers:
        - name: {name}
          image: {REGISTRY}/{name}:{tag}
          ports: [{{containerPort: 8080}}]
          resources:
            limits: {{cpu: {cpu}, memory: 256Mi}}
          volumeMounts:
"
        ),
    );
    for map in maps {
        put(out, format_args!("            - {{name: {map}, mountPath: /etc/{map}}}\n"));
    }
    put(out, format_args!("      volumes:\n"));
    for map in maps {
        put(out, format_args!("        - name: {map}\n          configMap: {{name: {map}}}\n"));
    }
}

fn autoscaler(out: &mut String, name: &str, bounds: &super::topology::Autoscale) {
    put(
        out,
        format_args!(
            "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: {}
  maxReplicas: {}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {{type: Utilization, averageUtilization: {}}}
",
            bounds.min, bounds.max, bounds.target
        ),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::shop::world::World;

    fn shop() -> (Topology, std::path::PathBuf) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
        let text = std::fs::read_to_string(folder.join("topology.yaml")).unwrap();
        (serde_saphyr::from_str(&text).unwrap(), folder)
    }

    #[test]
    fn the_example_has_the_workloads_of_its_topology() {
        let (topology, folder) = shop();
        let file = folder.join("manifests/10-workloads.yaml");
        let made = workloads(&topology, 1);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == made,
            "examples/shop/manifests/10-workloads.yaml is old: run the tests with UPDATE_EXPECT=1"
        );
    }

    #[test]
    fn the_example_is_a_shop_at_ease() {
        let (topology, _) = shop();
        assert_eq!(topology.services.len(), 30);
        let mut world = World::new(topology, 1).unwrap();
        world.run(600);
        assert!(world.ledger.lost < 0.001 * world.ledger.orders, "{:?}", world.ledger);
        for (at, service) in world.topology.services.iter().enumerate() {
            assert!(world.usage(at) < 60.0, "{} uses {} %", service.name, world.usage(at));
        }
        assert_eq!(world.autoscale_now(), [], "the autoscalers are at rest");
    }

    /// Mean seconds of an answer of a service.
    fn latency(world: &World, service: &str) -> f64 {
        let own: Vec<_> = world
            .instances
            .iter()
            .filter(|i| world.topology.services[i.service].name == service)
            .map(|i| i.answer.time)
            .collect();
        own.iter().sum::<f64>() / own.len() as f64
    }

    #[test]
    fn a_higher_ceiling_brings_the_search_back_to_about_what_it_took() {
        let (topology, folder) = shop();
        let text = std::fs::read_to_string(folder.join("scenarios/saturation.yaml")).unwrap();
        let scenario: crate::shop::cause::Scenario = serde_saphyr::from_str(&text).unwrap();
        let mut world = World::new(topology, 1).unwrap();
        world.run(300);
        let usual = latency(&world, "search");
        world.begin(&scenario);
        world.run(300);
        assert!(latency(&world, "search") > 5.0 * usual, "{} {usual}", latency(&world, "search"));
        world.cluster.autoscalers.get_mut("search").unwrap().max = 12;
        world.run(300);
        assert!(latency(&world, "search") < 1.2 * usual, "{} {usual}", latency(&world, "search"));
    }
}
