//! What was acknowledged is there after the process was killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use causeway_localcluster::{Error, FileError, LocalCluster, Options, Storage};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use serde_json::json;

use crate::fixture::{boat, boat_crd, boats};

const FOLDER: &str = "LOCALCLUSTER_CHILD_FOLDER";

fn open(folder: &Path) -> Result<LocalCluster, Error> {
    let storage = Storage::Folder(folder.to_owned());
    LocalCluster::open(Options { storage, crds: vec![boat_crd()], ..Options::default() })
}

/// Writes without end, and tells what was acknowledged.
async fn write(folder: &Path) {
    let cluster = open(folder).unwrap();
    let api = boats(&cluster.client("admin"), "default");
    for index in 0.. {
        let made = api
            .create(&PostParams::default(), &boat(&format!("b-{index}"), json!({ "hull": "wood" })))
            .await
            .unwrap();
        println!("\nacknowledged {} {}", made.name_any(), made.resource_version().unwrap());
    }
}

/// Starts itself in a process of its own, which is the one that is killed.
#[tokio::test]
async fn kill_loses_nothing() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::kill_loses_nothing", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("acknowledged ") {
            let (name, version) = rest.split_once(' ').unwrap();
            acknowledged.push((name.to_owned(), version.parse::<u64>().unwrap()));
        }
        if acknowledged.len() == 50 {
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
    assert_eq!(acknowledged.len(), 50);

    let cluster = open(folder.path()).unwrap();
    let api = boats(&cluster.client("admin"), "default");
    for (name, version) in &acknowledged {
        assert_eq!(api.get(name).await.unwrap().resource_version(), Some(version.to_string()), "{name}");
        assert!(cluster.resource_version() >= *version);
    }
}

#[tokio::test]
async fn a_reopened_cluster_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (version, token, uid) = {
        let cluster = open(folder.path()).unwrap();
        let api = boats(&cluster.client("admin"), "default");
        let made = api.create(&PostParams::default(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
        api.create(&PostParams::default(), &boat("b", json!({ "hull": "wood" }))).await.unwrap();
        let status = Patch::Merge(json!({ "status": { "phase": "Sea" } }));
        api.patch_status("a", &PatchParams::default(), &status).await.unwrap();
        api.delete("b", &DeleteParams::default()).await.unwrap();
        let locked = open(folder.path()).err().unwrap();
        assert!(matches!(locked, Error::File(FileError::InUse { .. })), "{locked}");
        cluster.close();
        let late = api.create(&PostParams::default(), &boat("late", json!({ "hull": "wood" }))).await;
        assert!(
            matches!(late, Err(kube::Error::Api(status)) if status.code == 500 && status.message.contains("closed"))
        );
        (cluster.resource_version(), cluster.token("admin").unwrap().to_owned(), made.uid())
    };
    let cluster = open(folder.path()).unwrap();
    assert_eq!(cluster.resource_version(), version, "an unchanged start writes nothing");
    assert_eq!(cluster.token("admin"), Some(token.as_str()));
    let client = cluster.client("admin");
    let api = boats(&client, "default");
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    assert_eq!((list.items[0].uid(), &list.items[0].data["status"]["phase"]), (uid, &json!("Sea")));

    let old = (version - 1).to_string();
    let gone = api.watch(&WatchParams::default(), &old).await.err().unwrap();
    assert!(
        matches!(gone, kube::Error::Api(status) if status.code == 410),
        "history is not kept over a restart"
    );
    assert!(api.watch(&WatchParams::default(), &version.to_string()).await.is_ok());
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open(&file).err().unwrap();
    assert!(error.to_string().starts_with(&format!("data folder {}", file.display())), "{error}");
    std::fs::write(
        folder.path().join("localcluster.sqlite"),
        "this is not a database, but long enough to be looked at",
    )
    .unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("localcluster.sqlite"), "{error}");
}
