//! Behaviours of the Kubernetes API, each a function of a client and a namespace of its own, so that the same
//! table can be put to any API server that serves the definition of the fixture.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy, WatchEvent, WatchParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::fixture::{boat, boats, cluster};

type Outcome = Pin<Box<dyn Future<Output = ()> + Send>>;
type Behaviour = (&'static str, fn(Client, String) -> Outcome);

macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        const TABLE: &[Behaviour] = &[$((stringify!($name), |client, ns| Box::pin($name(client, ns)))),*];
    };
}

behaviours!(
    create_sets_identity_and_defaults,
    create_twice_is_already_exists,
    create_in_a_missing_namespace_is_not_found,
    generate_name_appends_a_suffix,
    names_and_labels_are_validated,
    unknown_fields_are_pruned_or_refused,
    schema_violations_are_invalid_with_causes,
    cel_rules_refuse_creation_and_transition,
    replace_with_an_old_version_is_a_conflict,
    replace_without_change_keeps_the_version,
    generation_counts_spec_only,
    status_and_spec_do_not_touch_each_other,
    json_patch_tests_hold,
    merge_patch_removes_with_null,
    strategic_patch_merges_containers_by_name,
    strategic_patch_of_a_custom_resource_is_unsupported,
    apply_creates_merges_and_removes,
    apply_conflicts_unless_forced,
    updates_are_recorded_per_manager,
    dry_run_stores_nothing,
    finalizers_delay_deletion,
    preconditions_guard_deletion,
    owners_take_dependents_along,
    orphans_survive,
    foreground_deletion_waits,
    deleting_a_namespace_deletes_its_content,
    lists_select_by_label_and_field,
    lists_page_with_limit_and_continue,
    delete_collection_selects,
    watch_resumes_after_a_version,
    watch_follows_selectors,
    watch_of_the_distant_past_is_gone,
    watch_streams_the_initial_list,
    scale_reads_and_writes_replicas,
    secrets_take_string_data,
    immutable_config_maps_stay,
    deployment_gets_defaults_and_keeps_its_selector,
    events_are_one_store_under_two_groups,
    unknown_resources_are_not_found,
    definitions_are_listed_and_discovered,
);

#[tokio::test]
async fn conformance() {
    let cluster = cluster();
    let mut failed = Vec::new();
    for (index, (name, behaviour)) in TABLE.iter().enumerate() {
        let client = cluster.client("admin");
        let namespace = format!("case-{index}");
        let object: Namespace = serde_json::from_value(json!({ "metadata": { "name": namespace } })).unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let run = tokio::spawn(tokio::time::timeout(Duration::from_secs(20), behaviour(client, namespace)));
        match run.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => failed.push(format!("{name}: no answer")),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} behaviours failed:\n{}",
        failed.len(),
        TABLE.len(),
        failed.join("\n")
    );
}

fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("expected a Status, not {other:?}"),
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn ours() -> PostParams {
    PostParams { field_manager: Some("tester".into()), ..PostParams::default() }
}

async fn create_sets_identity_and_defaults(client: Client, ns: String) {
    let made = boats(&client, &ns)
        .create(&ours(), &boat("a", json!({ "hull": "wood", "cargo": [{ "id": "x" }] })))
        .await
        .unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some() && made.resource_version().is_some());
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(
        made.data["spec"],
        json!({ "hull": "wood", "cargo": [{ "id": "x", "weight": 1 }], "crew": 2 })
    );
    let managed = &made.managed_fields()[0];
    assert_eq!((managed.manager.as_deref(), managed.operation.as_deref()), (Some("tester"), Some("Update")));
    let fields = serde_json::to_value(&managed.fields_v1).unwrap();
    assert!(fields["f:spec"]["f:cargo"]["k:{\"id\":\"x\"}"].is_object(), "{fields}");
}

async fn create_twice_is_already_exists(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let (code, reason, message) = code(api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await);
    assert_eq!(
        (code, reason.as_str(), message.as_str()),
        (409, "AlreadyExists", "boats.test.dev \"a\" already exists")
    );
}

async fn create_in_a_missing_namespace_is_not_found(client: Client, _: String) {
    let api = boats(&client, "nowhere");
    let (code, reason, message) = code(api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await);
    assert_eq!(
        (code, reason.as_str(), message.as_str()),
        (404, "NotFound", "namespaces \"nowhere\" not found")
    );
}

async fn generate_name_appends_a_suffix(client: Client, ns: String) {
    let mut object = boat("", json!({ "hull": "wood" }));
    object.metadata.name = None;
    object.metadata.generate_name = Some("b-".into());
    let made = boats(&client, &ns).create(&ours(), &object).await.unwrap();
    assert!(made.name_any().starts_with("b-") && made.name_any().len() == 7);
}

async fn names_and_labels_are_validated(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let (status, reason, message) =
        code(api.create(&ours(), &boat("Bad_Name", json!({ "hull": "wood" }))).await);
    assert_eq!((status, reason.as_str()), (422, "Invalid"));
    assert!(message.contains("metadata.name: Invalid value: \"Bad_Name\""), "{message}");
    let mut object = boat("a", json!({ "hull": "wood" }));
    object.labels_mut().insert("x".into(), "-bad-".into());
    assert_eq!(code(api.create(&ours(), &object).await).0, 422);
}

async fn unknown_fields_are_pruned_or_refused(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let spec = json!({ "hull": "wood", "keel": 1, "free": { "any": { "thing": 1 } } });
    let made = api.create(&ours(), &boat("a", spec.clone())).await.unwrap();
    assert_eq!(made.data["spec"], json!({ "hull": "wood", "crew": 2, "free": { "any": { "thing": 1 } } }));
    let params = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let (status, _, message) =
        code(api.patch("a", &params, &Patch::Merge(json!({ "spec": { "keel": 1 } }))).await);
    assert_eq!((status, message.as_str()), (400, "strict decoding error: unknown field \"spec.keel\""));
}

async fn schema_violations_are_invalid_with_causes(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let cases = [
        (json!({}), "spec.hull: Required value"),
        (
            json!({ "hull": "paper" }),
            "spec.hull: Unsupported value: \"paper\": supported values: \"wood\", \"steel\"",
        ),
        (json!({ "hull": "wood", "crew": "many" }), "spec.crew in body must be of type integer: \"string\""),
        (json!({ "hull": "wood", "crew": 101 }), "spec.crew in body should be less than or equal to 100"),
        (
            json!({ "hull": "wood", "name": "Xtremely-long" }),
            "spec.name: Too long: may not be more than 10 bytes",
        ),
        (json!({ "hull": "wood", "name": "lower" }), "spec.name in body should match '^[A-Z]'"),
        (json!({ "hull": "wood", "launched": "yesterday" }), "must be of type date-time"),
        (
            json!({ "hull": "wood", "cargo": [{ "id": "x" }, { "id": "x" }] }),
            "spec.cargo[1]: Duplicate value: {\"id\":\"x\"}",
        ),
        (json!({ "hull": "wood", "flags": { "a": 1 } }), "spec.flags.a in body must be of type string"),
    ];
    for (spec, expected) in cases {
        let error = api.create(&ours(), &boat("a", spec.clone())).await.unwrap_err();
        let kube::Error::Api(status) = error else { panic!("{spec}") };
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{spec}");
        assert!(
            status.message.starts_with("Boat.test.dev \"a\" is invalid: ")
                && status.message.contains(expected),
            "{}",
            status.message
        );
        let details = status.details.unwrap();
        assert!(details.causes[0].field.starts_with("spec"), "{details:?}");
    }
}

async fn cel_rules_refuse_creation_and_transition(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let (status, _, message) =
        code(api.create(&ours(), &boat("a", json!({ "hull": "wood", "sails": 3 }))).await);
    assert_eq!(status, 422);
    assert!(message.contains("every sail needs a hand"), "{message}");
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "hull": "steel" } }));
    let (status, _, message) = code(api.patch("a", &PatchParams::default(), &patch).await);
    assert_eq!(status, 422);
    assert!(
        message.contains("spec.hull: Invalid value") && message.contains("hull is immutable"),
        "{message}"
    );
}

async fn replace_with_an_old_version_is_a_conflict(client: Client, ns: String) {
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

async fn replace_without_change_keeps_the_version(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let first = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let again = api.replace("a", &ours(), &first).await.unwrap();
    assert_eq!(first.resource_version(), again.resource_version());
}

async fn generation_counts_spec_only(client: Client, ns: String) {
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

async fn status_and_spec_do_not_touch_each_other(client: Client, ns: String) {
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

async fn json_patch_tests_hold(client: Client, ns: String) {
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

async fn merge_patch_removes_with_null(client: Client, ns: String) {
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

fn deployment(name: &str) -> Value {
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

/// Creates a Deployment from JSON as it is; the typed client would not let numbers through as quantities.
async fn create_raw(client: &Client, ns: &str, object: &Value) {
    let path = format!("/apis/apps/v1/namespaces/{ns}/deployments");
    let request = http::Request::post(path).header("content-type", "application/json");
    client.request::<Deployment>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

async fn strategic_patch_merges_containers_by_name(client: Client, ns: String) {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &ns);
    create_raw(&client, &ns, &deployment("d")).await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "web:2", "env": [{ "name": "B", "value": "2" }] }] } } } });
    let patched = api.patch("d", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let containers = serde_json::to_value(patched.spec.unwrap().template.spec.unwrap().containers).unwrap();
    assert_eq!(containers[0]["image"], "web:2");
    assert_eq!(containers[0]["env"], json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]));
    assert_eq!(containers[1]["image"], "side");
}

async fn strategic_patch_of_a_custom_resource_is_unsupported(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let refused =
        api.patch("a", &PatchParams::default(), &Patch::Strategic(json!({ "spec": { "crew": 3 } }))).await;
    assert_eq!(code(refused).0, 415);
}

fn applied(spec: Value) -> Patch<Value> {
    Patch::Apply(
        json!({ "apiVersion": "test.dev/v1", "kind": "Boat", "metadata": { "name": "a" }, "spec": spec }),
    )
}

async fn apply_creates_merges_and_removes(client: Client, ns: String) {
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

async fn apply_conflicts_unless_forced(client: Client, ns: String) {
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

async fn updates_are_recorded_per_manager(client: Client, ns: String) {
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
    assert_eq!(owned("tester"), json!({ "f:spec": { "f:hull": {} } }));
}

async fn dry_run_stores_nothing(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let dry = PostParams { dry_run: true, ..ours() };
    let made = api.create(&dry, &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    assert_eq!(made.data["spec"]["crew"], 2);
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(code(api.create(&dry, &boat("a", json!({}))).await).0, 422);
    let stored = api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let patched = api.patch("a", &params, &Patch::Merge(json!({ "spec": { "crew": 7 } }))).await.unwrap();
    assert_eq!(patched.data["spec"]["crew"], 7);
    api.delete("a", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().resource_version(), stored.resource_version());
}

async fn finalizers_delay_deletion(client: Client, ns: String) {
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

async fn preconditions_guard_deletion(client: Client, ns: String) {
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

fn owned(name: &str, owner: &DynamicObject) -> DynamicObject {
    let mut object = boat(name, json!({ "hull": "wood" }));
    object.metadata.owner_references = Some(vec![from(json!({
        "apiVersion": "test.dev/v1", "kind": "Boat", "name": owner.name_any(), "uid": owner.uid(), "controller": true, "blockOwnerDeletion": true,
    }))]);
    object
}

async fn owners_take_dependents_along(client: Client, ns: String) {
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

async fn orphans_survive(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let top = api.create(&ours(), &boat("top", json!({ "hull": "wood" }))).await.unwrap();
    api.create(&ours(), &owned("leaf", &top)).await.unwrap();
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    api.delete("top", &params).await.unwrap();
    eventually(|| async { api.get_opt("top").await.unwrap().is_none() }).await;
    assert!(api.get("leaf").await.unwrap().owner_references().is_empty());
}

async fn foreground_deletion_waits(client: Client, ns: String) {
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

async fn deleting_a_namespace_deletes_its_content(client: Client, ns: String) {
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

async fn three(client: &Client, ns: &str) -> Api<DynamicObject> {
    let api = boats(client, ns);
    for (name, hull, team) in [("a", "wood", "red"), ("b", "steel", "red"), ("c", "wood", "blue")] {
        let mut object = boat(name, json!({ "hull": hull }));
        object.labels_mut().insert("team".into(), team.into());
        api.create(&ours(), &object).await.unwrap();
    }
    api
}

async fn lists_select_by_label_and_field(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let cases = [
        (ListParams::default(), "a b c"),
        (ListParams::default().labels("team=red"), "a b"),
        (ListParams::default().labels("team notin (red)"), "c"),
        (ListParams::default().fields("metadata.name=b"), "b"),
        (ListParams::default().fields("spec.hull=wood").labels("team=red"), "a"),
        (ListParams::default().fields("spec.hull!=wood"), "b"),
    ];
    for (params, expected) in cases {
        let names: Vec<String> =
            api.list(&params).await.unwrap().items.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names.join(" "), expected, "{params:?}");
    }
    assert_eq!(code(api.list(&ListParams::default().fields("spec.crew=2")).await).0, 400);
}

async fn lists_page_with_limit_and_continue(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!((second.items.len(), second.items[0].name_any().as_str()), (1, "c"));
    assert!(second.metadata.continue_.is_none_or(|token| token.is_empty()));
}

async fn delete_collection_selects(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("team=red")).await.unwrap();
    let left = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}

async fn watch_resumes_after_a_version(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "crew": 5 } }))).await.unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let mut events = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(o) => seen.push(format!("+{}", o.name_any())),
            WatchEvent::Modified(o) => seen.push(format!("~{}", o.name_any())),
            WatchEvent::Deleted(o) => seen.push(format!("-{}", o.name_any())),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(e) => panic!("{e:?}"),
        }
        if seen.len() == 2 {
            api.create(&ours(), &boat("d", json!({ "hull": "wood" }))).await.unwrap();
        }
    }
    assert_eq!(seen, ["~a", "-b", "+d"]);
}

async fn watch_follows_selectors(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default().labels("team=red"), &version).await.unwrap().boxed();
    let relabel = |team: &str| Patch::Merge(json!({ "metadata": { "labels": { "team": team } } }));
    api.patch("a", &PatchParams::default(), &relabel("blue")).await.unwrap();
    api.patch("c", &PatchParams::default(), &relabel("red")).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(o)) if o.name_any() == "a"));
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(o)) if o.name_any() == "c"));
}

async fn watch_of_the_distant_past_is_gone(client: Client, ns: String) {
    let api: Api<ConfigMap> = Api::namespaced(client, &ns);
    let made = api.create(&ours(), &from(json!({ "metadata": { "name": "m" } }))).await.unwrap();
    let version = made.resource_version().unwrap();
    for index in 0..1100 {
        let patch = Patch::Merge(json!({ "data": { "i": index.to_string() } }));
        api.patch("m", &PatchParams::default(), &patch).await.unwrap();
    }
    let gone = match api.watch(&WatchParams::default(), &version).await {
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
        Ok(events) => match events.boxed().try_next().await.unwrap() {
            Some(WatchEvent::Error(status)) => status.code,
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(gone, 410);
}

async fn watch_streams_the_initial_list(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let mut events = api.watch(&WatchParams::default().initial_events(), "0").await.unwrap().boxed();
    let mut names = Vec::new();
    loop {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(o) => names.push(o.name_any()),
            WatchEvent::Bookmark(mark) => {
                assert_eq!(
                    mark.metadata.annotations.get("k8s.io/initial-events-end").map(String::as_str),
                    Some("true")
                );
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

async fn scale_reads_and_writes_replicas(client: Client, ns: String) {
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

async fn secrets_take_string_data(client: Client, ns: String) {
    let api: Api<Secret> = Api::namespaced(client, &ns);
    let made = api
        .create(&ours(), &from(json!({ "metadata": { "name": "s" }, "stringData": { "k": "hello" } })))
        .await
        .unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert_eq!(made.data.unwrap()["k"].0, b"hello");
    assert!(made.string_data.is_none());
}

async fn immutable_config_maps_stay(client: Client, ns: String) {
    let api: Api<ConfigMap> = Api::namespaced(client, &ns);
    api.create(
        &ours(),
        &from(json!({ "metadata": { "name": "m" }, "data": { "k": "1" }, "immutable": true })),
    )
    .await
    .unwrap();
    let (status, _, message) =
        code(api.patch("m", &PatchParams::default(), &Patch::Merge(json!({ "data": { "k": "2" } }))).await);
    assert_eq!(status, 422);
    assert!(message.contains("immutable"), "{message}");
}

async fn deployment_gets_defaults_and_keeps_its_selector(client: Client, ns: String) {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &ns);
    create_raw(&client, &ns, &deployment("d")).await;
    let made = api.get("d").await.unwrap();
    let spec = serde_json::to_value(made.spec.unwrap()).unwrap();
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"],
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } })
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(
        pod["containers"][1]["resources"]["limits"],
        json!({ "cpu": "2", "memory": "1Gi" }),
        "quantities are text"
    );
    assert_eq!(
        (&pod["restartPolicy"], &pod["terminationGracePeriodSeconds"]),
        (&json!("Always"), &json!(30))
    );
    assert_eq!(
        (&pod["containers"][0]["imagePullPolicy"], &pod["containers"][1]["imagePullPolicy"]),
        (&json!("IfNotPresent"), &json!("Always"))
    );
    assert_eq!(pod["containers"][0]["ports"], json!([{ "containerPort": 80, "protocol": "TCP" }]));
    let moved = json!({ "spec": { "selector": { "matchLabels": { "app": "x" } }, "template": { "metadata": { "labels": { "app": "x" } } } } });
    let (status, _, message) = code(api.patch("d", &PatchParams::default(), &Patch::Merge(moved)).await);
    assert_eq!(status, 422);
    assert!(message.contains("spec.selector") && message.contains("field is immutable"), "{message}");
    let mut wrong = deployment("e");
    wrong["spec"]["template"]["spec"]["containers"][1] = json!({ "name": "side", "image": "side" });
    wrong["spec"]["template"]["metadata"]["labels"] = json!({ "app": "other" });
    assert_eq!(code(api.create(&ours(), &from(wrong)).await).0, 422);
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), &ns);
    assert!(sets.list(&ListParams::default()).await.unwrap().items.is_empty());
    let pods: Api<Pod> = Api::namespaced(client, &ns);
    let pod = pods.create(&ours(), &from(json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }))).await.unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
}

async fn events_are_one_store_under_two_groups(client: Client, ns: String) {
    let new: Api<NewEvent> = Api::namespaced(client.clone(), &ns);
    let event = json!({ "metadata": { "name": "e", "namespace": ns }, "regarding": { "kind": "Pod", "name": "p", "namespace": ns }, "note": "it fell",
        "reason": "Fell", "action": "Fall", "type": "Warning", "eventTime": "2026-05-01T10:00:00.000000Z",
        "reportingController": "tester", "reportingInstance": "t-1" });
    new.create(&ours(), &from(event)).await.unwrap();
    let old: Api<Event> = Api::namespaced(client, &ns);
    let found = old.list(&ListParams::default().fields("involvedObject.name=p,type=Warning")).await.unwrap();
    assert_eq!(
        (found.items[0].message.as_deref(), found.items[0].reporting_component.as_deref()),
        (Some("it fell"), Some("tester"))
    );
    let patched = new
        .patch("e", &PatchParams::default(), &Patch::Merge(json!({ "note": "it stood up" })))
        .await
        .unwrap();
    assert_eq!(patched.note.as_deref(), Some("it stood up"));
    assert_eq!(old.get("e").await.unwrap().message.as_deref(), Some("it stood up"));
}

async fn unknown_resources_are_not_found(client: Client, _: String) {
    let request = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
    let (status, reason, message) = code(client.request::<Value>(request("/apis/test.dev/v1/ships")).await);
    assert_eq!(
        (status, reason.as_str(), message.as_str()),
        (404, "NotFound", "the server could not find the requested resource")
    );
    assert_eq!(code(client.request::<Value>(request("/apis/nope.dev/v1")).await).0, 404);
}

async fn definitions_are_listed_and_discovered(client: Client, _: String) {
    let resources = client.list_api_group_resources("test.dev/v1").await.unwrap().resources;
    let names: Vec<&str> = resources.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["boats", "boats/status", "boats/scale"]);
    assert!(client.list_core_api_resources("v1").await.unwrap().resources.iter().any(|r| r.name == "pods"));
    let crds: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(client.clone());
    let definition = crds.get("boats.test.dev").await.unwrap();
    let conditions = definition.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True"));
    let found = kube::discovery::Discovery::new(client).run_aggregated().await.unwrap();
    assert!(found.has_group("test.dev") && found.has_group("apps"));
}

/// Waits for what a real server's controllers do in the background.
async fn eventually<F, Fut>(check: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    while !check().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
