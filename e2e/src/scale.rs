//! Many objects on a real control plane: how long the first pass takes, and what an idle operator costs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::client;
use crate::demo::cluster::prepare;
use crate::demo::tables::table;
use crate::process::Places;

/// Namespaces that the services are spread over.
const NAMESPACES: usize = 10;
/// How long a phase may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Objects that are created at a time.
const ABREAST: usize = 16;

/// Arguments of `scale`.
#[derive(Args, Clone, Debug)]
pub struct ScaleArguments {
    /// Kubeconfig of a cluster of `cargo xtask cluster`, with room for all pods
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// MonitoredServices, each with a Deployment
    #[arg(long, default_value_t = 250)]
    pub services: usize,
    /// Replicas of each Deployment
    #[arg(long, default_value_t = 4)]
    pub replicas: usize,
    /// Baselines of each service
    #[arg(long, default_value_t = 4)]
    pub baselines: usize,
    /// How long the steady state is watched, seconds
    #[arg(long, default_value_t = 60)]
    pub watch: u64,
    /// The `causeway` binary
    #[arg(long)]
    pub causeway: PathBuf,
    /// Folder for data and logs
    #[arg(long)]
    pub data: PathBuf,
    /// Print JSON in place of a table
    #[arg(long)]
    pub json: bool,
}

/// What was measured.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    services: usize,
    baselines: usize,
    pods: usize,
    /// From the start of the process until every object has a status of its generation, seconds.
    first_pass_seconds: f64,
    /// CPU seconds until then.
    first_pass_cpu_seconds: f64,
    /// Writes to the API server until then.
    first_pass_writes: usize,
    /// Writes a second in the steady state.
    idle_writes_per_second: f64,
    /// Verb and resource of each of them.
    idle_writes: BTreeMap<String, usize>,
    /// Share of one core in the steady state.
    idle_cores: f64,
    /// Highest resident memory, MiB.
    peak_memory_mib: f64,
}

/// Makes the objects, starts Causeway, and measures.
///
/// # Errors
/// When the cluster refuses something, or a phase takes longer than ten minutes.
pub async fn run(arguments: ScaleArguments) -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    std::fs::create_dir_all(&arguments.data)
        .with_context(|| format!("cannot make {}", arguments.data.display()))?;
    let client = client(&arguments.kubeconfig).await?;
    let audit = audit_log(&arguments.kubeconfig)?;
    let places = Places {
        causeway: arguments.causeway.clone(),
        data: arguments.data.join("data"),
        manifests: PathBuf::new(),
        logs: arguments.data.clone(),
        cluster: Some(arguments.kubeconfig.clone()),
        roles: None,
        arguments: Vec::new(),
    };
    prepare(&places, &arguments.kubeconfig).await?;
    make(&client, &arguments).await?;
    let pods = running_pods(&client, arguments.services * arguments.replicas).await?;

    let before = audit.writes()?.len();
    let begun = Instant::now();
    let mut operator = Operator::start(&arguments)?;
    settled(&client, &arguments, &mut operator).await?;
    let (first_pass, first_cpu) = (begun.elapsed(), operator.cpu_seconds()?);
    let first_writes = audit.writes()?.len() - before;
    // What the last objects of the pass bring about is part of it, not of the steady state.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (idle_from, cpu_from) = (audit.writes()?.len(), operator.cpu_seconds()?);
    tokio::time::sleep(Duration::from_secs(arguments.watch)).await;
    let writes = audit.writes()?.split_off(idle_from);
    let cpu = operator.cpu_seconds()? - cpu_from;
    let seconds = arguments.watch as f64;
    let mut idle_writes = BTreeMap::new();
    for write in &writes {
        *idle_writes.entry(write.clone()).or_insert(0) += 1;
    }
    let figures = Figures {
        services: arguments.services,
        baselines: arguments.services * arguments.baselines,
        pods,
        first_pass_seconds: first_pass.as_secs_f64(),
        first_pass_cpu_seconds: first_cpu,
        first_pass_writes: first_writes,
        idle_writes_per_second: writes.len() as f64 / seconds,
        idle_writes,
        idle_cores: cpu / seconds,
        peak_memory_mib: operator.peak_memory()? / 1_048_576.0,
    };
    show(&figures, arguments.json)
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn show(figures: &Figures, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(figures)?);
        return Ok(());
    }
    let objects =
        format!("{} services, {} Baselines, {} pods", figures.services, figures.baselines, figures.pods);
    let mut table = table(&[&objects, ""]);
    let rows = [
        ("first pass", format!("{:.1} s", figures.first_pass_seconds)),
        ("CPU of the first pass", format!("{:.1} s", figures.first_pass_cpu_seconds)),
        ("writes of the first pass", figures.first_pass_writes.to_string()),
        ("idle: writes to the API server", format!("{:.2} a second", figures.idle_writes_per_second)),
        ("idle: CPU", format!("{:.1} % of a core", figures.idle_cores * 100.0)),
        ("peak memory", format!("{:.0} MiB", figures.peak_memory_mib)),
    ];
    for (name, value) in rows {
        table.add_row([name, &value]);
    }
    println!("{table}");
    for (write, count) in &figures.idle_writes {
        println!("  {count} x {write}");
    }
    Ok(())
}

fn namespace(service: usize) -> String {
    format!("scale-{}", service % NAMESPACES)
}

fn causeway(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "causeway.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "causeway.dev/v1alpha1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn builtin(api_version: &str, group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Namespaces, Deployments, MonitoredServices and Baselines.
async fn make(client: &Client, arguments: &ScaleArguments) -> Result<()> {
    let namespaces = builtin("v1", "", "Namespace", "namespaces");
    for n in 0..NAMESPACES {
        create(client, None, &namespaces, &namespace(n), Value::Null).await?;
    }
    let deployments = builtin("apps/v1", "apps", "Deployment", "deployments");
    let services = causeway("MonitoredService", "monitoredservices");
    let baselines = causeway("Baseline", "baselines");
    let mut work = tokio::task::JoinSet::new();
    for service in 0..arguments.services {
        let (client, arguments) = (client.clone(), arguments.clone());
        let (deployments, services, baselines) = (deployments.clone(), services.clone(), baselines.clone());
        while work.len() >= ABREAST {
            work.join_next().await.context("no work")???;
        }
        work.spawn(async move {
            let (namespace, name) = (namespace(service), format!("service-{service}"));
            let labels = json!({ "app": name });
            let spec = json!({ "replicas": arguments.replicas, "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": "service:1" }] } } });
            create(&client, Some(&namespace), &deployments, &name, spec).await?;
            let spec = json!({ "tier": "Standard", "telemetryName": name,
                "workloads": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": name }] });
            create(&client, Some(&namespace), &services, &name, spec).await?;
            for n in 0..arguments.baselines {
                let series =
                    json!({ "type": "Metric", "metric": { "name": format!("queue.{n}"), "maxSeries": 4 } });
                let spec = json!({ "serviceRef": { "name": name }, "series": series });
                create(&client, Some(&namespace), &baselines, &format!("{name}-{n}"), spec).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    Ok(())
}

async fn create(
    client: &Client,
    namespace: Option<&str>,
    resource: &ApiResource,
    name: &str,
    spec: Value,
) -> Result<()> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let mut object = DynamicObject::new(name, resource);
    if !spec.is_null() {
        object.data = json!({ "spec": spec });
    }
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).with_context(|| format!("{} {name} was refused", resource.kind))
}

async fn running_pods(client: &Client, wanted: usize) -> Result<usize> {
    let begun = Instant::now();
    let pods: Api<Pod> = Api::all(client.clone());
    let running = ListParams::default().fields("status.phase=Running");
    loop {
        let count = pods.list_metadata(&running).await?.items.len();
        if count >= wanted {
            return Ok(count);
        }
        if begun.elapsed() > PATIENCE {
            bail!("{count} of {wanted} pods run: start the cluster with more nodes");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until every object has a status of its generation.
async fn settled(client: &Client, arguments: &ScaleArguments, operator: &mut Operator) -> Result<()> {
    let begun = Instant::now();
    let kinds = [
        (causeway("MonitoredService", "monitoredservices"), arguments.services),
        (causeway("Baseline", "baselines"), arguments.services * arguments.baselines),
    ];
    for (resource, wanted) in kinds {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        loop {
            operator.alive()?;
            let objects = api.list(&ListParams::default()).await?.items;
            let seen = objects.iter().filter(|object| {
                let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
                observed.is_some() && observed == object.metadata.generation
            });
            let seen = seen.count();
            if seen >= wanted {
                break;
            }
            if begun.elapsed() > PATIENCE {
                bail!("{seen} of {wanted} {} have a status", resource.plural);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// The process that is measured.
struct Operator {
    child: std::process::Child,
    log: PathBuf,
}

impl Operator {
    fn start(arguments: &ScaleArguments) -> Result<Self> {
        let log = arguments.data.join("operator.log");
        let file = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = std::process::Command::new(&arguments.causeway);
        command.args(["standalone", "--without-executor", "--kubeconfig"]).arg(&arguments.kubeconfig);
        command.arg("--data").arg(arguments.data.join("data"));
        for port in ["otlp-grpc", "otlp-http", "forward", "api", "kubernetes", "admin"] {
            command.arg(format!("--{port}-port=0"));
        }
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        let shown = arguments.causeway.display();
        Ok(Self { child: child.with_context(|| format!("cannot start {shown}"))?, log })
    }

    fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("causeway ended with {status}: see {}", self.log.display()),
            None => Ok(()),
        }
    }

    /// CPU time so far, from the kernel's count in ticks of 10 ms.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
        Ok((ticks(11) + ticks(12)) as f64 / 100.0)
    }

    /// Highest resident memory so far, bytes.
    fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The audit log of the API server.
struct AuditLog(PathBuf);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterRecord {
    audit_log: Option<PathBuf>,
}

fn audit_log(kubeconfig: &Path) -> Result<AuditLog> {
    let path = kubeconfig.with_file_name("cluster.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{}: scale needs a cluster of `cargo xtask cluster`", path.display()))?;
    let record: ClusterRecord = serde_json::from_str(&text)?;
    Ok(AuditLog(record.audit_log.context("the cluster has no audit log")?))
}

impl AuditLog {
    /// Verb and resource of each write that the administrator made, as whom both this program and Causeway work.
    fn writes(&self) -> Result<Vec<String>> {
        let text =
            std::fs::read_to_string(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        let write = |line: &str| {
            let event: Value = serde_json::from_str(line).ok()?;
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let counts = matches!(text("/verb"), "create" | "update" | "patch" | "delete")
                && text("/stage") == "ResponseComplete"
                && text("/user/username") == "admin"
                && !text("/objectRef/resource").ends_with("reviews");
            counts.then(|| {
                let (resource, sub) = (text("/objectRef/resource"), text("/objectRef/subresource"));
                format!("{} {resource}{}{sub}", text("/verb"), if sub.is_empty() { "" } else { "/" })
            })
        };
        Ok(text.lines().filter_map(write).collect())
    }
}
