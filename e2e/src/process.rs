//! Processes of a scenario: Causeway and the workload simulator, killed when the scenario ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// How long a process may take to say where it listens.
const START: Duration = Duration::from_secs(120);

/// Addresses of a running Causeway, from its `endpoints.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
    /// Fluent Forward, `host:port`.
    pub forward: String,
    /// Metrics and health.
    pub admin: String,
    /// HTTP API.
    pub api: String,
    /// Kubernetes API.
    #[serde(default)]
    pub kubernetes: Option<String>,
    /// Process id.
    pub pid: u32,
}

impl Endpoints {
    /// Most memory that the process had; 0 when it is gone.
    #[must_use]
    pub fn peak_memory_mib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|l| l.strip_prefix("VmHWM:"))
            .and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
            .unwrap_or_default();
        peak / 1024
    }
}

/// A child process that dies with the scenario.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: &'static str,
}

impl Running {
    /// Starts a command; what it prints is added to `log`.
    ///
    /// # Errors
    /// When it can't be started, or the log can't be written.
    pub fn spawn(mut command: Command, name: &'static str, log: &Path) -> Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it where it stands, or lets it go on.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        if !Command::new("kill").args([signal, &self.pid().to_string()]).status()?.success() {
            bail!("{} has ended", self.name);
        }
        Ok(())
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub fn stop(&mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Leaves it running when the scenario ends.
    pub fn detach(self) -> u32 {
        let pid = self.child.id();
        std::mem::forget(self);
        pid
    }

    /// Waits until a file has something in it, and gives that.
    ///
    /// # Errors
    /// When the process ends before, or needs too long; the message has the end of `log`.
    pub async fn wait_for(&mut self, path: &Path, log: &Path) -> Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            if let Ok(text) = std::fs::read_to_string(path)
                && !text.is_empty()
            {
                return Ok(text);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, tail(log));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        bail!("{} did not start within {} s: {}", self.name, START.as_secs(), tail(log))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Where things of one demo are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The binary.
    pub causeway: PathBuf,
    /// Data folder.
    pub data: PathBuf,
    /// Manifests to apply.
    pub manifests: PathBuf,
    /// Where the processes' logs go.
    pub logs: PathBuf,
    /// Kubeconfig of a cluster to work with; without it Causeway has a Kubernetes API of its own.
    pub cluster: Option<PathBuf>,
    /// Folder with a kubeconfig of each role, named like it, by which the roles run apart; without it one process has all.
    pub roles: Option<PathBuf>,
    /// Further arguments of `causeway standalone`, such as a store.
    pub arguments: Vec<String>,
}

impl Places {
    /// Kubeconfig of the Kubernetes API that Causeway works with.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.clone().unwrap_or_else(|| self.data.join("kubeconfig"))
    }

    /// Starts Causeway with a stepped clock at `now`: on free ports, or again on those of the process before.
    ///
    /// # Errors
    /// When it does not get ready; the message has the end of its log.
    pub async fn start_causeway(
        &self,
        now: jiff::Timestamp,
        before: Option<&Endpoints>,
    ) -> Result<(Running, Endpoints)> {
        let file = self.data.join("endpoints.json");
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        let mut command = Command::new(&self.causeway);
        command.arg("standalone").arg("--data").arg(&self.data);
        command.args(&self.arguments);
        command.arg("--manifests").arg(&self.manifests);
        if let Some(kubeconfig) = &self.cluster {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.args(["--clock", "stepped", "--now", &now.to_string()]);
        for (name, address) in [
            ("otlp-grpc", before.map(|e| &e.otlp_grpc)),
            ("otlp-http", before.map(|e| &e.otlp_http)),
            ("forward", before.map(|e| &e.forward)),
            ("api", before.map(|e| &e.api)),
            ("kubernetes", before.and_then(|e| e.kubernetes.as_ref())),
            ("admin", before.map(|e| &e.admin)),
        ] {
            let port = address.and_then(|a| a.rsplit(':').next()).unwrap_or("0");
            command.arg(format!("--{name}-port={port}"));
        }
        let log = self.logs.join("causeway.log");
        let mut running = Running::spawn(command, "causeway", &log)?;
        let text = running.wait_for(&file, &log).await?;
        let endpoints = serde_json::from_str(&text).context("endpoints.json can't be read")?;
        Ok((running, endpoints))
    }

    /// Starts the workload simulator; gives its address.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_simulator(&self, label: &Path) -> Result<(Running, String)> {
        let file = self.logs.join("simulator.address");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("simulate").arg("--kubeconfig").arg(self.kubeconfig());
        if self.cluster.is_some() {
            command.arg("--real-controllers");
        }
        command.arg("--label").arg(label).arg("--address-file").arg(&file);
        let log = self.logs.join("simulator.log");
        let mut running = Running::spawn(command, "the workload simulator", &log)?;
        let address = running.wait_for(&file, &log).await?;
        Ok((running, format!("http://{address}")))
    }
}
