//! Outages of the control plane while the demo plays: the API server frozen, its store killed. Only on a cluster of
//! `cargo xtask cluster`, whose processes are known.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// How long the API server is frozen: longer than two terms of a Lease.
const FROZEN: Duration = Duration::from_secs(35);

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
pub(super) struct ControlPlane(Record);

impl ControlPlane {
    /// The one whose kubeconfig this is.
    pub(super) fn of(kubeconfig: &Path) -> Result<Self> {
        let path = kubeconfig.with_file_name("cluster.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{}: --outage needs a cluster of `cargo xtask cluster`", path.display())
        })?;
        Ok(Self(serde_json::from_str(&text)?))
    }

    fn part(&self, name: &str) -> Result<&Part> {
        self.0
            .parts
            .iter()
            .find(|part| part.name == name)
            .with_context(|| format!("the cluster has no {name}"))
    }

    /// Freezes the API server.
    pub(super) fn freeze(&self) -> Result<()> {
        signal("-STOP", self.part("kube-apiserver")?.pid)
    }

    /// Waits for longer than two terms of a Lease, and lets the API server go on.
    pub(super) async fn thaw(&self) -> Result<()> {
        tokio::time::sleep(FROZEN).await;
        signal("-CONT", self.part("kube-apiserver")?.pid)
    }

    /// Kills the store of the API server, and starts it again on its files.
    pub(super) fn restart_store(&self) -> Result<()> {
        let part = self.part("etcd")?;
        signal("-KILL", part.pid)?;
        let log = OpenOptions::new().append(true).create(true).open(&part.log)?;
        // `cargo xtask cluster down` ends it, by the mark in its environment.
        Command::new(&part.program)
            .args(&part.arguments)
            .envs(&part.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", part.program.display()))?;
        Ok(())
    }

    /// Mutations of Deployments by the fixer, from the audit log of the API server: the witness of what was done.
    pub(super) fn mutations(&self) -> Result<usize> {
        let path = self.0.audit_log.as_ref().context("the cluster has no audit log")?;
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(is_mutation).count())
    }
}

fn is_mutation(event: &Value) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    matches!(text("/verb"), "patch" | "update")
        && text("/objectRef/resource") == "deployments"
        && text("/impersonatedUser/username").ends_with(":causeway-fixer")
        && text("/stage") == "ResponseComplete"
        && !text("/requestURI").contains("dryRun=")
        && event.pointer("/responseStatus/code").and_then(Value::as_u64) == Some(200)
}

fn signal(signal: &str, pid: u32) -> Result<()> {
    if !Command::new("kill").args([signal, &pid.to_string()]).status()?.success() {
        bail!("kill {signal} {pid} failed: the process has ended");
    }
    Ok(())
}
