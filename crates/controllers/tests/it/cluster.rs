//! What pods, nodes and autoscalers say reaches the engine: states, places, changes.

use causeway_crds::MonitoredService;
use causeway_engine::{ChangeClass, StateKind};
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{SHOP, World};

async fn pod(world: &World, name: &str, status: Value) {
    // A pod whose owner does not exist is garbage.
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}});
    let set = json!({"metadata": {"name": "web-5d4f9c"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}});
    let uid = world.create::<ReplicaSet>(set).await.uid();
    let object = json!({
        "metadata": {"name": name, "labels": {"pod-template-hash": "5d4f9c"}, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f9c", "uid": uid, "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "shop/web:1"}]}});
    world.create::<Pod>(object).await;
    becomes(world, name, status).await;
}

async fn becomes(world: &World, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    world.api::<Pod>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

fn container(ready: bool, restarts: i32, state: Value, last: Value) -> Value {
    json!({"phase": "Running", "podIP": "10.1.0.9", "podIPs": [{"ip": "10.1.0.9"}], "containerStatuses": [{
        "name": "main", "image": "shop/web:1", "imageID": "", "ready": ready, "restartCount": restarts,
        "state": state, "lastState": last}]})
}

fn running() -> Value {
    container(true, 0, json!({"running": {"startedAt": "2026-11-27T20:00:00Z"}}), json!({}))
}

async fn taking_part() -> World {
    let mut world = World::new().await;
    world.deployment("web").await;
    world
        .create::<MonitoredService>(
            json!({"metadata": {"name": "web"}, "spec": {"telemetryName": "shop/web"}}),
        )
        .await;
    world.start();
    world.settle().await;
    world
}

#[tokio::test]
async fn a_crash_loop_is_a_state_of_its_service_until_the_container_is_ready() {
    let world = taking_part().await;
    pod(&world, "web-5d4f9c-a", running()).await;
    world.settle().await;
    assert_eq!(*world.engine.states.lock().unwrap(), Some(Vec::new()));
    let placements = world.engine.placements.lock().unwrap().clone();
    assert_eq!(placements.len(), 1);
    assert_eq!((placements[0].service.as_str(), placements[0].node.as_str()), ("shop/web", "n1"));
    assert_eq!(placements[0].addresses, ["10.1.0.9"]);

    let waits = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let ended = json!({"terminated": {"reason": "Error", "exitCode": 3}});
    becomes(&world, "web-5d4f9c-a", container(false, 4, waits, ended)).await;
    world.settle().await;
    let states = world.engine.states.lock().unwrap().clone().unwrap();
    assert_eq!(states.len(), 1);
    let state = &states[0];
    assert_eq!(
        (state.namespace.as_str(), state.entity.as_str(), state.kind),
        (SHOP, "shop/web", StateKind::CrashLoop)
    );
    assert_eq!(state.object, "Pod/shop/web-5d4f9c-a");
    assert!(state.note.contains("4 restarts") && state.note.contains("exit code 3"), "{}", state.note);

    becomes(&world, "web-5d4f9c-a", running()).await;
    world.settle().await;
    assert_eq!(*world.engine.states.lock().unwrap(), Some(Vec::new()));
}

#[tokio::test]
async fn a_namespace_that_takes_no_part_is_left_alone() {
    let mut world = World::new().await;
    world.start();
    world.settle().await;
    let waits = json!({"waiting": {"reason": "ImagePullBackOff"}});
    pod(&world, "web-5d4f9c-a", container(false, 0, waits, json!({}))).await;
    world.settle().await;
    assert_eq!(*world.engine.states.lock().unwrap(), Some(Vec::new()));
    // It begins to take part.
    world
        .create::<MonitoredService>(
            json!({"metadata": {"name": "web"}, "spec": {"telemetryName": "shop/web"}}),
        )
        .await;
    world.settle().await;
    let states = world.engine.states.lock().unwrap().clone().unwrap();
    assert_eq!(states.iter().map(|s| s.kind).collect::<Vec<_>>(), [StateKind::ImagePull]);
}

#[tokio::test]
async fn a_node_that_is_not_ready_concerns_the_namespaces_with_pods_on_it_and_is_a_change() {
    let world = taking_part().await;
    let ready = |status: &str| {
        json!({"status": {"conditions": [{"type": "Ready", "status": status,
        "message": "Kubelet stopped posting node status."}]}})
    };
    let nodes: Api<Node> = Api::all(world.client.clone());
    world.create_global::<Node>(json!({"metadata": {"name": "n1"}})).await;
    world.create_global::<Node>(json!({"metadata": {"name": "n2"}})).await;
    let patch = async |name: &str, status: &str| {
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(ready(status))).await.unwrap();
        world.settle().await;
    };
    patch("n1", "True").await;
    patch("n2", "Unknown").await;
    pod(&world, "web-5d4f9c-a", running()).await;
    world.settle().await;
    assert_eq!(*world.engine.states.lock().unwrap(), Some(Vec::new()), "nothing runs on n2");
    patch("n1", "Unknown").await;
    let states = world.engine.states.lock().unwrap().clone().unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!((states[0].entity.as_str(), states[0].kind), ("Node/n1", StateKind::NodeNotReady));
    let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    nodes.patch("n1", &PatchParams::default(), &cordon).await.unwrap();
    world.settle().await;
    nodes.delete("n1", &DeleteParams::default()).await.unwrap();
    let seen = || {
        let changes = world.engine.changes.lock().unwrap();
        changes.iter().filter(|(c, _)| c.object == "Node/n1").map(|(c, _)| c.clone()).collect::<Vec<_>>()
    };
    world.until(|| seen().iter().any(|c| c.description.contains("left"))).await;
    let changes = seen();
    assert!(changes.iter().all(|c| c.class == ChangeClass::Infrastructure), "{changes:?}");
    assert!(
        changes
            .iter()
            .any(|c| c.diff.iter().any(|(path, _, new)| path == "spec.unschedulable" && new == "true"))
    );
}

#[tokio::test]
async fn an_autoscaler_and_a_push_by_flux_are_changes_with_their_author() {
    let world = taking_part().await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let scaler = json!({"metadata": {"name": "web"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8}});
    world.create::<HorizontalPodAutoscaler>(scaler).await;
    let flux = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    world
        .create::<ConfigMap>(json!({"metadata": {"name": "rates", "labels": flux}, "data": {"NL": "0.21"}}))
        .await;
    let loads = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "envFrom": [{"configMapRef": {"name": "rates"}}]}]}}}});
    world
        .api::<k8s_openapi::api::apps::v1::Deployment>()
        .patch("web", &PatchParams::default(), &Patch::Strategic(loads))
        .await
        .unwrap();
    world.settle().await;
    world.engine.changes.lock().unwrap().clear();
    world.patch::<HorizontalPodAutoscaler>("web", json!({"spec": {"maxReplicas": 3}})).await;
    let revision = json!({"kustomize.toolkit.fluxcd.io/revision": "main@sha1:1b7e"});
    let push = Patch::Merge(json!({"metadata": {"annotations": revision}, "data": {"NL": "2.1"}}));
    let by = PatchParams { field_manager: Some("kustomize-controller".into()), ..PatchParams::default() };
    let pushed = world.api::<ConfigMap>().patch("rates", &by, &push).await.unwrap();
    assert_eq!(pushed.name_any(), "rates");
    world.settle().await;
    let changes = world.engine.changes.lock().unwrap().clone();
    let of = |object: &str| {
        changes.iter().map(|(c, _)| c).find(|c| c.object == object).unwrap_or_else(|| panic!("{changes:?}"))
    };
    let scaler = of("HorizontalPodAutoscaler/shop/web");
    assert_eq!((scaler.entity.as_str(), scaler.class), ("shop/web", ChangeClass::Scaling));
    assert_eq!(scaler.diff, [("spec.maxReplicas".to_owned(), "8".to_owned(), "3".to_owned())]);
    let config = of("ConfigMap/shop/rates");
    assert_eq!(config.author, "kustomize-controller (Flux flux-system/apps, main@sha1:1b7e)");
    assert_eq!(config.diff, [("data.NL".to_owned(), "0.21".to_owned(), "2.1".to_owned())]);
}

#[tokio::test]
async fn stateful_and_daemon_sets_and_what_they_load_are_changes_and_secrets_stay_secret() {
    let world = taking_part().await;
    let secret =
        |value: &str| json!({"metadata": {"name": "db"}, "stringData": {"password": value, "user": "shop"}});
    world.create::<Secret>(secret("first")).await;
    let template = |name: &str| {
        json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "main", "image": format!("{name}:1"), "envFrom": [{"secretRef": {"name": "db"}}]}]}})
    };
    let spec = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {"serviceName": name,
            "selector": {"matchLabels": {"app": name}}, "template": template(name)}})
    };
    world.create::<StatefulSet>(spec("db")).await;
    let mut agent = spec("agent");
    agent["spec"].as_object_mut().unwrap().remove("serviceName");
    world.create::<DaemonSet>(agent).await;
    world.settle().await;
    assert!(
        world.engine.changes.lock().unwrap().is_empty(),
        "what is seen for the first time was not changed"
    );
    let image = |image: &str| {
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image,
        "envFrom": [{"secretRef": {"name": "db"}}]}]}}}})
    };
    world.patch::<StatefulSet>("db", image("db:2")).await;
    world.patch::<DaemonSet>("agent", image("agent:2")).await;
    let seen = |object: &str| {
        let changes = world.engine.changes.lock().unwrap();
        changes.iter().filter(|(c, _)| c.object == object).map(|(c, _)| c.clone()).collect::<Vec<_>>()
    };
    world.until(|| !seen("StatefulSet/shop/db").is_empty() && !seen("DaemonSet/shop/agent").is_empty()).await;
    for (object, entity) in [("StatefulSet/shop/db", "shop/db"), ("DaemonSet/shop/agent", "shop/agent")] {
        let change = &seen(object)[0];
        assert_eq!((change.entity.as_str(), change.class), (entity, ChangeClass::Release));
    }
    world.patch::<Secret>("db", json!({"stringData": {"password": "second"}})).await;
    world.until(|| seen("Secret/shop/db").len() == 2).await;
    let changes = seen("Secret/shop/db");
    let mut entities: Vec<&str> = changes.iter().map(|c| c.entity.as_str()).collect();
    entities.sort_unstable();
    assert_eq!(entities, ["shop/agent", "shop/db"]);
    let [(path, old, new)] = changes[0].diff.as_slice() else { panic!("{changes:?}") };
    assert_eq!(path, "data.password");
    assert!(old.starts_with("hash ") && new.starts_with("hash ") && old != new, "{changes:?}");
    assert!(!format!("{changes:?}").contains("second"), "{changes:?}");
}

#[tokio::test]
async fn a_service_shows_its_neighbours() {
    let world = taking_part().await;
    let known = async || {
        let object: MonitoredService = world.get("web").await;
        let status = object.status.unwrap();
        let conditions = serde_json::to_value(&status.conditions).unwrap();
        let known =
            conditions.as_array().unwrap().iter().find(|c| c["type"] == "TopologyKnown").cloned().unwrap();
        (status.topology, known["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(known().await, (None, "NotSeenYet".to_owned()));
    let neighbours = causeway_engine::Neighbours { callers: 1, callees: 3, inferred: 2 };
    world.engine.neighbours.lock().unwrap().replace(neighbours);
    world.leap(600).await;
    let (topology, reason) = known().await;
    let topology = topology.unwrap();
    assert_eq!((topology.upstreams, topology.downstreams, topology.inferred_edges), (1, 3, 2));
    assert_eq!(reason, "Observed");
}
