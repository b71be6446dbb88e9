//! What behaviours share: objects, expectations, waiting.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DynamicObject, Patch, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::fixture::{boat, boats};

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("expected a Status, not {other:?}"),
    }
}

pub(crate) fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn ours() -> PostParams {
    PostParams { field_manager: Some("tester".into()), ..PostParams::default() }
}

/// Waits for what a real server's controllers do in the background.
pub(crate) async fn eventually<F, Fut>(check: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let waits = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("it did not happen within 30 s");
}

pub(crate) async fn three(client: &Client, ns: &str) -> Api<DynamicObject> {
    let api = boats(client, ns);
    for (name, hull, team) in [("a", "wood", "red"), ("b", "steel", "red"), ("c", "wood", "blue")] {
        let mut object = boat(name, json!({ "hull": hull }));
        object.labels_mut().insert("team".into(), team.into());
        api.create(&ours(), &object).await.unwrap();
    }
    api
}

/// Creates a Deployment from JSON as it is; the typed client would not let numbers through as quantities.
pub(crate) async fn create_raw(client: &Client, ns: &str, object: &Value) {
    let path = format!("/apis/apps/v1/namespaces/{ns}/deployments");
    let request = http::Request::post(path).header("content-type", "application/json");
    client.request::<Deployment>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "selector": { "matchLabels": { "app": name } }, "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [
                { "name": "web", "image": "web:1", "env": [{ "name": "A", "value": "1" }], "ports": [{ "containerPort": 80 }] },
                { "name": "side", "image": "side", "resources": { "limits": { "cpu": 2, "memory": "1Gi" } }, "env": null } ] },
        } },
    })
}

pub(crate) fn owned(name: &str, owner: &DynamicObject) -> DynamicObject {
    let mut object = boat(name, json!({ "hull": "wood" }));
    object.metadata.owner_references = Some(vec![from(json!({
        "apiVersion": "test.dev/v1", "kind": "Boat", "name": owner.name_any(), "uid": owner.uid(), "controller": true, "blockOwnerDeletion": true,
    }))]);
    object
}

pub(crate) fn applied(spec: Value) -> Patch<Value> {
    Patch::Apply(
        json!({ "apiVersion": "test.dev/v1", "kind": "Boat", "metadata": { "name": "a" }, "spec": spec }),
    )
}
