//! `cargo xtask cluster`: a real control plane on loopback, with nodes and pods that exist on paper only.

mod files;
mod parts;
mod process;
mod record;
mod show;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};

pub(crate) use self::record::private;

use self::files::{ADMIN, Files, users};
use self::process::{Group, wait_for};
use self::record::{Part, Record, User};
use crate::go::{Tool, tools};
use crate::run::{cache, say, target};

/// Programs of a cluster, and the one that asks it.
const PARTS: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl"];

/// File with all requests to the API server.
const AUDIT_LOG: &str = "audit.log";

/// Nodes of a cluster, unless more are asked for.
const NODES: u32 = 2;

/// Held while a cluster starts.
const LOCK: &str = "lock";

/// What to do with the cluster.
#[derive(Subcommand)]
pub(crate) enum ClusterTask {
    /// Start it, and print the line that makes kubectl use it
    Up {
        /// Number of nodes
        #[arg(long, default_value_t = NODES)]
        nodes: u32,
        #[command(flatten)]
        place: Place,
    },
    /// End all of its processes, also those that a crash left behind, and remove its data
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Show its processes; fails unless all of them run
    Status {
        #[command(flatten)]
        place: Place,
        /// As a table or as JSON
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Where the cluster is.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Folder of its data; by default in the cache
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Does it.
pub(crate) fn cluster(task: ClusterTask) -> Result<()> {
    match task {
        ClusterTask::Up { nodes, place } => {
            let data = place.folder()?;
            let record = up(&data, nodes, Group::Own)?;
            show::export(&record)
        }
        ClusterTask::Down { place } => {
            let data = place.folder()?;
            let ended = down(&data)?;
            say(&format!("cluster in {}: {ended} processes ended, data removed", data.display()));
            Ok(())
        }
        ClusterTask::Status { place, output } => show::status(&place.folder()?, output),
    }
}

impl Place {
    /// The folder in the one spelling by which its processes are marked.
    fn folder(self) -> Result<PathBuf> {
        let folder = match self.data {
            Some(folder) => folder,
            None => cache()?.join("cluster"),
        };
        absolute(&folder)
    }
}

/// A path without links, whether it exists yet or not: processes are marked with it.
fn absolute(folder: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(folder)?;
    for ancestor in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), whole.strip_prefix(ancestor)) {
            return Ok(real.components().chain(rest.components()).collect());
        }
    }
    Ok(whole)
}

/// The cluster of a test run or a demo: ended when the value is dropped, and by Ctrl-C.
pub(crate) struct TestCluster {
    data: PathBuf,
    ours: bool,
}

impl TestCluster {
    /// Builds what a cluster takes, and says where the one of a test run will be.
    pub(crate) fn prepare() -> Result<PathBuf> {
        tools(&PARTS)?;
        absolute(&target().join("cluster"))
    }

    /// Starts a new cluster beside the build's output, so that clones do not share it; or takes the given one.
    pub(crate) fn start(kubeconfig: Option<&Path>) -> Result<Self> {
        Self::start_in("cluster", kubeconfig, NODES, Group::Ours)
    }

    /// The cluster of a demo; `keep`: it can outlive this process.
    pub(crate) fn for_demo(keep: bool) -> Result<Self> {
        Self::start_in("demo-cluster", None, NODES, if keep { Group::Own } else { Group::Ours })
    }

    /// The cluster on which the charts are installed.
    pub(crate) fn for_charts() -> Result<Self> {
        Self::start_in("charts-cluster", None, NODES, Group::Ours)
    }

    /// The cluster of a benchmark.
    pub(crate) fn for_bench(nodes: u32) -> Result<Self> {
        Self::start_in("bench-cluster", None, nodes, Group::Ours)
    }

    fn start_in(folder: &str, kubeconfig: Option<&Path>, nodes: u32, group: Group) -> Result<Self> {
        let data = absolute(&target().join(folder))?;
        down(&data)?;
        match kubeconfig {
            None => drop(up(&data, nodes, group)?),
            Some(given) => {
                let kubeconfig =
                    given.canonicalize().with_context(|| format!("--kubeconfig {}", given.display()))?;
                std::fs::create_dir_all(&data)?;
                Record { kubeconfig, ..Record::default() }.write(&data)?;
                say(&format!("tests of a real cluster use {}", given.display()));
            }
        }
        Ok(Self { data, ours: kubeconfig.is_none() })
    }

    /// Kubeconfig of its administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    /// Folder of its data.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }

    /// What was requested of its API server.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.data.join(AUDIT_LOG)
    }

    /// Leaves it running; gives its folder.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.ours = false;
        self.data.clone()
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = process::kill(&self.data)
        {
            say(&format!(
                "the cluster was not stopped: {error:#}; run `cargo xtask cluster down --data {}`",
                self.data.display()
            ));
        }
    }
}

/// Starts a cluster, or finds it running.
fn up(data: &Path, nodes: u32, group: Group) -> Result<Record> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    if !Record::exists(data) && std::fs::read_dir(data)?.flatten().any(|entry| entry.file_name() != LOCK) {
        bail!("{} has files of something else in it: choose another --data", data.display());
    }
    let lock = File::create(data.join(LOCK))?;
    if lock.try_lock().is_err() {
        bail!(
            "{}: another process is starting this cluster; wait for it, or choose another --data",
            data.display()
        );
    }
    if let Some(record) = Record::read(data)? {
        let running = process::find(data)?;
        if !record.parts.is_empty()
            && record.parts.iter().all(|part| running.values().any(|name| *name == part.name))
        {
            say(&format!("the cluster in {} is up already, with {} nodes", data.display(), record.nodes));
            return Ok(record);
        }
    }
    down(data)?;
    let begun = Instant::now();
    let started = Start::new(data, nodes, group).and_then(Start::run);
    if started.is_err() {
        process::kill(data)?;
    }
    let record = started?;
    say(&format!(
        "cluster: Kubernetes {} at {}, {nodes} nodes, in {:.1} s",
        record.parts.get(1).map(|part| part.version.as_str()).unwrap_or_default(),
        record.server.as_deref().unwrap_or_default(),
        begun.elapsed().as_secs_f64()
    ));
    Ok(record)
}

/// Ends the processes and removes what they wrote. A folder that is none of ours is left alone.
fn down(data: &Path) -> Result<usize> {
    let ended = process::kill(data)?;
    if Record::exists(data) {
        for entry in std::fs::read_dir(data)? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(ended)
}

/// A start under way.
struct Start<'a> {
    data: &'a Path,
    group: Group,
    files: Files,
    tools: Vec<Tool>,
    record: Record,
    children: Vec<(Part, Child)>,
}

impl<'a> Start<'a> {
    fn new(data: &'a Path, nodes: u32, group: Group) -> Result<Self> {
        let tools = tools(&PARTS)?;
        let record = Record {
            kubeconfig: data.join("kubeconfig"),
            audit_log: Some(data.join(AUDIT_LOG)),
            nodes,
            users: users()?,
            ..Record::default()
        };
        // Before anything is started, so that `down` knows the folder as ours.
        record.write(data)?;
        let files = Files::new(data);
        files.write(&record.users)?;
        Ok(Self { data, group, files, tools, record, children: Vec::new() })
    }

    fn run(mut self) -> Result<Record> {
        let loopback = |port: u16| format!("http://127.0.0.1:{port}");
        let (client, peer) = (loopback(parts::free_port()?), loopback(parts::free_port()?));
        self.spawn("etcd", parts::etcd(&self.files, &client, &peer))?;
        let port = parts::free_port()?;
        let server = format!("https://127.0.0.1:{port}");
        self.spawn("kube-apiserver", parts::api_server(&self.files, port, &client))?;
        self.record.server = Some(server.clone());
        let users: Vec<&User> = self.record.users.iter().collect();
        self.files.kubeconfig("kubeconfig", &server, &users)?;
        self.wait("the API server's readiness", &["get", "--raw=/readyz"], |_| true)?;

        let manager = self.part_config("system:kube-controller-manager", &server)?;
        self.spawn("kube-controller-manager", parts::controller_manager(&self.files, &manager))?;
        let scheduler = self.part_config("system:kube-scheduler", &server)?;
        self.spawn("kube-scheduler", parts::scheduler(&scheduler))?;
        let kwok = self.part_config("kwok", &server)?;
        self.spawn("kwok", parts::kwok(&self.files, &kwok))?;
        let nodes = self.files.nodes(self.record.nodes)?;
        self.kubectl(&["apply", "-f", &nodes.display().to_string()])?;

        let wanted = self.record.nodes as usize;
        let schedulable = |text: &str| {
            text.lines().filter(|line| line.trim() == "True []" || line.trim() == "True").count() >= wanted
        };
        let row = "-o=jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status} {.spec.taints}{\"\\n\"}{end}";
        self.wait("readiness of all nodes", &["get", "nodes", row], schedulable)?;
        self.wait(
            "the first service account",
            &["get", "serviceaccount", "default", "-n", "default", "-o=name"],
            |_| true,
        )?;
        self.record.write(self.data)?;
        Ok(self.record)
    }

    fn tool(&self, name: &str) -> Result<&Tool> {
        self.tools.iter().find(|tool| tool.name == name).with_context(|| format!("no tool {name}"))
    }

    fn spawn(&mut self, name: &str, arguments: Vec<String>) -> Result<()> {
        let tool = self.tool(name)?;
        let mut part = parts::part(self.data, tool, arguments);
        let child = process::spawn(&part, self.group)?;
        part.pid = child.id();
        self.record.parts.push(part.clone());
        self.children.push((part, child));
        Ok(())
    }

    fn part_config(&self, user: &str, server: &str) -> Result<PathBuf> {
        let user = self
            .record
            .users
            .iter()
            .find(|known| known.name == user)
            .with_context(|| format!("no user {user}"))?;
        self.files.kubeconfig(&format!("users/{}", user.name.replace(':', "-")), server, &[user])
    }

    /// Standard output of a successful kubectl, as the administrator.
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.tool("kubectl")?.path)
            .arg("--kubeconfig")
            .arg(&self.record.kubeconfig)
            .args(["--context", ADMIN, "--cache-dir"])
            .arg(self.data.join("work"))
            .args(arguments)
            .output()
            .context("cannot start kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Waits until a kubectl succeeds and its output is as wanted.
    fn wait(&mut self, what: &str, arguments: &[&str], good: impl Fn(&str) -> bool) -> Result<()> {
        let mut children = std::mem::take(&mut self.children);
        let outcome =
            wait_for(what, &mut children, || Ok(self.kubectl(arguments).is_ok_and(|text| good(&text))));
        self.children = children;
        outcome
    }
}
