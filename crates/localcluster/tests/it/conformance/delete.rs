//! Deletion: finalizers, preconditions, dependents, namespaces.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::support::{code, eventually, from, ours, owned, three};
use crate::fixture::{boat, boats};

pub(crate) async fn finalizers_delay_deletion(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let mut object = boat("a", json!({ "hull": "wood" }));
    object.metadata.finalizers = Some(vec!["test.dev/hold".into()]);
    api.create(&ours(), &object).await.unwrap();
    assert!(
        api.delete("a", &DeleteParams::default()).await.unwrap().is_left(),
        "the object comes back, marked"
    );
    let marked = api.get("a").await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.generation, Some(2));
    let pp = PatchParams::default();
    let added = Patch::Merge(json!({ "metadata": { "finalizers": ["test.dev/hold", "test.dev/more"] } }));
    assert_eq!(code(api.patch("a", &pp, &added).await).0, 422);
    api.patch("a", &pp, &Patch::Merge(json!({ "metadata": { "finalizers": null } }))).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

pub(crate) async fn preconditions_guard_deletion(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let made = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let with = |uid: &str| DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert_eq!(code(api.delete("a", &with("other")).await).0, 409);
    assert!(api.delete("a", &with(&made.uid().unwrap())).await.unwrap().is_right());
    assert_eq!(code(api.delete("a", &DeleteParams::default()).await).0, 404);
}

pub(crate) async fn owners_take_dependents_along(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let top = api.create(&ours(), &boat("top", json!({ "hull": "wood" }))).await.unwrap();
    let middle = api.create(&ours(), &owned("middle", &top)).await.unwrap();
    api.create(&ours(), &owned("leaf", &middle)).await.unwrap();
    api.delete("top", &DeleteParams::background()).await.unwrap();
    eventually(|| async { api.list(&ListParams::default()).await.unwrap().items.is_empty() }).await;
    let lost = owned("lost", &top);
    api.create(&ours(), &lost).await.unwrap();
    eventually(|| async { api.get_opt("lost").await.unwrap().is_none() }).await;
}

pub(crate) async fn orphans_survive(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let top = api.create(&ours(), &boat("top", json!({ "hull": "wood" }))).await.unwrap();
    let gone = api.create(&ours(), &boat("gone", json!({ "hull": "wood" }))).await.unwrap();
    api.delete("gone", &DeleteParams::default()).await.unwrap();
    api.create(&ours(), &owned("leaf", &top)).await.unwrap();
    // The garbage collector lets go of the dependents that it has seen: when this one is collected, it has seen the leaf.
    api.create(&ours(), &owned("later", &gone)).await.unwrap();
    eventually(|| async { api.get_opt("later").await.unwrap().is_none() }).await;
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    api.delete("top", &params).await.unwrap();
    eventually(|| async { api.get_opt("top").await.unwrap().is_none() }).await;
    assert!(api.get("leaf").await.unwrap().owner_references().is_empty());
}

pub(crate) async fn foreground_deletion_waits(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let top = api.create(&ours(), &boat("top", json!({ "hull": "wood" }))).await.unwrap();
    let mut leaf = owned("leaf", &top);
    leaf.metadata.finalizers = Some(vec!["test.dev/hold".into()]);
    api.create(&ours(), &leaf).await.unwrap();
    api.delete("top", &DeleteParams::foreground()).await.unwrap();
    eventually(|| async { api.get("leaf").await.unwrap().metadata.deletion_timestamp.is_some() }).await;
    let waiting = api.get("top").await.unwrap();
    assert_eq!(waiting.finalizers(), ["foregroundDeletion"]);
    api.patch("leaf", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "finalizers": null } })))
        .await
        .unwrap();
    eventually(|| async { api.list(&ListParams::default()).await.unwrap().items.is_empty() }).await;
}

pub(crate) async fn deleting_a_namespace_deletes_its_content(client: Client, ns: String) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = format!("{ns}-more");
    namespaces.create(&ours(), &from(json!({ "metadata": { "name": name } }))).await.unwrap();
    let api = boats(&client, &name);
    let mut held = boat("held", json!({ "hull": "wood" }));
    held.metadata.finalizers = Some(vec!["test.dev/hold".into()]);
    api.create(&ours(), &held).await.unwrap();
    api.create(&ours(), &boat("free", json!({ "hull": "wood" }))).await.unwrap();
    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually(|| async { api.get_opt("free").await.unwrap().is_none() }).await;
    let going = namespaces.get(&name).await.unwrap();
    assert_eq!(going.status.unwrap().phase.as_deref(), Some("Terminating"));
    let (status, _, message) = code(api.create(&ours(), &boat("late", json!({ "hull": "wood" }))).await);
    assert_eq!(status, 403);
    assert!(message.contains("because it is being terminated"), "{message}");
    api.patch("held", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "finalizers": null } })))
        .await
        .unwrap();
    eventually(|| async { namespaces.get_opt(&name).await.unwrap().is_none() }).await;
}

pub(crate) async fn delete_collection_selects(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("team=red")).await.unwrap();
    let left = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}
