//! The manifests that a topology leads to: nodes, Deployments, autoscalers and ConfigMaps, and nothing of what goes wrong.

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::cluster::{Cluster, config_name, tag};
use super::topology::{Node, Service, Topology};

/// Registry of the shop's images.
pub const REGISTRY: &str = "registry.example.com/shop";

/// Label of a node with the pool that it belongs to; the template has it, too.
pub(crate) const POOL: &str = "shop.example.com/pool";

const TEMPLATE: &str = include_str!("workloads.yaml.j2");

/// Name of a pool; nodes without one have a pool of their own.
pub(crate) fn pool(named: Option<&String>) -> &str {
    named.map_or("general", String::as_str)
}

/// One YAML text with all workloads of the topology; the seed decides the tags.
///
/// # Errors
/// When the template is wrong.
pub fn workloads(topology: &Topology, seed: u64) -> Result<String, minijinja::Error> {
    let cluster = Cluster::of(topology, seed);
    let node = |node: &Node| json!({"name": node.name, "pool": pool(node.pool.as_ref())});
    let service = |service: &Service| {
        let mut maps = vec![config_name(&service.name)];
        maps.extend(service.rule.as_ref().map(|rule| rule.config_map.clone()));
        json!({
            "name": service.name,
            "pool": pool(service.pool.as_ref()),
            "replicas": service.replicas,
            "tag": tag(seed, &service.name, "0"),
            "cpu": format!("{}m", (service.cpu * 1e3).round()),
            "maps": maps,
            "autoscale": service.autoscale,
        })
    };
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()?);
    environment.add_filter("quoted", |text: String| Value::from(text).to_string());
    let shop = json!({
        "namespace": NAMESPACE,
        "registry": REGISTRY,
        "nodes": topology.nodes.iter().map(node).collect::<Vec<_>>(),
        "config_maps": cluster.configs,
        "services": topology.services.iter().map(service).collect::<Vec<_>>(),
    });
    environment.render_str(TEMPLATE, Serde(shop))
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
        let made = workloads(&topology, 1).unwrap();
        assert!(made.contains(&format!("{{{POOL}: index}}")), "the label that nodes are joined with");
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
            assert!(world.usage[at] < 60.0, "{} uses {} %", service.name, world.usage[at]);
        }
        assert_eq!(world.autoscale(), [], "the autoscalers are at rest");
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
