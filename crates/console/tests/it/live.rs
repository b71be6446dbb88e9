//! Live updates.

use std::time::Duration;

use causeway_crds::Incident;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::World;

/// Reads a stream until it holds a text.
async fn until(answer: &mut reqwest::Response, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let chunk = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await;
        seen.push_str(&String::from_utf8_lossy(&chunk.expect(text).unwrap().expect("the stream ended")));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_to_who_may_see_them() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    world.incident("bank", "secret", "bank is slow").await;
    let open = |user: &str| {
        let request =
            world.http.get(format!("{}/api/v1/events", world.console)).bearer_auth(world.token(user));
        request.send()
    };
    let mut ann = open("ann").await.unwrap();
    assert_eq!(ann.headers()["content-type"], "text/event-stream");
    until(&mut ann, "event: begun").await;
    let change = |namespace: &'static str, name: &'static str, count: i32| {
        let api: Api<Incident> = Api::namespaced(world.cluster.client("admin"), namespace);
        let status = json!({"status": {"impact": {"services": count}}});
        async move { api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap() }
    };
    // What is there when the watch begins is not a change, so that it takes changes until one is told.
    let told = async {
        let mut count = 0;
        loop {
            count += 1;
            change("bank", "secret", count).await;
            change("shop", "slow", count).await;
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::select! {
        seen = until(&mut ann, "\"name\":\"slow\"") => seen,
        () = told => String::new(),
    };
    assert!(seen.contains("event: change") && !seen.contains("secret"), "{seen}");
}
