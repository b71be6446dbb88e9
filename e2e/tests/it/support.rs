//! A running Causeway for one test.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use causeway_e2e::process::{Endpoints, Places, Running};
use serde_json::{Value, json};

/// A Causeway on free ports and a folder of its own; killed at the end.
pub(crate) struct Fixture {
    pub(crate) endpoints: Endpoints,
    pub(crate) places: Places,
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
    pub(crate) causeway: Running,
    _folder: tempfile::TempDir,
}

pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CAUSEWAY_BINARY") {
        return path.into();
    }
    let mut path = std::env::current_exe().unwrap();
    while path.file_name().is_some_and(|n| n != "debug") {
        path.pop();
    }
    let beside = path.join("causeway");
    if beside.exists() {
        return beside;
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/causeway")
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    pub(crate) async fn start_with(arguments: Vec<String>) -> Self {
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
        Self::start_at(None, manifests, arguments).await
    }

    /// With a cluster, by its kubeconfig, or with a Kubernetes API of its own.
    pub(crate) async fn start_at(
        cluster: Option<PathBuf>,
        manifests: PathBuf,
        arguments: Vec<String>,
    ) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            causeway: binary(),
            data: folder.path().join("data"),
            manifests,
            logs: folder.path().to_owned(),
            cluster,
            roles: None,
            arguments,
        };
        std::fs::create_dir_all(&places.data).unwrap();
        let (causeway, endpoints) = places.start_causeway(jiff::Timestamp::now(), None).await.unwrap();
        let token = std::fs::read_to_string(places.data.join("token")).unwrap().trim().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { endpoints, places, token, http, causeway, _folder: folder }
    }

    /// Starts it again on the same ports.
    pub(crate) async fn start_again(&mut self) {
        let (causeway, endpoints) =
            self.places.start_causeway(jiff::Timestamp::now(), Some(&self.endpoints)).await.unwrap();
        (self.causeway, self.endpoints) = (causeway, endpoints);
    }

    pub(crate) async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = self
            .http
            .post(format!("{}/api/v1/query", self.endpoints.api))
            .bearer_auth(&self.token)
            .json(&json!({"sql": sql}))
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        serde_json::from_value(value.get("rows").unwrap_or_else(|| panic!("{value}")).clone()).unwrap()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql).await;
        rows[1][0].parse().unwrap()
    }

    /// Asks until the number is as expected; the answer's deadline is the test's.
    pub(crate) async fn eventually(&self, sql: &str, expected: i64) {
        let begun = std::time::Instant::now();
        loop {
            let seen = self.number(sql).await;
            if seen == expected {
                return;
            }
            assert!(begun.elapsed().as_secs() < 30, "{sql}: {seen}, not {expected}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> (bool, String) {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let output = Command::new(program)
            .arg("--kubeconfig")
            .arg(self.places.kubeconfig())
            .args(arguments)
            .env("HOME", &self.places.logs)
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }
}

/// Kubeconfig of a real control plane, if there is one; if not, the output says what is not run, past its capture.
pub(crate) fn real_cluster(what: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CAUSEWAY_CLUSTER").map(PathBuf::from) else {
        let text = format!("not run: {what}; CAUSEWAY_CLUSTER is not set (`cargo xtask test` sets it)\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return None;
    };
    let record = std::fs::read_to_string(folder.join("cluster.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    Some(record["kubeconfig"].as_str().unwrap().into())
}

/// Held by a test whose controllers work on all objects of the real control plane.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// kubectl with a kubeconfig.
pub(crate) fn kubectl_of(kubeconfig: &Path) -> Command {
    let mut command = Command::new(std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()));
    command.arg("--kubeconfig").arg(kubeconfig);
    command
}

/// Applies the definitions of all kinds.
pub(crate) fn apply_definitions(kubeconfig: &Path) {
    let printed = Command::new(binary()).arg("crd").output().unwrap();
    let mut kubectl = kubectl_of(kubeconfig)
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(kubectl.stdin.as_mut().unwrap(), &printed.stdout).unwrap();
    assert!(kubectl.wait().unwrap().success());
}

/// Runs a Python client; `None` where no Python with the clients is at hand (`cargo xtask test` always has one).
pub(crate) fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let python = std::env::var_os("CAUSEWAY_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    Some(text)
}
