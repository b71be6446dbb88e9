//! Outages of a control plane of `cargo xtask cluster`, whose processes are known: the API server frozen, its store or
//! itself killed, its history forgotten; and its audit log, the witness of what was done.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// `cluster.json`, as far as it is needed here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    audit_log: Option<PathBuf>,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    pid: u32,
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    log: PathBuf,
}

/// The processes of a control plane.
pub struct ControlPlane {
    path: PathBuf,
}

impl ControlPlane {
    /// The one whose kubeconfig this is.
    ///
    /// # Errors
    /// When it is none of `cargo xtask cluster`.
    pub fn of(kubeconfig: &Path) -> Result<Self> {
        let plane = Self { path: kubeconfig.with_file_name("cluster.json") };
        plane.record()?;
        Ok(plane)
    }

    fn record(&self) -> Result<Record> {
        let text = std::fs::read_to_string(&self.path).with_context(|| {
            format!("{}: this needs a cluster of `cargo xtask cluster`", self.path.display())
        })?;
        Ok(serde_json::from_str(&text)?)
    }

    fn part(&self, name: &str) -> Result<Part> {
        let part = self.record()?.parts.into_iter().find(|part| part.name == name);
        part.with_context(|| format!("the cluster has no {name}"))
    }

    /// Freezes the API server.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<()> {
        signal("-STOP", self.part("kube-apiserver")?.pid)
    }

    /// Waits, and lets the API server go on.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn thaw(&self, after: Duration) -> Result<()> {
        tokio::time::sleep(after).await;
        signal("-CONT", self.part("kube-apiserver")?.pid)
    }

    /// Kills the store of the API server, and starts it again on its files.
    ///
    /// # Errors
    /// When it has ended, or can't be started.
    pub fn restart_store(&self) -> Result<()> {
        self.restart("etcd")
    }

    /// Kills the API server, and starts another: what it remembers of the past is what the store has.
    ///
    /// # Errors
    /// When it has ended, or can't be started.
    pub fn restart_api_server(&self) -> Result<()> {
        self.restart("kube-apiserver")
    }

    fn restart(&self, name: &str) -> Result<()> {
        let part = self.part(name)?;
        signal("-KILL", part.pid)?;
        // Its ports are free when it is gone.
        while has_memory(part.pid) {
            std::thread::yield_now();
        }
        let log = OpenOptions::new().append(true).create(true).open(&part.log)?;
        // `cargo xtask cluster down` ends it, by the mark in its environment.
        let child = Command::new(&part.program)
            .args(&part.arguments)
            .envs(&part.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", part.program.display()))?;
        let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&self.path)?)?;
        let parts = record.get_mut("parts").and_then(Value::as_array_mut);
        for known in parts.into_iter().flatten().filter(|known| known["name"] == *name) {
            known["pid"] = json!(child.id());
        }
        Ok(std::fs::write(&self.path, serde_json::to_vec_pretty(&record)?)?)
    }

    /// Makes the store forget everything but the present.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn compact(&self) -> Result<()> {
        let part = self.part("etcd")?;
        let at = part.arguments.iter().position(|argument| argument == "--advertise-client-urls");
        let store = at.and_then(|at| part.arguments.get(at + 1)).context("the store has no address")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let ask = async |path: &str, body: Value| -> Result<Value> {
            let answer = http.post(format!("{store}/v3/kv/{path}")).json(&body).send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            if !status.is_success() {
                bail!("etcd: {path}: {status}: {text}");
            }
            Ok(serde_json::from_str(&text)?)
        };
        // Any key tells the revision of now; this is the first one that there can be.
        let answer = ask("range", json!({"key": "AA=="})).await?;
        let revision = answer.pointer("/header/revision").context("etcd tells no revision")?;
        ask("compaction", json!({"revision": revision, "physical": true})).await.map(drop)
    }

    /// Length of the audit log at this moment, in bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn audited(&self) -> Result<u64> {
        let path = self.audit_log()?;
        Ok(std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len())
    }

    /// What the audit log has behind so many bytes.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn events_since(&self, bytes: u64) -> Result<Vec<Value>> {
        let path = self.audit_log()?;
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = text.get(usize::try_from(bytes)?..).unwrap_or_default();
        // The last line may be half written.
        Ok(String::from_utf8_lossy(text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn audit_log(&self) -> Result<PathBuf> {
        self.record()?.audit_log.context("the cluster has no audit log")
    }

    /// Mutations of Deployments by the fixer.
    ///
    /// # Errors
    /// When the audit log can't be read.
    pub fn mutations(&self) -> Result<usize> {
        Ok(self.events_since(0)?.iter().filter(|event| is_mutation(event)).count())
    }
}

/// Whether an event of the audit log is a write that was carried out.
#[must_use]
pub fn is_write(event: &Value) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
    matches!(text("/verb"), "create" | "update" | "patch" | "delete" | "deletecollection")
        && text("/stage") == "ResponseComplete"
        && !text("/requestURI").contains("dryRun=")
        && code.is_some_and(|code| (200..300).contains(&code))
}

fn is_mutation(event: &Value) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    is_write(event)
        && text("/objectRef/resource") == "deployments"
        && text("/impersonatedUser/username").ends_with(":causeway-fixer")
}

/// Whether a process still has its files: when the last of its threads is gone, only an exit status is left.
fn has_memory(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_over =
        stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'));
    threads > 1 || !is_over
}

fn signal(signal: &str, pid: u32) -> Result<()> {
    if !Command::new("kill").args([signal, &pid.to_string()]).status()?.success() {
        bail!("kill {signal} {pid} failed: the process has ended");
    }
    Ok(())
}
