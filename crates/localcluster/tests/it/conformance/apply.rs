//! Server-side apply and field ownership.

use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::support::{applied, code, ours};
use crate::fixture::{boat, boats};

pub(crate) async fn apply_creates_merges_and_removes(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let one = PatchParams::apply("one");
    let made = api
        .patch("a", &one, &applied(json!({ "hull": "wood", "name": "Ann", "cargo": [{ "id": "x" }] })))
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let again = api
        .patch("a", &one, &applied(json!({ "hull": "wood", "name": "Ann", "cargo": [{ "id": "x" }] })))
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        made.resource_version(),
        "an apply that changes nothing writes nothing"
    );
    let two = PatchParams::apply("two");
    let both =
        api.patch("a", &two, &applied(json!({ "cargo": [{ "id": "y", "weight": 4 }] }))).await.unwrap();
    assert_eq!(both.data["spec"]["cargo"], json!([{ "id": "x", "weight": 1 }, { "id": "y", "weight": 4 }]));
    let less = api.patch("a", &one, &applied(json!({ "hull": "wood" }))).await.unwrap();
    assert_eq!(
        less.data["spec"],
        json!({ "hull": "wood", "cargo": [{ "id": "y", "weight": 4 }], "crew": 2 })
    );
    let status =
        Patch::Apply(json!({ "apiVersion": "test.dev/v1", "kind": "Boat", "status": { "phase": "Sea" } }));
    let status = api.patch_status("a", &PatchParams::apply("three").force(), &status).await.unwrap();
    assert_eq!(status.data["status"], json!({ "phase": "Sea" }));
    let entry =
        status.managed_fields().iter().find(|e| e.manager.as_deref() == Some("three")).unwrap().clone();
    assert_eq!(entry.subresource.as_deref(), Some("status"));
}

pub(crate) async fn apply_conflicts_unless_forced(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.patch("a", &PatchParams::apply("one"), &applied(json!({ "hull": "wood", "crew": 3 }))).await.unwrap();
    let two = PatchParams::apply("two");
    let (status, reason, message) = code(api.patch("a", &two, &applied(json!({ "crew": 4 }))).await);
    assert_eq!((status, reason.as_str()), (409, "Conflict"));
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"one\": .spec.crew");
    api.patch("a", &two, &applied(json!({ "crew": 3 }))).await.unwrap();
    let forced = api.patch("a", &two.clone().force(), &applied(json!({ "crew": 4 }))).await.unwrap();
    assert_eq!(forced.data["spec"]["crew"], 4);
    let one = forced.managed_fields().iter().find(|e| e.manager.as_deref() == Some("one")).unwrap().clone();
    assert_eq!(serde_json::to_value(one.fields_v1).unwrap(), json!({ "f:spec": { "f:hull": {} } }));
}

pub(crate) async fn updates_are_recorded_per_manager(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood", "crew": 3 }))).await.unwrap();
    let other = PatchParams { field_manager: Some("other".into()), ..PatchParams::default() };
    let patched = api.patch("a", &other, &Patch::Merge(json!({ "spec": { "crew": 4 } }))).await.unwrap();
    let owned = |manager: &str| {
        let entries = patched.managed_fields();
        let entry = entries.iter().find(|e| e.manager.as_deref() == Some(manager)).unwrap();
        serde_json::to_value(&entry.fields_v1).unwrap()
    };
    assert_eq!(owned("other"), json!({ "f:spec": { "f:crew": {} } }));
    assert_eq!(owned("tester"), json!({ "f:spec": { ".": {}, "f:hull": {} } }));
}
