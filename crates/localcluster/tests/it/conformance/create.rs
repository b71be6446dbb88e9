//! Creation: identity, defaults, validation, rehearsal.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::support::{code, ours};
use crate::fixture::{boat, boats};

pub(crate) async fn create_sets_identity_and_defaults(client: Client, ns: String) {
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

pub(crate) async fn create_twice_is_already_exists(client: Client, ns: String) {
    let api = boats(&client, &ns);
    api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let (code, reason, message) = code(api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await);
    assert_eq!(
        (code, reason.as_str(), message.as_str()),
        (409, "AlreadyExists", "boats.test.dev \"a\" already exists")
    );
}

pub(crate) async fn create_in_a_missing_namespace_is_not_found(client: Client, _: String) {
    let api = boats(&client, "nowhere");
    let (code, reason, message) = code(api.create(&ours(), &boat("a", json!({ "hull": "wood" }))).await);
    assert_eq!(
        (code, reason.as_str(), message.as_str()),
        (404, "NotFound", "namespaces \"nowhere\" not found")
    );
}

pub(crate) async fn generate_name_appends_a_suffix(client: Client, ns: String) {
    let mut object = boat("", json!({ "hull": "wood" }));
    object.metadata.name = None;
    object.metadata.generate_name = Some("b-".into());
    let made = boats(&client, &ns).create(&ours(), &object).await.unwrap();
    assert!(made.name_any().starts_with("b-") && made.name_any().len() == 7);
}

pub(crate) async fn names_and_labels_are_validated(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let (status, reason, message) =
        code(api.create(&ours(), &boat("Bad_Name", json!({ "hull": "wood" }))).await);
    assert_eq!((status, reason.as_str()), (422, "Invalid"));
    assert!(message.contains("metadata.name: Invalid value: \"Bad_Name\""), "{message}");
    let mut object = boat("a", json!({ "hull": "wood" }));
    object.labels_mut().insert("x".into(), "-bad-".into());
    assert_eq!(code(api.create(&ours(), &object).await).0, 422);
}

pub(crate) async fn unknown_fields_are_pruned_or_refused(client: Client, ns: String) {
    let api = boats(&client, &ns);
    let spec = json!({ "hull": "wood", "keel": 1, "free": { "any": { "thing": 1 } } });
    let made = api.create(&ours(), &boat("a", spec.clone())).await.unwrap();
    assert_eq!(made.data["spec"], json!({ "hull": "wood", "crew": 2, "free": { "any": { "thing": 1 } } }));
    let strict = Some(kube::api::ValidationDirective::Strict);
    let params = PatchParams { field_validation: strict, ..PatchParams::default() };
    let (status, _, message) =
        code(api.patch("a", &params, &Patch::Merge(json!({ "spec": { "keel": 1 } }))).await);
    assert_eq!(status, 422);
    assert!(message.ends_with("strict decoding error: unknown field \"spec.keel\""), "{message}");
}

pub(crate) async fn schema_violations_are_invalid_with_causes(client: Client, ns: String) {
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

pub(crate) async fn cel_rules_refuse_creation_and_transition(client: Client, ns: String) {
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

pub(crate) async fn dry_run_stores_nothing(client: Client, ns: String) {
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
