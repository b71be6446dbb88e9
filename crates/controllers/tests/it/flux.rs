//! Repairs of what the real Flux applies, on a real API server: they go through Git, and Flux never takes them back.
//!
//! `cargo xtask test` sets what it needs: a control plane, Flux's kustomize-controller and the definitions of its kinds. The
//! test is the source-controller: it hands the newest commit of a real Git server to Flux.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use causeway_controllers::{Admission, Context, Git};
use causeway_crds::{Outcome, Phase, Remediation};
use causeway_engine::SymptomState;
use causeway_kubekit::{Activity, Clock, ControllerMetrics};
use jiff::Timestamp;
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::accounts::{ALONE, client, define, real_cluster, remove};
use crate::git_server::{PASSWORD, Repository, Server, USER, git};
use crate::operator::Operator;
use crate::world::{SHOP, incident};

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
    /// Namespace of Flux's own objects.
    place: &'static str,
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
            "GitRepository" | "Kustomization" => {
                Api::namespaced_with(self.client.clone(), self.place, &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), SHOP, &resource),
        }
    }

    fn kustomizations(&self) -> Api<DynamicObject> {
        self.api("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations")
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
        let found = self.kustomizations().get("apps").await.unwrap();
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
async fn prepare(cluster: &Cluster, definitions: &std::path::Path, url: &str, mode: &str) {
    let definitions = std::fs::read_to_string(definitions).unwrap();
    let flux: Vec<Value> = serde_saphyr::from_str_multiple(&definitions).unwrap();
    for definition in flux.into_iter().filter(Value::is_object) {
        cluster.apply("customresourcedefinitions", definition).await;
    }
    for name in [SHOP, cluster.place] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        cluster.apply("namespaces", namespace).await;
    }
    let kinds = [
        cluster.api("source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories"),
        cluster.kustomizations(),
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
        "gitOps": {"url": url, "branch": "main", "path": "apps/shop", "mode": mode, "secretRef": {"name": "git"}}});
    cluster.apply("remediationpolicies", own("RemediationPolicy", "policy", policy)).await;
    let repository = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "apps"},
        "spec": {"interval": "10m", "url": "https://git.example.com/shop/apps"}});
    cluster.apply("gitrepositories", repository).await;
    let kustomization = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
        "spec": {"interval": INTERVAL, "path": "./apps/shop", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "apps"}}});
    cluster.apply("kustomizations", kustomization).await;
}

/// What the fixer of a namespace may do there.
async fn let_fixer(client: &Client, namespace: &str, rules: Value) {
    let object = |kind: &str, more: Value| {
        let mut object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "causeway-fixer"}});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "causeway-fixer"}});
    let role = object("Role", json!({"rules": rules}));
    let binding = object(
        "RoleBinding",
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "causeway-fixer"},
            "subjects": [{"kind": "ServiceAccount", "name": "causeway-fixer", "namespace": namespace}]}),
    );
    for (plural, object) in [("serviceaccounts", account), ("roles", role), ("rolebindings", binding)] {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let gvk = GroupVersionKind::gvk(group, version, &kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let params = PatchParams::apply("kubectl").force();
        api.patch("causeway-fixer", &params, &Patch::Apply(object.clone())).await.unwrap();
    }
}

/// Removes what the test made, also what an earlier run has left.
async fn clear(cluster: &Cluster) {
    // Nobody is there any more to take the finalizer of Flux off.
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    cluster.kustomizations().patch("apps", &PatchParams::default(), &free).await.ok();
    if cluster.place != SHOP {
        let namespaces = cluster.api("v1", "Namespace", "namespaces");
        namespaces.delete(cluster.place, &DeleteParams::default()).await.ok();
        until("the namespace of Flux goes", async || {
            let found = namespaces.get_opt(cluster.place).await.map_err(|why| why.to_string())?;
            good(found.is_none(), || "it is there".to_owned())
        })
        .await;
    }
    remove(&cluster.client, &[SHOP]).await;
}

/// A real cluster in which the real Flux applies what a real Git server has.
struct Rig {
    cluster: Arc<Cluster>,
    repository: Arc<Repository>,
    _server: Server,
    work: tempfile::TempDir,
    _flux: Flux,
    sources: JoinHandle<()>,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl Rig {
    /// Nothing where there is no real cluster or no Flux.
    async fn start(what: &str, place: &'static str, mode: &str) -> Option<Self> {
        let (flux, definitions) =
            (std::env::var_os("CAUSEWAY_FLUX"), std::env::var_os("CAUSEWAY_FLUX_DEFINITIONS"));
        let kubeconfig = real_cluster(what)?;
        let (Some(flux), Some(definitions)) = (flux, definitions) else {
            let text = format!("not run: {what}; CAUSEWAY_FLUX is not set (`cargo xtask test` sets it)\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let alone = ALONE.lock().await;
        let cluster = Arc::new(Cluster { client: client(&kubeconfig).await, place });
        define(&cluster.client).await;
        clear(&cluster).await;
        let server = Server::start().await;
        let repository = Arc::new(server.repository(&[("apps/shop/web.yaml", WEB)]));
        prepare(&cluster, definitions.as_ref(), &repository.url, mode).await;
        let work = tempfile::tempdir().unwrap();
        let flux = start_flux(&kubeconfig, work.path(), &flux);
        let sources = tokio::spawn(source(Arc::clone(&cluster), Arc::clone(&repository)));
        let rig = Self { cluster, repository, _server: server, work, _flux: flux, sources, _alone: alone };
        until("Flux applies", async || rig.has(2).await).await;
        Some(rig)
    }

    async fn has(&self, replicas: i64) -> Result<(), String> {
        let seen = self.cluster.replicas().await;
        good(seen == Some(replicas), || format!("{seen:?} replicas"))
    }

    /// Runs the controllers through an incident until the repair is verified; `meanwhile` looks at the world before that.
    async fn repair(&self, meanwhile: impl AsyncFnOnce()) {
        let activity = Activity::new();
        let context = Context {
            client: self.cluster.client.clone(),
            activity: activity.clone(),
            clock: Clock::from_fn(Arc::new(Timestamp::now)),
            metrics: ControllerMetrics::detached(),
            instance: "flux-test".to_owned(),
            admission: Admission::BuiltIn,
            git: Git { protocols: vec!["http".to_owned()], ..Git::default() },
        };
        let operator = Operator::run(context, activity, self.work.path(), true);
        let mut news = incident(Timestamp::now());
        operator.tell(news.clone());
        let remediations: Api<Remediation> = Api::namespaced(self.cluster.client.clone(), SHOP);
        let status =
            async || remediations.get_opt(RUN).await.unwrap().and_then(|run| run.status).unwrap_or_default();
        until("the repair is made", async || {
            let seen = status().await;
            good(seen.phase == Phase::Verifying, || format!("{:?} {:?}", seen.phase, seen.message))
        })
        .await;
        meanwhile().await;
        news.symptom = SymptomState::Clear;
        news.symptom_since_us = Timestamp::now().as_microsecond();
        news.revision += 1;
        operator.ahead(600_000_000);
        operator.tell(news);
        until("the repair is verified", async || {
            let seen = status().await;
            good(seen.outcome == Some(Outcome::Verified), || format!("{:?} {:?}", seen.phase, seen.message))
        })
        .await;
        operator.stop().await;
    }

    /// Flux looks again and again, and finds what Git declares.
    async fn stays(&self) {
        let cluster = &self.cluster;
        let generation = async || cluster.web().await.unwrap()["metadata"]["generation"].as_i64();
        let (before, first) = (generation().await, cluster.looks().await);
        until("Flux looks again", async || {
            let looks = cluster.looks().await - first;
            assert_eq!(
                (cluster.replicas().await, generation().await),
                (Some(4), before),
                "after {looks} looks"
            );
            good(looks >= LOOKS, || format!("{looks} looks"))
        })
        .await;
        assert_eq!(self.repository.log("main").len(), 2, "one commit");
    }

    async fn end(self) {
        let Self { cluster, _flux: flux, sources, .. } = self;
        drop(flux);
        sources.abort();
        clear(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_never_takes_back_what_went_through_git() {
    let Some(rig) = Rig::start("the repair with Flux", SHOP, "Commit").await else { return };
    // An adversary: what is changed by hand does not last.
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let deployments = rig.cluster.api("apps/v1", "Deployment", "deployments");
    deployments.patch("web", &PatchParams::default(), &by_hand).await.unwrap();
    until("Flux takes it back", async || rig.has(2).await).await;
    rig.repair(async || {
        rig.has(4).await.expect("verification begins when the object shows it");
        let declared = rig.repository.read("main", "apps/shop/web.yaml");
        assert_eq!(declared, WEB.replace("replicas: 2 #", "replicas: 4 #"));
    })
    .await;
    rig.stays().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_in_a_namespace_of_its_own_is_suspended_and_resumed() {
    let place = "causeway-flux";
    let Some(rig) = Rig::start("the repair with Flux elsewhere", place, "SuspendPatchResume").await else {
        return;
    };
    let client = &rig.cluster.client;
    let apps = |resources: Value, verbs: Value| json!({"apiGroups": ["apps"], "resources": resources, "verbs": verbs});
    let workloads = [
        apps(json!(["deployments"]), json!(["patch"])),
        apps(json!(["deployments/scale"]), json!(["get", "update"])),
    ];
    let_fixer(client, SHOP, json!(workloads)).await;
    let_fixer(
        client,
        place,
        json!([{"apiGroups": ["kustomize.toolkit.fluxcd.io"], "resources": ["kustomizations"], "resourceNames": ["apps"], "verbs": ["patch"]}]),
    )
    .await;
    until("Flux says what it applies", async || {
        let live = rig.cluster.kustomizations().get("apps").await.map_err(|why| why.to_string())?;
        let said = live.data.pointer("/status/inventory").map(Value::to_string).unwrap_or_default();
        good(said.contains("shop_web_apps_Deployment"), || said.clone())
    })
    .await;
    let generation = async || rig.cluster.kustomizations().get("apps").await.unwrap().metadata.generation;
    let before = generation().await.unwrap();
    rig.repair(async || {
        rig.has(4).await.expect("changed at once");
        let live = rig.cluster.kustomizations().get("apps").await.unwrap();
        assert_eq!(live.data.pointer("/spec/suspend"), None, "resumed");
        assert_eq!(live.metadata.generation, Some(before + 2), "suspended and resumed, and nothing else");
    })
    .await;
    rig.stays().await;
    rig.end().await;
}
