//! Which actions are tried, and what they do to a shop.

use std::collections::BTreeMap;

use causeway_actions::{ActionSpec, Mutation, Plan, TargetView};
use causeway_e2e::shop::cause::{Cause, Scenario};
use causeway_e2e::shop::cluster::config_name;
use causeway_e2e::shop::rng::Rng;
use causeway_e2e::shop::world::World;
use serde_json::{Value, json};

use crate::objects::{Past, of_config, of_node, of_pod, of_service};

/// An action on something.
pub(crate) struct Deed {
    pub(crate) action: ActionSpec,
    pub(crate) about: String,
    pub(crate) view: TargetView,
}

impl Deed {
    /// What it is and what it is about, for people.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.action.kind(), self.about)
    }
}

fn deed(written: Value, about: &str, view: TargetView) -> Deed {
    Deed { action: serde_json::from_value(written).unwrap(), about: about.to_owned(), view }
}

/// Actions for a shop that is well, or in which `fault` began: some that may help, others as a careless person would try them.
pub(crate) fn candidates(world: &World, past: &Past, fault: Option<&Scenario>, seed: u64) -> Vec<Deed> {
    let mut rng = Rng::new(seed, if fault.is_some() { "deeds in trouble" } else { "deeds" });
    let busy = |at: usize| world.instances.iter().any(|i| i.service == at && i.last.arrived > 0.0);
    let services = world.topology.services.iter().enumerate();
    let names: Vec<String> = services.filter(|(at, _)| busy(*at)).map(|(_, s)| s.name.clone()).collect();
    let any = |rng: &mut Rng| names[rng.below(names.len())].clone();
    let service = |name: &str| of_service(world, past, name);
    let scale = |name: &str, factor: &str| {
        deed(
            json!({"type": "Scale", "scale": {"factor": factor, "min": 1, "max": 50}}),
            &format!("{name} ×{factor}"),
            service(name),
        )
    };
    let restart =
        |name: &str| deed(json!({"type": "RolloutRestart", "rolloutRestart": {}}), name, service(name));
    let undo = |name: &str| deed(json!({"type": "RolloutUndo", "rolloutUndo": {}}), name, service(name));
    let revert = |name: &str| {
        deed(json!({"type": "RevertConfigMap", "revertConfigMap": {}}), name, of_config(world, past, name))
    };
    let cpu = |name: &str, factor: &str| {
        let written =
            json!({"type": "PatchResources", "patchResources": {"cpuFactor": factor, "maxCpu": "8"}});
        deed(written, &format!("{name} ×{factor}"), service(name))
    };
    let bounds = |name: &str, factor: &str| {
        let written = json!({"type": "SetHPABounds", "setHPABounds":
            {"maxReplicasFactor": factor, "minReplicasFactor": if factor.starts_with('0') { factor } else { "1" }, "cap": 60}});
        deed(written, &format!("{name} ×{factor}"), service(name))
    };
    let drain = |node: &str| {
        deed(json!({"type": "Drain", "drain": {"maxPods": 200, "withinMinutes": 10}}), node, of_node(node))
    };
    let pod_of = |name: &str, which: usize| {
        let pods: Vec<_> = world.cluster.pods.iter().filter(|p| p.service == name).collect();
        pods.get(which % pods.len().max(1)).map(|pod| of_pod(pod))
    };
    let node = |rng: &mut Rng| world.topology.nodes[rng.below(world.topology.nodes.len())].name.clone();
    let scaled: Vec<String> = world.cluster.autoscalers.keys().cloned().collect();
    let mut found = Vec::new();
    let victim = fault.and_then(|fault| fault.service(&world.topology, seed));
    if let (Some(fault), Some(victim)) = (fault, &victim) {
        match &fault.cause {
            Cause::Release { .. } => {
                found.extend([
                    undo(victim),
                    scale(victim, "3"),
                    scale(victim, "6"),
                    cpu(victim, "4"),
                    restart(victim),
                ]);
            }
            Cause::Config { .. } => {
                found.extend([revert(victim), scale(victim, "4"), scale(victim, "8"), restart(victim)]);
            }
            Cause::Demand { .. } => {
                let grow = |name: &String| {
                    if scaled.contains(name) { bounds(name, "2.5") } else { scale(name, "2.5") }
                };
                let starving = starving(world);
                found.extend(starving.iter().take(3).map(grow));
                found.extend(starving.iter().take(2).map(|name| cpu(name, "2.5")));
                found.push(restart(victim));
            }
            Cause::StuckConnections { .. } => {
                found.extend([restart(victim), scale(victim, "2"), scale(victim, "3"), scale(victim, "6")]);
            }
            Cause::Instance { .. } => {
                let bad = world.instances.iter().find(|i| i.fault.wait > 0.0).map(|i| i.pod.clone());
                let pod = world.cluster.pods.iter().find(|p| Some(&p.name) == bad.as_ref());
                found.extend(pod.map(|pod| {
                    let about = format!("{} (bad)", pod.name);
                    deed(json!({"type": "DeletePod", "deletePod": {}}), &about, of_pod(pod))
                }));
                found.extend([restart(victim), scale(victim, "2"), scale(victim, "3")]);
            }
            Cause::NodeNoise { .. } => {
                found.extend(world.noise.keys().map(|node| drain(node)));
                found.extend([restart(victim), scale(victim, "3")]);
            }
            Cause::Status { .. } | Cause::Volume { .. } => {}
        }
        let other = any(&mut rng);
        found.push(if seed.is_multiple_of(2) { scale(&other, "0.4") } else { cpu(&other, "0.5") });
        found.push(restart(&any(&mut rng)));
        return found;
    }
    found.push(scale(&any(&mut rng), "0.4"));
    found.push(scale(&any(&mut rng), "0.3"));
    found.push(cpu(&any(&mut rng), "0.5"));
    found.push(cpu(&any(&mut rng), "0.4"));
    found.push(restart(&any(&mut rng)));
    if rng.chance(0.5) {
        found.push(drain(&node(&mut rng)));
    }
    let pooled: Vec<&String> = names
        .iter()
        .filter(|n| world.cluster.configs[&config_name(n)].get("DB_POOL_SIZE").is_some_and(|p| p != "4"))
        .collect();
    match (pooled.get(rng.below(pooled.len())), scaled.get(rng.below(scaled.len()))) {
        (Some(name), _) if rng.chance(0.5) => found.push(scale(name, "4")),
        (_, Some(name)) => found.push(bounds(name, "0.5")),
        _ => found.push(scale(&any(&mut rng), "2")),
    }
    found.extend(past.tags.iter().filter(|(_, tags)| tags.len() > 1).map(|(name, _)| undo(name)));
    found.extend(past.configs.iter().filter(|(_, kept)| kept.len() > 1).map(|(name, _)| revert(name)));
    if rng.chance(0.6) {
        return found;
    }
    if rng.chance(0.5) {
        let name = any(&mut rng);
        let which = rng.below(8);
        found
            .extend(pod_of(&name, which).map(|view| {
                deed(json!({"type": "DeletePod", "deletePod": {}}), &format!("of {name}"), view)
            }));
    } else {
        let name = node(&mut rng);
        found.push(deed(json!({"type": "Cordon", "cordon": {}}), &name, of_node(&name)));
    }
    found
}

/// Services that use all of their CPU, those that use most first.
fn starving(world: &World) -> Vec<String> {
    let mut used: Vec<(f64, String)> =
        world.topology.services.iter().enumerate().map(|(at, s)| (world.usage[at], s.name.clone())).collect();
    used.sort_by(|a, b| b.0.total_cmp(&a.0));
    used.into_iter().filter(|(percent, _)| *percent > 90.0).map(|(_, name)| name).collect()
}

/// Pods that are being replaced, by service: a quarter of the service's every ten seconds.
#[derive(Default)]
pub(crate) struct Rollout {
    stale: BTreeMap<String, Vec<String>>,
}

/// Seconds between two rounds of a rollout.
const ROUND: u64 = 10;

impl Rollout {
    /// Does to the shop what the plan does to Kubernetes.
    pub(crate) fn carry_out(world: &mut World, plan: &Plan, view: &TargetView) -> Self {
        let mut rollout = Self::default();
        for mutation in &plan.mutations {
            let target = mutation.target();
            match mutation {
                Mutation::Scale(scale) => {
                    let workload = world.cluster.workloads.get_mut(&target.name).unwrap();
                    workload.replicas = u32::try_from(scale.to).unwrap();
                }
                Mutation::Delete(_) => world.cluster.pods.retain(|pod| pod.name != target.name),
                Mutation::Drain(_) => {
                    for pod in world.cluster.pods.iter().filter(|pod| pod.node == target.name) {
                        rollout.stale.entry(pod.service.clone()).or_default().push(pod.name.clone());
                    }
                }
                Mutation::JsonPatch(patch) => {
                    let objects = [&view.workload, &view.config_map, &view.hpa, &view.node];
                    let live = objects
                        .into_iter()
                        .flatten()
                        .find(|o| o["metadata"]["uid"] == target.uid.as_str())
                        .unwrap();
                    let mut after = live.clone();
                    json_patch::patch(&mut after, &patch.operations().unwrap()).unwrap();
                    rollout.object(world, &target.kind, live, &after);
                }
                other => panic!("{other:?} is not played"),
            }
        }
        rollout
    }

    fn object(&mut self, world: &mut World, kind: &str, before: &Value, after: &Value) {
        let name = after["metadata"]["name"].as_str().unwrap();
        match kind {
            "Node" => {
                world.cordoned.insert(name.to_owned());
            }
            "ConfigMap" => {
                let values = after["data"].as_object().unwrap();
                let values =
                    values.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
                world.cluster.configs.insert(name.to_owned(), values.collect());
            }
            "HorizontalPodAutoscaler" => {
                let service = after["spec"]["scaleTargetRef"]["name"].as_str().unwrap();
                let number =
                    |key: &str| after["spec"][key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap();
                let bounds = world.cluster.autoscalers.get_mut(service).unwrap();
                (bounds.min, bounds.max) = (number("minReplicas"), number("maxReplicas"));
            }
            "Deployment" if before["spec"]["template"] != after["spec"]["template"] => {
                let container = &after["spec"]["template"]["spec"]["containers"][0];
                let tag = container["image"].as_str().unwrap().rsplit(':').next().unwrap();
                let milli: f64 = cores(container["resources"]["limits"]["cpu"].as_str().unwrap());
                let workload = world.cluster.workloads.get_mut(name).unwrap();
                (workload.tag, workload.cpu) = (tag.to_owned(), milli);
                // They count as what is asked for until their turn comes, and run on as they are.
                for pod in world.cluster.pods.iter_mut().filter(|pod| pod.service == name) {
                    self.stale.entry(name.to_owned()).or_default().push(pod.name.clone());
                    (pod.tag, pod.cpu) = (tag.to_owned(), milli);
                }
            }
            _ => {}
        }
    }

    /// Takes the next pods away when their turn has come.
    pub(crate) fn second(&mut self, world: &mut World, second: u64) {
        if !second.is_multiple_of(ROUND) {
            return;
        }
        for (service, pods) in &mut self.stale {
            let all = world.cluster.pods.iter().filter(|pod| pod.service == *service).count();
            let now: Vec<String> = pods.drain(..all.div_ceil(4).min(pods.len())).collect();
            world.cluster.pods.retain(|pod| !now.contains(&pod.name));
        }
    }
}

fn cores(text: &str) -> f64 {
    text.strip_suffix('m').map_or_else(|| text.parse().unwrap(), |milli| milli.parse::<f64>().unwrap() / 1e3)
}
