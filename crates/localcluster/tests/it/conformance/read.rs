//! Lists and watches.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::support::{code, from, ours, three};
use crate::fixture::boat;

pub(crate) async fn lists_select_by_label_and_field(client: Client, ns: String) {
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

pub(crate) async fn lists_page_with_limit_and_continue(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!((second.items.len(), second.items[0].name_any().as_str()), (1, "c"));
    assert!(second.metadata.continue_.is_none_or(|token| token.is_empty()));
}

pub(crate) async fn watch_resumes_after_a_version(client: Client, ns: String) {
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

pub(crate) async fn watch_follows_selectors(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default().labels("team=red"), &version).await.unwrap().boxed();
    let relabel = |team: &str| Patch::Merge(json!({ "metadata": { "labels": { "team": team } } }));
    let moved = api.patch("a", &PatchParams::default(), &relabel("blue")).await.unwrap();
    api.patch("c", &PatchParams::default(), &relabel("red")).await.unwrap();
    let Some(WatchEvent::Deleted(left)) = events.try_next().await.unwrap() else { panic!("a leaves") };
    assert_eq!(
        (left.name_any().as_str(), left.labels()["team"].as_str()),
        ("a", "red"),
        "as it was when it was selected"
    );
    assert_eq!(left.resource_version(), moved.resource_version(), "with the version of the change");
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(o)) if o.name_any() == "c"));
}

pub(crate) async fn watch_of_the_distant_past_is_gone(client: Client, ns: String) {
    let api: Api<ConfigMap> = Api::namespaced(client, &ns);
    api.create(&ours(), &from(json!({ "metadata": { "name": "m" } }))).await.unwrap();
    for index in 0..1100 {
        let patch = Patch::Merge(json!({ "data": { "i": index.to_string() } }));
        api.patch("m", &PatchParams::default(), &patch).await.unwrap();
    }
    let gone = match api.watch(&WatchParams::default(), "1").await {
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
        Ok(events) => match events.boxed().try_next().await.unwrap() {
            Some(WatchEvent::Error(status)) => status.code,
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(gone, 410);
}

pub(crate) async fn watch_streams_the_initial_list(client: Client, ns: String) {
    let api = three(&client, &ns).await;
    // "0" would ask for any version: a cache may then answer without what was made a moment ago.
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default().initial_events(), &version).await.unwrap().boxed();
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
