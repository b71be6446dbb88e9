//! `causeway executor`: carries out approved Remediations in a cluster, and has no other duty. It keeps nothing: what it
//! did stands in the Remediation, so that another one goes on where it ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use causeway_controllers::{Admission, Context};
use causeway_kubekit::{Activity, Clock, ControllerMetrics, Elector, ElectorConfig, while_leading};
use causeway_remediate::DurationText;
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};
use clap::Args;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::log::LogArguments;

/// How long a step under way may take to end.
const DRAIN: Duration = Duration::from_secs(20);
/// The Lease of which one executor is the holder.
const LEASE: &str = "causeway-executor";

/// Arguments of `executor`.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArguments {
    /// Kubeconfig of the cluster; without it the ServiceAccount of the pod
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "causeway-system")]
    namespace: String,
    /// User as whom the operator writes: the admission rules must be made for it
    #[arg(long, default_value = "system:serviceaccount:causeway-system:causeway-operator")]
    operator_user: String,
    /// Name of this process among the candidates for the Lease
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// How long others wait for the Lease of one that does not renew it: whole seconds, at least 3
    #[arg(long, default_value = "15s", value_parser = lease_duration)]
    lease_duration: Duration,
    /// Address for metrics and health
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs until SIGTERM or SIGINT, or until the Lease is lost.
pub(crate) fn run(arguments: ExecutorArguments) -> Result<()> {
    arguments.log.start()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(execute(arguments))
}

async fn execute(arguments: ExecutorArguments) -> Result<()> {
    let ExecutorArguments { kubeconfig, namespace, operator_user, identity, lease_duration, admin, .. } =
        arguments;
    let build = BuildInfo::new("executor", env!("CARGO_PKG_VERSION"), "");
    build.log();
    let shutdown = Shutdown::new(DRAIN);
    shutdown.listen_for_signals()?;
    let stop = shutdown.token();
    let (metrics, health) = (Metrics::new(&build), Health::new());
    let leading = health.register("lease");
    let listener = TcpListener::bind(admin)
        .await
        .with_context(|| format!("cannot listen on {admin}: choose another address with --admin"))?;
    shutdown.spawn("admin", serve(listener, admin_router(health.clone(), metrics.clone()), stop.clone()));
    let client = client(kubeconfig).await?;
    // A name of its own for every start: a process that was frozen must not take its successor's Lease for its own.
    let identity = format!("{}-{:08x}", identity.as_deref().unwrap_or("executor"), rand::random::<u32>());
    let elector = Elector::new(client.clone(), ElectorConfig::new(&namespace, LEASE, &identity).lasting(lease_duration));
    let leadership = elector.leadership();
    // The Lease is given back only after everything that acts has ended.
    let released = CancellationToken::new();
    let election = tokio::spawn(elector.run(released.clone()));
    // A standby is ready to follow.
    leading.ready();
    tracing::info!(%namespace, %identity, "candidate for the Lease {LEASE}");
    let context = Context {
        client,
        activity: Activity::new(),
        clock: Clock::from_fn(Arc::new(jiff::Timestamp::now)),
        metrics: metrics.register(ControllerMetrics::register),
        instance: identity.clone(),
        admission: Admission::Policies { operator: operator_user },
    };
    let until = stop.clone();
    let led = while_leading(leadership, stop.clone(), |epoch| async move {
        tracing::info!(epoch, "leads");
        causeway_controllers::run_executor(context, until).await;
    })
    .await;
    released.cancel();
    election.await?;
    if let Err(lost) = &led {
        shutdown.trigger(ShutdownReason::Failure(lost.to_string()));
    }
    if let Err(overdue) = shutdown.finish().await {
        tracing::warn!(%overdue, "ended without them");
    }
    match led {
        Err(lost) => bail!("{lost}: start it again, as its Deployment does"),
        Ok(_) => Ok(()),
    }
}

fn lease_duration(text: &str) -> Result<Duration> {
    let duration = DurationText::parse(text)?.get();
    if duration < Duration::from_secs(3) || duration.subsec_nanos() != 0 {
        bail!("a Lease lasts at least 3s, in whole seconds");
    }
    Ok(duration)
}

async fn client(kubeconfig: Option<PathBuf>) -> Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let read =
                Kubeconfig::read_from(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("{} names no usable cluster", path.display()))?
        }
        None => Config::incluster().context("this is no pod of a cluster: name one with --kubeconfig")?,
    };
    Ok(Client::try_from(config)?)
}
