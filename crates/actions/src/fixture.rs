//! Live objects as an API server returns them, for tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::inverse::Inverse;
use crate::mutation::Mutation;
use crate::plan::Plan;
use crate::view::TargetView;

pub(crate) fn view() -> TargetView {
    TargetView {
        workload: Some(deployment()),
        replica_sets: vec![replica_set(6), replica_set(7), replica_set(8)],
        ..TargetView::empty("checkout-7f3a-1", "2026-11-27T20:00:00Z".parse().unwrap())
    }
}

pub(crate) fn config_view() -> TargetView {
    let revision = |number: i64, nl: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": number,
            "metadata": {"name": format!("tax-rates-{number}"), "namespace": "shop",
                "ownerReferences": [{"uid": "cm-1", "kind": "ConfigMap", "name": "tax-rates"}]},
            "data": {"data": {"NL": nl, "BE": "0.21"}},
        })
    };
    TargetView {
        config_map: Some(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "tax-rates", "namespace": "shop", "uid": "cm-1"},
            "data": {"NL": "2.1", "BE": "0.21"},
        })),
        config_history: vec![revision(4, "0.21"), revision(5, "2.1"), revision(3, "0.19")],
        ..view()
    }
}

pub(crate) fn hpa(min: i32, max: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "hpa-1"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
            "minReplicas": min, "maxReplicas": max},
    })
}

/// A pod of the workload; `ready` and the number of restarts as its status tells.
pub(crate) fn pod(name: &str, ready: bool, restarts: i64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"app": "checkout"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-8", "uid": "rs-8", "controller": true}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": "checkout", "restartCount": restarts}]},
    })
}

pub(crate) fn node_view() -> TargetView {
    TargetView {
        node: Some(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "uid": "node-uid"}, "spec": {"podCIDR": "10.0.0.0/24"},
        })),
        ..TargetView::empty("node-1-run", "2026-11-27T20:00:00Z".parse().unwrap())
    }
}

pub(crate) fn replica_set(revision: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("checkout-{revision}"), "namespace": "shop", "uid": format!("rs-{revision}"),
            "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": "dep-1"}]},
        "spec": {"replicas": 0, "template": template(revision, Some("abc"))},
    })
}

pub(crate) fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "dep-1", "resourceVersion": "42",
            "annotations": {"deployment.kubernetes.io/revision": "8"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "checkout"}}, "template": template(8, None)},
    })
}

fn template(release: i64, hash: Option<&str>) -> Value {
    let mut labels = json!({"app": "checkout"});
    if let Some(hash) = hash {
        labels["pod-template-hash"] = Value::from(format!("{hash}{release}"));
    }
    json!({
        "metadata": {"labels": labels, "creationTimestamp": null},
        "spec": {"containers": [
            {"name": "proxy", "image": "registry.example.com/proxy:1"},
            {"name": "checkout", "image": format!("registry.example.com/checkout:{release}"),
             "resources": {"limits": {"memory": "512Mi"}}},
        ]},
    })
}

/// Objects of the view by kind, after the mutations.
pub(crate) fn apply(mutations: &[Mutation], view: &TargetView) -> BTreeMap<String, Value> {
    run(mutations, objects(view))
}

/// Asserts that the inverse leads back from where the mutations lead.
pub(crate) fn restores(plan: &Plan, view: &TargetView) {
    let before = objects(view);
    let after = run(&plan.mutations, before.clone());
    assert_ne!(before, after, "the plan changes nothing");
    let Inverse::Mutations(back) = &plan.inverse else { panic!("{:?}", plan.inverse) };
    assert_eq!(run(back, after), before);
}

fn objects(view: &TargetView) -> BTreeMap<String, Value> {
    let live = [&view.workload, &view.config_map, &view.hpa, &view.node];
    live.into_iter()
        .flatten()
        .chain(&view.extra)
        .map(|o| (o["kind"].as_str().unwrap().to_owned(), o.clone()))
        .collect()
}

fn run(mutations: &[Mutation], mut objects: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    for mutation in mutations {
        let object = objects.get_mut(&mutation.target().kind).unwrap();
        match mutation {
            Mutation::JsonPatch(patch) => json_patch::patch(object, &patch.operations().unwrap()).unwrap(),
            Mutation::Scale(scale) => {
                assert_eq!(object["spec"]["replicas"], scale.from);
                object["spec"]["replicas"] = Value::from(scale.to);
            }
            _ => {}
        }
    }
    objects
}
