//! Every kind as a person, Flux or Argo meets it: ready by `kubectl wait`, and the same manifests twice change nothing.
//! On the Kubernetes API in process and on a real one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{ALONE, Fixture, apply_definitions, real_cluster};

const NAMESPACE: &str = "kinds";

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_ready_and_applied_twice_changes_nothing() {
    every_kind(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_ready_and_applied_twice_changes_nothing_on_a_real_api_server() {
    let Some(kubeconfig) = real_cluster("kinds on a real API server") else { return };
    let _alone = ALONE.lock().await;
    apply_definitions(&kubeconfig);
    every_kind(Some(kubeconfig)).await;
}

async fn every_kind(cluster: Option<PathBuf>) {
    let fixture = Fixture::start_at(cluster, manifests(), Vec::new()).await;
    let ok = |arguments: &[&str]| {
        let (success, text) = fixture.kubectl(arguments);
        assert!(success, "kubectl {arguments:?}: {text}");
        text
    };
    let folder = manifests();
    let folder = folder.to_str().unwrap();
    // The start applied them server-side; kubectl's first client-side apply adds its own annotation.
    ok(&["apply", "-f", folder]);
    let definitions = ok(&["api-resources", "--api-group=causeway.dev", "--output=name"]);
    let kinds: Vec<&str> = definitions.lines().map(|line| line.split('.').next().unwrap()).collect();
    // These three are written by Causeway, or about something that it wrote.
    let authored = kinds.iter().filter(|kind| !["incidents", "remediations", "approvals"].contains(kind));
    for kind in authored.clone() {
        let objects = ok(&["get", kind, "-n", NAMESPACE, "-o", "name", "--ignore-not-found"]);
        assert!(!objects.trim().is_empty(), "tests/kinds has no {kind}");
        ok(&["wait", "--for=condition=Ready", kind, "--all", "-n", NAMESPACE, "--timeout=60s"]);
    }
    let versions = || -> Vec<String> {
        let all = authored.clone().copied().collect::<Vec<_>>().join(",");
        let list: Value = serde_json::from_str(&ok(&["get", &all, "-n", NAMESPACE, "-o", "json"])).unwrap();
        let of = |object: &Value| {
            format!("{} {} {}", object["kind"], object["metadata"]["name"], object["metadata"]["generation"])
        };
        list["items"].as_array().unwrap().iter().map(of).collect()
    };
    let before = versions();
    let again = ok(&["apply", "-f", folder]);
    assert!(again.lines().all(|line| line.ends_with("unchanged")), "{again}");
    for _ in 0..2 {
        ok(&["apply", "--server-side", "--force-conflicts", "-f", folder]);
    }
    assert_eq!(before, versions(), "no generation moved");
    let difference = ok(&["diff", "--server-side", "--force-conflicts", "-f", folder]);
    assert!(difference.trim().is_empty(), "{difference}");
}
