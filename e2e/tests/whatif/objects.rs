//! Objects as Kubernetes would show them of the shop.

use causeway_actions::TargetView;
use causeway_e2e::shop::NAMESPACE;
use causeway_e2e::shop::cluster::{Pod, config_name};
use causeway_e2e::shop::world::World;
use serde_json::{Value, json};

/// What a shop was like before: tags of the releases and values of the configuration of each service, oldest first, with the
/// present ones at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    pub(crate) tags: std::collections::BTreeMap<String, Vec<String>>,
    pub(crate) configs: std::collections::BTreeMap<String, Vec<std::collections::BTreeMap<String, String>>>,
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_780_000_000).unwrap()
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}")})
}

fn template(service: &str, tag: &str, cpu: f64) -> Value {
    json!({"metadata": {"labels": {"app": service}}, "spec": {"containers": [{
        "name": service, "image": format!("registry.example.com/shop/{service}:{tag}"),
        "resources": {"limits": {"cpu": format!("{}m", (cpu * 1e3).round())}}}]}})
}

/// The Deployment of a service.
pub(crate) fn deployment(world: &World, service: &str) -> Value {
    let workload = &world.cluster.workloads[service];
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(service), "spec": {
        "replicas": workload.replicas, "selector": {"matchLabels": {"app": service}},
        "template": template(service, &workload.tag, workload.cpu)}})
}

fn replica_sets(world: &World, past: &Past, service: &str) -> Vec<Value> {
    let cpu = world.cluster.workloads[service].cpu;
    let set = |(at, tag): (usize, &String)| {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": format!("{service}-{at}"), "namespace": NAMESPACE, "uid": format!("uid-{service}-{at}"),
                "annotations": {"deployment.kubernetes.io/revision": (at + 1).to_string()},
                "ownerReferences": [{"kind": "Deployment", "name": service, "uid": format!("uid-{service}"), "controller": true}]},
            "spec": {"template": template(service, tag, cpu)}})
    };
    past.tags.get(service).into_iter().flatten().enumerate().map(set).collect()
}

fn autoscaler(world: &World, service: &str) -> Option<Value> {
    let bounds = world.cluster.autoscalers.get(service)?;
    let name = format!("{service}-hpa");
    Some(
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata(&name), "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
        "minReplicas": bounds.min, "maxReplicas": bounds.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": bounds.target}}}]}}),
    )
}

/// The view of an action on a service.
pub(crate) fn of_service(world: &World, past: &Past, service: &str) -> TargetView {
    TargetView {
        workload: Some(deployment(world, service)),
        hpa: autoscaler(world, service),
        replica_sets: replica_sets(world, past, service),
        ..TargetView::empty("what-if", now())
    }
}

/// The view of an action on the configuration of a service.
pub(crate) fn of_config(world: &World, past: &Past, service: &str) -> TargetView {
    let name = config_name(service);
    let kept = |(at, values): (usize, &std::collections::BTreeMap<String, String>)| {
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": at + 1, "data": {"data": values},
            "metadata": {"name": format!("{name}-{at}"), "namespace": NAMESPACE,
                "ownerReferences": [{"kind": "ConfigMap", "name": name, "uid": format!("uid-{name}")}]}})
    };
    TargetView {
        config_map: Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&name),
            "data": world.cluster.configs[&name]})),
        config_history: past.configs.get(service).into_iter().flatten().enumerate().map(kept).collect(),
        ..of_service(world, past, service)
    }
}

/// The view of an action on a node.
pub(crate) fn of_node(name: &str) -> TargetView {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {}});
    TargetView { node: Some(node), ..TargetView::empty("what-if", now()) }
}

/// The view of an action on a pod.
pub(crate) fn of_pod(pod: &Pod) -> TargetView {
    let owner = json!([{"kind": "ReplicaSet", "name": format!("{}-1", pod.service), "uid": "uid-set", "controller": true}]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name, "namespace": NAMESPACE,
        "uid": format!("uid-{}", pod.name), "ownerReferences": owner}, "status": {}});
    TargetView { pods: vec![pod], ..TargetView::empty("what-if", now()) }
}
