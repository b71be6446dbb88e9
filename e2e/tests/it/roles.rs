//! Operators and gateways as processes of their own, on a real API server, killed while telemetry comes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_e2e::process::Running;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{ALONE, apply_definitions, binary, kubectl_of, real_cluster};

const NAMESPACE: &str = "roles";
const TOKEN: &str = "a-token-of-the-source";
/// Records of one request.
const RECORDS: usize = 5;

/// Time until a request that was not acknowledged is sent again.
const RETRY: Duration = Duration::from_millis(50);
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(120);
/// What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

pub(crate) struct World {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    gateway_port: u16,
    api_port: u16,
    http: reqwest::Client,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "what operators and gateways share").unwrap();
        std::fs::write(folder.path().join("audit.key"), [&PKCS8[..], &[7; 32]].concat()).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { folder, kubeconfig, gateway_port: free_port(), api_port: free_port(), http }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, role: &str, name: &str, kubeconfig: &Path) -> Command {
        let mut command = Command::new(binary());
        command.arg(role).arg("--kubeconfig").arg(kubeconfig).arg("--data").arg(self.path(name));
        command.arg("--store").arg(format!("file://{}", self.path("store").display()));
        command.arg("--gateway-token-file").arg(self.path("token")).args(["--admin-port", "0"]);
        command
    }

    pub(crate) fn operator(&self, name: &str) -> Running {
        // The same ports for all: only the one that leads listens.
        self.operator_at(name, &self.kubeconfig, [self.gateway_port, self.api_port])
    }

    /// With another kubeconfig and other ports.
    pub(crate) fn operator_at(&self, name: &str, kubeconfig: &Path, ports: [u16; 2]) -> Running {
        let mut command = self.command("operator", name, kubeconfig);
        command.arg("--audit-key").arg(self.path("audit.key"));
        command.args(["--namespace", NAMESPACE, "--identity", name, "--lease-duration", "3s"]);
        let [gateways, api] = ports.map(|port| port.to_string());
        command.args(["--gateway-port", &gateways, "--api-port", &api]);
        Running::spawn(command, "an operator", &self.path("operator.log")).unwrap()
    }

    pub(crate) fn gateway(&self) -> Running {
        let mut command = self.command("gateway", "gateway", &self.kubeconfig);
        command.args(["--operator", &format!("127.0.0.1:{}", self.gateway_port)]);
        command.args(["--otlp-grpc-port", "0", "--otlp-http-port", "0", "--forward-port", "0"]);
        // A process that was killed left its own.
        std::fs::remove_file(self.path("gateway/endpoints.json")).ok();
        Running::spawn(command, "a gateway", &self.path("gateway.log")).unwrap()
    }

    /// Waits until a process says where it listens: an operator when it leads.
    pub(crate) async fn listening(&self, running: &mut Running, name: &str) {
        let file = self.path(name).join("endpoints.json");
        running.wait_for(&file, &self.path("operator.log")).await.unwrap();
    }

    /// Sends request after request until told to stop, each one until it is acknowledged, and counts those.
    fn send(&self, stop: &Arc<AtomicBool>, sent: watch::Sender<usize>) -> JoinHandle<()> {
        let (http, endpoints) = (self.http.clone(), self.path("gateway/endpoints.json"));
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let body = request(*sent.borrow());
                while !accepted(&http, &endpoints, &body).await {
                    tokio::time::sleep(RETRY).await;
                }
                sent.send_modify(|count| *count += 1);
            }
        })
    }

    /// Rows, and different rows.
    async fn stored(&self) -> (usize, usize) {
        let kubeconfig = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let kubeconfig: Value = serde_saphyr::from_str(&kubeconfig).unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
        let sql = "SELECT count(*), count(DISTINCT body) FROM logs";
        let answer = self
            .http
            .post(format!("http://127.0.0.1:{}/api/v1/query", self.api_port))
            .bearer_auth(token)
            .json(&json!({"sql": sql}))
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        let number = |column: usize| answer["rows"][1][column].as_str().unwrap().parse().unwrap();
        (number(0), number(1))
    }
}

fn request(number: usize) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let now = jiff::Timestamp::now().as_nanosecond();
    let records: Vec<Value> = (0..RECORDS)
        .map(|record| json!({"timeUnixNano": now.to_string(), "body": {"stringValue": format!("{number}.{record}")}}))
        .collect();
    let resource = json!({"attributes": [text("service.name", "cart"), text("service.namespace", "shop")]});
    json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]})
}

async fn accepted(http: &reqwest::Client, endpoints: &Path, body: &Value) -> bool {
    let Ok(text) = std::fs::read_to_string(endpoints) else { return false };
    let Ok(endpoints) = serde_json::from_str::<Value>(&text) else { return false };
    let url = format!("{}/v1/logs", endpoints["otlpHttp"].as_str().unwrap());
    let sent = http.post(url).bearer_auth(TOKEN).json(body).send().await;
    sent.is_ok_and(|answer| answer.status().is_success())
}

/// Waits until so many more were acknowledged.
async fn more(sent: &mut watch::Receiver<usize>, count: usize) {
    let wanted = *sent.borrow() + count;
    tokio::time::timeout(DEADLINE, sent.wait_for(|sent| *sent >= wanted)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_record_is_lost_or_doubled_when_gateways_and_leaders_are_killed() {
    let Some(kubeconfig) = real_cluster("operators and gateways on a real API server") else { return };
    let _alone = ALONE.lock().await;
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    apply_definitions(&kubeconfig);
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roles/source.yaml");
    let manifests = manifests.to_str().unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = kubectl_of(&kubeconfig).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    kubectl(&["apply", "-f", manifests]);
    let world = World::new(kubeconfig.clone());
    let mut first = world.operator("first");
    world.listening(&mut first, "first").await;
    let mut second = world.operator("second");
    let mut gateway = world.gateway();

    let stop = Arc::new(AtomicBool::new(false));
    let (counter, mut sent) = watch::channel(0);
    let sending = world.send(&stop, counter);
    more(&mut sent, 50).await;
    gateway.kill().unwrap();
    gateway = world.gateway();
    more(&mut sent, 50).await;
    first.kill().unwrap();
    // Nobody leads: what comes is acknowledged all the same.
    more(&mut sent, 50).await;
    world.listening(&mut second, "second").await;
    gateway.kill().unwrap();
    gateway = world.gateway();
    more(&mut sent, 50).await;
    stop.store(true, Ordering::SeqCst);
    sending.await.unwrap();
    // It seals what is hot, and hands it over.
    gateway.stop().unwrap();
    let all = *sent.borrow() * RECORDS;
    assert_eq!(world.stored().await, (all, all));
    kubectl(&["wait", "--for=condition=Ready", "logsource/otlp", "-n", NAMESPACE, "--timeout=60s"]);
    second.stop().unwrap();
    kubectl(&["delete", "-f", manifests, "--wait=false"]);
}
