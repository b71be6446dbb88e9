//! Built-in kinds and discovery.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::support::{code, create_raw, deployment, from, ours};

pub(crate) async fn secrets_take_string_data(client: Client, ns: String) {
    let api: Api<Secret> = Api::namespaced(client, &ns);
    let made = api
        .create(&ours(), &from(json!({ "metadata": { "name": "s" }, "stringData": { "k": "hello" } })))
        .await
        .unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert_eq!(made.data.unwrap()["k"].0, b"hello");
    assert!(made.string_data.is_none());
}

pub(crate) async fn immutable_config_maps_stay(client: Client, ns: String) {
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

pub(crate) async fn deployment_gets_defaults_and_keeps_its_selector(client: Client, ns: String) {
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
    let pods: Api<Pod> = Api::namespaced(client, &ns);
    let pod = pods.create(&ours(), &from(json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }))).await.unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
}

pub(crate) async fn events_are_one_store_under_two_groups(client: Client, ns: String) {
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
    let series = json!({ "count": 2, "lastObservedTime": "2026-05-01T10:01:00.000000Z" });
    new.patch("e", &PatchParams::default(), &Patch::Merge(json!({ "series": series }))).await.unwrap();
    assert_eq!(old.get("e").await.unwrap().series.unwrap().count, Some(2));
    let patch = Patch::Merge(json!({ "note": "it stood up" }));
    let (status, _, message) = code(new.patch("e", &PatchParams::default(), &patch).await);
    assert_eq!(status, 422);
    assert!(message.contains("field is immutable"), "{message}");
}

pub(crate) async fn unknown_resources_are_not_found(client: Client, _: String) {
    let request = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
    for path in ["/apis/test.dev/v1/ships", "/apis/nope.dev/v1", "/nothing"] {
        // Plain text, which the client wraps.
        let (status, _, message) = code(client.request::<Value>(request(path)).await);
        assert_eq!((status, message.trim()), (404, "404 page not found"), "{path}");
    }
}

pub(crate) async fn definitions_are_listed_and_discovered(client: Client, _: String) {
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
