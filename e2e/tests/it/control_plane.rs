//! What a control plane can do to roles: forget its history while nobody looks, and go on while a leader is frozen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use causeway_e2e::control_plane::{ControlPlane, is_write};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::roles::World;
use crate::support::{ALONE, apply_definitions, kubectl_of, real_cluster};

const NAMESPACE: &str = "roles";
/// All LogSources.
const SOURCES: &str = "/apis/causeway.dev/v1alpha1/logsources";
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(120);

/// Between a role and the API server: a door that can be shut.
struct Gate {
    open: watch::Sender<bool>,
    port: u16,
}

impl Gate {
    async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (mut is_open, server) = (is_open.clone(), server.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { open, port }
    }

    fn shut(&self) {
        self.open.send_replace(false);
    }

    fn open(&self) {
        self.open.send_replace(true);
    }
}

/// The kubeconfig with another place, or another token.
fn changed(kubeconfig: &Path, target: &Path, server: Option<&str>, token: Option<&str>) -> PathBuf {
    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = json!(server);
    }
    if let Some(token) = token {
        for user in config["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token});
        }
    }
    std::fs::write(target, config.to_string()).unwrap();
    target.to_owned()
}

struct Kubectl(PathBuf);

impl Kubectl {
    fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = kubectl_of(&self.0).args(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    fn apply(&self, folder: &Path, objects: &Value) {
        let file = folder.join("objects.json");
        std::fs::write(&file, objects.to_string()).unwrap();
        self.run(&["apply", "-f", file.to_str().unwrap()]);
    }
}

async fn until(what: &str, mut good: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !good().await {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        tokio::task::yield_now().await;
    }
}

/// A LogSource, its Secret and its namespace.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/roles/source.yaml");

/// A control plane with the definitions and [`SOURCE`].
fn with_a_source(kubeconfig: &Path) -> (ControlPlane, Kubectl) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    apply_definitions(kubeconfig);
    let kubectl = Kubectl(kubeconfig.to_owned());
    kubectl.run(&["apply", "-f", SOURCE]);
    (ControlPlane::of(kubeconfig).unwrap(), kubectl)
}

/// Status of a request with records, by a token of a source; 0 where nobody listens.
async fn sends(world: &World, token: &str) -> u16 {
    let Ok(text) = std::fs::read_to_string(world.path("gateway/endpoints.json")) else { return 0 };
    let Ok(endpoints) = serde_json::from_str::<Value>(&text) else { return 0 };
    let url = format!("{}/v1/logs", endpoints["otlpHttp"].as_str().unwrap());
    let record = json!({"timeUnixNano": jiff::Timestamp::now().as_nanosecond().to_string(), "body": {"stringValue": "x"}});
    let body = json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [record]}]}]});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = http.post(url).bearer_auth(token).json(&body).send().await;
    sent.map_or(0, |answer| answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_whose_watches_have_no_history_any_more_list_again_and_miss_nothing() {
    let Some(kubeconfig) = real_cluster("history that was compacted on a real control plane") else { return };
    let _alone = ALONE.lock().await;
    let (plane, kubectl) = with_a_source(&kubeconfig);
    let server = kubectl.run(&["config", "view", "--minify", "-o=jsonpath={.clusters[0].cluster.server}"]);
    let gate = Gate::before(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let through = format!("https://127.0.0.1:{}", gate.port);
    let world = World::new(changed(&kubeconfig, &folder.path().join("through"), Some(&through), None));
    // It leads all the while.
    let mut operator =
        world.operator_at("only", &folder.path().join("through"), [world.gateway_port, 0], "120s");
    world.listening(&mut operator, "only").await;
    let mut gateway = world.gateway();
    until("the first source sends", async || sends(&world, "a-token-of-the-source").await == 200).await;
    let ready =
        |name: &str| kubectl.run(&["wait", "--for=condition=Ready", name, "-n", NAMESPACE, "--timeout=60s"]);
    ready("logsource/otlp");

    // While nobody looks, one source goes, another comes, and the past is forgotten.
    let list: Value = serde_json::from_str(&kubectl.run(&["get", "--raw", SOURCES])).unwrap();
    let before = list["metadata"]["resourceVersion"].as_str().unwrap();
    gate.shut();
    kubectl.run(&["delete", "logsource", "otlp", "-n", NAMESPACE]);
    let source = |token: &str| {
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "next", "namespace": NAMESPACE},
                "stringData": {"token": token}},
            {"apiVersion": "causeway.dev/v1alpha1", "kind": "LogSource",
                "metadata": {"name": "next", "namespace": NAMESPACE},
                "spec": {"type": "OTLP", "otlp": {"auth": {"tokenSecretRef": {"name": "next", "key": "token"}}}}}]})
    };
    kubectl.apply(folder.path(), &source("a-token-of-the-next"));
    plane.compact().await.unwrap();
    plane.restart_api_server().unwrap();
    until("the API server is ready", async || kubectl.try_run(&["get", "--raw=/readyz"]).is_ok()).await;
    let path = format!("{SOURCES}?watch=1&timeoutSeconds=5&resourceVersion={before}");
    let mut said = String::new();
    until("the history is gone", async || {
        said = kubectl.try_run(&["get", "--raw", &path]).unwrap_or_else(|error| error);
        !said.is_empty()
    })
    .await;
    assert!(said.contains("410") || said.contains("too old resource version"), "{said}");
    let audited = plane.audited().unwrap();
    gate.open();
    until("the source that came sends", async || sends(&world, "a-token-of-the-next").await == 200).await;
    until("the source that went does not", async || sends(&world, "a-token-of-the-source").await == 401)
        .await;
    until("the operator has seen it", async || {
        kubectl.try_run(&[
            "get",
            "logsource",
            "next",
            "-n",
            NAMESPACE,
            "-o=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
        ]) == Ok("True".to_owned())
    })
    .await;
    let listed = plane.events_since(audited).unwrap();
    let lists = listed.iter().filter(|event| {
        event["verb"] == "list"
            && event["objectRef"]["resource"] == "logsources"
            && event["userAgent"] != "kubectl"
    });
    assert!(lists.count() >= 2, "operator and gateway have listed again");
    assert!(!operator.has_ended().unwrap() && !gateway.has_ended().unwrap(), "both have come through");
    gateway.stop().unwrap();
    operator.stop().unwrap();
    kubectl.run(&["delete", "-f", SOURCE, "--timeout=90s", "--ignore-not-found"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_frozen_writes_nothing_when_it_goes_on() {
    let Some(kubeconfig) = real_cluster("a frozen leader on a real control plane") else { return };
    let _alone = ALONE.lock().await;
    let (plane, kubectl) = with_a_source(&kubeconfig);
    // An account of its own, so that the audit log tells it from everybody else.
    let account = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "frozen", "namespace": NAMESPACE}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "roles-frozen"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "frozen", "namespace": NAMESPACE}]}]});
    let folder = tempfile::tempdir().unwrap();
    kubectl.apply(folder.path(), &account);
    let token = kubectl.run(&["create", "token", "frozen", "-n", NAMESPACE]);
    let world = World::new(changed(&kubeconfig, &folder.path().join("frozen"), None, Some(token.trim())));
    let mut first = world.operator("first");
    world.listening(&mut first, "first").await;
    let status = "-o=jsonpath={.status.observedGeneration}";
    let generation = async |wanted: &str| {
        until("the leader looks at the source", async || {
            kubectl.try_run(&["get", "logsource", "otlp", "-n", NAMESPACE, status]) == Ok(wanted.to_owned())
        })
        .await;
    };
    generation("1").await;
    // A frozen process keeps its ports.
    let mut second = world.operator_at("second", &kubeconfig, [0, 0], "3s");
    first.freeze(true).unwrap();
    world.listening(&mut second, "second").await;
    let patch = |limit: u32| {
        let patch = json!({"spec": {"limits": {"maxLinesPerSecond": limit}}}).to_string();
        kubectl.run(&["patch", "logsource", "otlp", "-n", NAMESPACE, "--type=merge", "--patch", &patch]);
    };
    patch(1_000);
    generation("2").await;
    let audited = plane.audited().unwrap();
    // What the frozen one is told of as soon as it goes on.
    second.freeze(true).unwrap();
    patch(2_000);
    first.freeze(false).unwrap();
    until("the old leader has seen that it is none", async || first.has_ended().unwrap()).await;
    second.freeze(false).unwrap();
    let events = plane.events_since(audited).unwrap();
    let of_first =
        |event: &&Value| event["user"]["username"] == format!("system:serviceaccount:{NAMESPACE}:frozen");
    let writes: Vec<&Value> = events.iter().filter(of_first).filter(|event| is_write(event)).collect();
    assert!(writes.is_empty(), "{writes:#?}");
    // Whoever leads then has it done.
    drop(second);
    let mut third = world.operator("third");
    world.listening(&mut third, "third").await;
    generation("3").await;
    third.stop().unwrap();
    kubectl.run(&["delete", "-f", SOURCE, "--timeout=90s"]);
    kubectl.run(&["delete", "clusterrolebinding", "roles-frozen"]);
}
