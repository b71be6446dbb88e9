//! Replacement, patches, status and scale.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::support::{code, create_raw, deployment, from, ours};
use crate::fixture::{boat, boats};

pub(crate) async fn replace_with_an_old_version_is_a_conflict(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let first = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let mut next = first.clone();
    next.data["spec"]["crew"] = 5.into();
    api.replace("a", &ours(), &next).await.unwrap();
    let (status, reason, message) = code(api.replace("a", &ours(), &next).await);
    assert_eq!((status, reason.as_str()), (409, "Conflict"));
    assert!(message.contains("the object has been modified"), "{message}");
    next.metadata.resource_version = None;
    let (status, _, message) = code(api.replace("a", &ours(), &next).await);
    assert_eq!(status, 422);
    assert!(message.contains("metadata.resourceVersion"), "{message}");
}

pub(crate) async fn replace_without_change_keeps_the_version(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let first = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let again = api.replace("a", &ours(), &first).await.unwrap();
    assert_eq!(first.resource_version(), again.resource_version());
}

pub(crate) async fn generation_counts_spec_only(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let patch = |value: Value| Patch::Merge(value);
    let pp = PatchParams::default();
    let labelled =
        api.patch("a", &pp, &patch(json!({ "metadata": { "labels": { "x": "y" } } }))).await.unwrap();
    assert_eq!(labelled.metadata.generation, Some(1));
    let status = api.patch_status("a", &pp, &patch(json!({ "status": { "phase": "Sea" } }))).await.unwrap();
    assert_eq!(status.metadata.generation, Some(1));
    let spec = api.patch("a", &pp, &patch(json!({ "spec": { "crew": 3 } }))).await.unwrap();
    assert_eq!(spec.metadata.generation, Some(2));
}

pub(crate) async fn status_and_spec_do_not_touch_each_other(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let mut object = boat("a", json!({ "hull": "wood" }));
    object.data["status"] = json!({ "phase": "Ignored" });
    let made = api.create(&ours(), &object).await.unwrap();
    assert!(made.data.get("status").is_none());
    let both = Patch::Merge(json!({ "spec": { "crew": 9 }, "status": { "phase": "Sea" } }));
    let pp = PatchParams::default();
    let status = api.patch_status("a", &pp, &both).await.unwrap();
    assert_eq!((&status.data["spec"]["crew"], &status.data["status"]["phase"]), (&json!(2), &json!("Sea")));
    let main = api
        .patch("a", &pp, &Patch::Merge(json!({ "spec": { "crew": 9 }, "status": { "phase": "Land" } })))
        .await
        .unwrap();
    assert_eq!((&main.data["spec"]["crew"], &main.data["status"]["phase"]), (&json!(9), &json!("Sea")));
    let mut replaced = main.clone();
    replaced.data["status"] = json!({ "phase": "Port" });
    replaced.data["spec"]["crew"] = 1.into();
    let replaced = api.replace_status("a", &ours(), &replaced).await.unwrap();
    assert_eq!(
        (&replaced.data["spec"]["crew"], &replaced.data["status"]["phase"]),
        (&json!(9), &json!("Port"))
    );
}

pub(crate) async fn json_patch_tests_hold(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let made = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let run = |ops: Value| {
        let api = api.clone();
        async move { api.patch("a", &PatchParams::default(), &Patch::Json::<()>(from(ops))).await }
    };
    let wrong = json!([{ "op": "test", "path": "/spec/crew", "value": 7 }, { "op": "replace", "path": "/spec/crew", "value": 8 }]);
    assert_eq!(code(run(wrong).await).0, 422);
    let stale = json!([{ "op": "replace", "path": "/metadata/resourceVersion", "value": "1" }, { "op": "replace", "path": "/spec/crew", "value": 8 }]);
    assert_eq!(code(run(stale).await).0, 409);
    let version = made.resource_version().unwrap();
    let right = json!([{ "op": "test", "path": "/spec/crew", "value": 2 }, { "op": "replace", "path": "/metadata/resourceVersion", "value": version },
        { "op": "replace", "path": "/spec/crew", "value": 8 }]);
    assert_eq!(run(right).await.unwrap().data["spec"]["crew"], 8);
}

pub(crate) async fn merge_patch_removes_with_null(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(
        &ours(),
        &boat("a", json!({ "hull": "wood", "name": "Ann", "flags": { "a": "1", "b": "2" } })),
    )
    .await
    .unwrap();
    let patch = Patch::Merge(json!({ "spec": { "name": null, "flags": { "a": null }, "crew": null } }));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(
        patched.data["spec"],
        json!({ "hull": "wood", "flags": { "b": "2" }, "crew": 2 }),
        "crew falls back to its default"
    );
}

pub(crate) async fn strategic_patch_merges_containers_by_name(client: Client, ns: String) {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &ns);
    create_raw(&client, &ns, &deployment("d")).await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "web:2", "env": [{ "name": "B", "value": "2" }] }] } } } });
    let patched = api.patch("d", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let containers = serde_json::to_value(patched.spec.unwrap().template.spec.unwrap().containers).unwrap();
    assert_eq!(containers[0]["image"], "web:2");
    assert_eq!(containers[0]["env"], json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]));
    assert_eq!(containers[1]["image"], "side");
}

pub(crate) async fn strategic_patch_of_a_custom_resource_is_unsupported(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let refused =
        api.patch("a", &PatchParams::default(), &Patch::Strategic(json!({ "spec": { "crew": 3 } }))).await;
    assert_eq!(code(refused).0, 415);
}

pub(crate) async fn scale_reads_and_writes_replicas(client: Client, ns: String) {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &ns);
    create_raw(&client, &ns, &deployment("d")).await;
    let scale = api.get_scale("d").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(1));
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=d"));
    let patch = Patch::Merge(json!({ "spec": { "replicas": 4 } }));
    assert_eq!(
        api.patch_scale("d", &PatchParams::default(), &patch).await.unwrap().spec.unwrap().replicas,
        Some(4)
    );
    let after = api.get("d").await.unwrap();
    assert_eq!((after.spec.unwrap().replicas, after.metadata.generation), (Some(4), Some(2)));
    let bad = Patch::Merge(json!({ "spec": { "replicas": -1 } }));
    assert_eq!(code(api.patch_scale("d", &PatchParams::default(), &bad).await).0, 422);
    boats(&client, &ns).create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let scaled = boats(&client, &ns).patch_scale("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(4));
}
