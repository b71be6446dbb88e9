//! A repair of what the real Flux applies, on a real API server: it goes through Git, and Flux never takes it back.
//!
//! `cargo xtask test` sets what it needs: a control plane, Flux's kustomize-controller and the definitions of its kinds. The
//! test is the source-controller: it hands the newest commit of a real Git server to Flux.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use causeway_controllers::{Admission, Context, Git, IncidentFeed, OperatorParts, Ports, run};
use causeway_crds::{Outcome, Phase, Remediation};
use causeway_engine::SymptomState;
use causeway_kubekit::{Activity, Clock, ControllerMetrics};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::accounts::{ALONE, client, define, real_cluster, remove};
use crate::git_server::{PASSWORD, Repository, Server, USER, git};
use crate::world::{FakeAudit, FakeEngine, FakeGateway, SHOP, incident, notifications};

const RUN: &str = "gateway-3fa9c1-1";
const WEB: &str = "\
# What Flux applies.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2 # enough on ordinary days
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: main, image: \"shop/web:1\"}
";
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(180);
/// How often Flux looks again.
const INTERVAL: &str = "1s";
/// Looks of Flux that must not change anything.
const LOOKS: i64 = 30;

/// Ends Flux whatever happens.
struct Flux(Child);

impl Drop for Flux {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Cluster {
    client: Client,
}

impl Cluster {
    fn api(&self, api_version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        match kind {
            "Namespace" | "CustomResourceDefinition" | "ClusterGuardrail" => {
                Api::all_with(self.client.clone(), &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), SHOP, &resource),
        }
    }

    async fn apply(&self, plural: &str, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let api = self.api(&text("/apiVersion"), &text("/kind"), plural);
        let params = PatchParams::apply("kubectl").force();
        api.patch(&text("/metadata/name"), &params, &Patch::Apply(object.clone())).await.unwrap();
    }

    async fn web(&self) -> Option<Value> {
        let found = self.api("apps/v1", "Deployment", "deployments").get_opt("web").await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    async fn replicas(&self) -> Option<i64> {
        self.web().await?.pointer("/spec/replicas")?.as_i64()
    }

    /// How often Flux has looked at its source.
    async fn looks(&self) -> i64 {
        let api = self.api("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations");
        let found = api.get("apps").await.unwrap();
        let history =
            found.data.pointer("/status/history").and_then(Value::as_array).cloned().unwrap_or_default();
        history.iter().filter_map(|entry| entry["totalReconciliations"].as_i64()).sum()
    }
}

/// Asks until the answer is good.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) => assert!(begun.elapsed() < DEADLINE, "{what}: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn good(is_good: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if is_good { Ok(()) } else { Err(seen()) }
}

/// Serves what the newest commit has, and tells Flux of it.
async fn source(cluster: Arc<Cluster>, repository: Arc<Repository>) {
    let archive: Arc<Mutex<Vec<u8>>> = Arc::default();
    let served = Arc::clone(&archive);
    let router = Router::new().route(
        "/{name}",
        get(move || {
            let bytes = served.lock().clone();
            async move { bytes }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let api = cluster.api("source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories");
    let mut told = String::new();
    loop {
        let head = repository.head("main");
        if head != told {
            let file = repository.bare.join("head.tar.gz");
            git(&repository.bare, &["archive", "--format=tar.gz", "-o", file.to_str().unwrap(), &head]);
            let bytes = std::fs::read(&file).unwrap();
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let status = json!({"status": {
                "artifact": {"url": format!("http://{address}/{head}.tar.gz"), "path": format!("{head}.tar.gz"),
                    "revision": format!("main@sha1:{head}"), "digest": causeway_actions::sha256_hex(&bytes),
                    "lastUpdateTime": now, "size": bytes.len()},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored",
                    "lastTransitionTime": now, "observedGeneration": 1}], "observedGeneration": 1}});
            *archive.lock() = bytes;
            api.patch_status("apps", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            told = head;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn start_flux(kubeconfig: &Value, folder: &std::path::Path, program: &std::ffi::OsStr) -> Flux {
    let (log, file) = (std::fs::File::create(folder.join("flux.log")).unwrap(), folder.join("kubeconfig"));
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let child = Command::new(program)
        .args(["--enable-leader-election=false", "--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0"])
        .args(["--events-addr=", "--min-retry-delay=1s", "--interval-jitter-percentage=0"])
        .env("KUBECONFIG", &file)
        .env("RUNTIME_NAMESPACE", SHOP)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Flux(child)
}

/// Everything that the test makes before Flux runs.
async fn prepare(cluster: &Cluster, definitions: &std::path::Path, url: &str) {
    let definitions = std::fs::read_to_string(definitions).unwrap();
    let flux: Vec<Value> = serde_saphyr::from_str_multiple(&definitions).unwrap();
    for definition in flux.into_iter().filter(Value::is_object) {
        cluster.apply("customresourcedefinitions", definition).await;
    }
    cluster
        .apply("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}))
        .await;
    let kinds = [
        cluster.api("source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories"),
        cluster.api("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations"),
    ];
    for kind in kinds {
        until("definitions", async || {
            kind.list(&ListParams::default()).await.map(drop).map_err(|why| why.to_string())
        })
        .await;
    }
    let core = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    cluster.apply("serviceaccounts", core("ServiceAccount", "causeway-fixer")).await;
    let mut secret = core("Secret", "git");
    secret["stringData"] = json!({"username": USER, "password": PASSWORD});
    cluster.apply("secrets", secret).await;
    let own = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "causeway.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    cluster
        .apply("clusterguardrails", own("ClusterGuardrail", "default", json!({"maxAutonomy": "Auto"})))
        .await;
    let runbook = json!({"summary": "grow", "rollback": "Inverse", "risk": "Low", "verify": {"within": "5m", "hold": "2m"},
        "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
        "steps": [{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]});
    cluster.apply("runbooks", own("Runbook", "grow", runbook)).await;
    let policy = json!({"runbooks": [{"name": "grow"}], "autonomy": "Auto", "limits": {},
        "gitOps": {"url": url, "branch": "main", "path": "apps/shop", "mode": "Commit", "secretRef": {"name": "git"}}});
    cluster.apply("remediationpolicies", own("RemediationPolicy", "policy", policy)).await;
    let repository = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "apps"},
        "spec": {"interval": "10m", "url": "https://git.example.com/shop/apps"}});
    cluster.apply("gitrepositories", repository).await;
    let kustomization = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
        "spec": {"interval": INTERVAL, "path": "./apps/shop", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "apps"}}});
    cluster.apply("kustomizations", kustomization).await;
}

/// Removes what the test made, also what an earlier run has left.
async fn clear(cluster: &Cluster) {
    // Nobody is there any more to take the finalizer of Flux off.
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let kustomizations = cluster.api("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations");
    kustomizations.patch("apps", &PatchParams::default(), &free).await.ok();
    remove(&cluster.client, &[SHOP]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_never_takes_back_what_went_through_git() {
    let (flux, definitions) =
        (std::env::var_os("CAUSEWAY_FLUX"), std::env::var_os("CAUSEWAY_FLUX_DEFINITIONS"));
    let Some(kubeconfig) = real_cluster("the repair with Flux") else { return };
    let (Some(flux), Some(definitions)) = (flux, definitions) else {
        let text = "not run: the repair with Flux; CAUSEWAY_FLUX is not set (`cargo xtask test` sets it)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return;
    };
    let _alone = ALONE.lock().await;
    let cluster = Arc::new(Cluster { client: client(&kubeconfig).await });
    define(&cluster.client).await;
    clear(&cluster).await;
    let server = Server::start().await;
    let repository = Arc::new(server.repository(&[("apps/shop/web.yaml", WEB)]));
    prepare(&cluster, definitions.as_ref(), &repository.url).await;
    let work = tempfile::tempdir().unwrap();
    let running = start_flux(&kubeconfig, work.path(), &flux);
    let sources = tokio::spawn(source(Arc::clone(&cluster), Arc::clone(&repository)));
    let has = async |replicas: i64| {
        let seen = cluster.replicas().await;
        good(seen == Some(replicas), || format!("{seen:?} replicas"))
    };
    until("Flux applies", async || has(2).await).await;

    // An adversary: what is changed by hand does not last.
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let deployments = cluster.api("apps/v1", "Deployment", "deployments");
    deployments.patch("web", &PatchParams::default(), &by_hand).await.unwrap();
    until("Flux takes it back", async || has(2).await).await;

    let engine: Arc<FakeEngine> = Arc::default();
    let ahead = |seconds: i64| Timestamp::now().as_microsecond() + seconds * 1_000_000;
    engine.watermark.lock().unwrap().replace(ahead(0));
    let (feed, inbox) = IncidentFeed::new();
    let (stop, activity) = (CancellationToken::new(), Activity::new());
    let context = Context {
        client: cluster.client.clone(),
        activity: activity.clone(),
        clock: Clock::from_fn(Arc::new(Timestamp::now)),
        metrics: ControllerMetrics::detached(),
        instance: "flux-test".to_owned(),
        admission: Admission::BuiltIn,
        git: Git { protocols: vec!["http".to_owned()], ..Git::default() },
    };
    let notifications = notifications(work.path());
    let ports = Ports {
        engine: engine.clone(),
        gateway: Arc::<FakeGateway>::default(),
        audit: Arc::<FakeAudit>::default(),
        bundles: causeway_controllers::Bundles::default(),
    };
    let parts = OperatorParts { ports, inbox, notifications, executes: true };
    let controllers = tokio::spawn(run(context, parts, stop.clone()));
    let mut news = incident(Timestamp::now());
    let tell = |news: &causeway_engine::Incident| {
        engine.incidents.lock().unwrap().insert(news.fingerprint.clone(), news.clone());
        feed.publish(news.clone(), activity.busy());
    };
    tell(&news);
    let remediations: Api<Remediation> = Api::namespaced(cluster.client.clone(), SHOP);
    let status =
        async || remediations.get_opt(RUN).await.unwrap().and_then(|run| run.status).unwrap_or_default();
    until("the repair is made", async || {
        let seen = status().await;
        good(seen.phase == Phase::Verifying, || format!("{:?} {:?}", seen.phase, seen.message))
    })
    .await;
    assert_eq!(cluster.replicas().await, Some(4), "verification begins when the object shows it");
    assert_eq!(repository.read("main", "apps/shop/web.yaml"), WEB.replace("replicas: 2 #", "replicas: 4 #"));
    news.symptom = SymptomState::Clear;
    news.symptom_since_us = ahead(0);
    news.revision += 1;
    engine.watermark.lock().unwrap().replace(ahead(600));
    tell(&news);
    until("the repair is verified", async || {
        let seen = status().await;
        good(seen.outcome == Some(Outcome::Verified), || format!("{:?} {:?}", seen.phase, seen.message))
    })
    .await;
    stop.cancel();
    controllers.await.unwrap();

    // Flux looks again and again, and finds what Git declares.
    let generation = async || cluster.web().await.unwrap()["metadata"]["generation"].as_i64();
    let (before, first) = (generation().await, cluster.looks().await);
    until("Flux looks again", async || {
        let looks = cluster.looks().await - first;
        assert_eq!((cluster.replicas().await, generation().await), (Some(4), before), "after {looks} looks");
        good(looks >= LOOKS, || format!("{looks} looks"))
    })
    .await;
    assert_eq!(repository.log("main").len(), 2, "one commit");

    drop(running);
    sources.abort();
    clear(&cluster).await;
}
