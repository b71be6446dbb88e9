//! The injected clock: objects are stamped by it, and Events leave by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_localcluster::{LocalCluster, Options};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::fixture::{boat, boat_crd, boats};

#[tokio::test]
async fn a_stepped_clock_stamps_and_ages() {
    let seconds = Arc::new(AtomicI64::new(1_000_000_000));
    let hand = Arc::clone(&seconds);
    let now = Arc::new(move || Timestamp::from_second(hand.load(Ordering::SeqCst)).unwrap());
    let cluster = LocalCluster::open(Options { now, crds: vec![boat_crd()], ..Options::default() }).unwrap();
    let client = cluster.client("admin");

    let api = boats(&client, "default");
    let mut object = boat("a", json!({ "hull": "wood" }));
    object.metadata.finalizers = Some(vec!["test.dev/hold".into()]);
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.metadata.creation_timestamp.unwrap().0, Timestamp::from_second(1_000_000_000).unwrap());
    seconds.store(1_000_000_090, Ordering::SeqCst);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let marked = api.get("a").await.unwrap();
    assert_eq!(marked.metadata.deletion_timestamp.unwrap().0, Timestamp::from_second(1_000_000_090).unwrap());

    let table = http::Request::get("/apis/test.dev/v1/boats")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table: serde_json::Value = client.request(table.body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(table["rows"][0]["cells"], json!(["a", "wood", 2, null, null, "90s"]));

    let events: Api<Event> = Api::namespaced(client, "default");
    let event = |index: usize| {
        let object = json!({ "metadata": { "name": format!("e{index}") }, "reason": "R", "involvedObject": { "namespace": "default" } });
        serde_json::from_value::<Event>(object).unwrap()
    };
    for index in 0..10 {
        events.create(&PostParams::default(), &event(index)).await.unwrap();
    }
    seconds.store(1_000_000_090 + 3601, Ordering::SeqCst);
    for index in 10..80 {
        events.create(&PostParams::default(), &event(index)).await.unwrap();
    }
    assert_eq!(
        events.list(&ListParams::default()).await.unwrap().items.len(),
        70,
        "the first ten were an hour old"
    );
}
