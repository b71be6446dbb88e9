//! `causeway executor`: carries out approved Remediations in a cluster, and has no other duty. It keeps nothing: what it
//! did stands in the Remediation, so that another one goes on where it ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use causeway_controllers::{Admission, Context};
use causeway_kubekit::{Activity, Clock, ControllerMetrics, while_leading};
use causeway_model::BoxFuture;
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};
use clap::Args;
use kube::Client;
use tokio::net::TcpListener;

use crate::log::LogArguments;
use crate::parts::candidate::{Candidate, LeaseArguments};
use crate::parts::clock::{self, ClockArguments, Step};
use crate::parts::cluster;
use crate::parts::git::GitArguments;

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
    /// User as whom the operator writes: the admission rules must be made for it
    #[arg(long, default_value = "system:serviceaccount:causeway-system:causeway-operator")]
    operator_user: String,
    #[command(flatten)]
    git: GitArguments,
    #[command(flatten)]
    lease: LeaseArguments,
    /// Address for metrics and health
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    #[command(flatten)]
    clock: ClockArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs until SIGTERM or SIGINT, or until the Lease is lost.
pub(crate) fn run(arguments: ExecutorArguments) -> Result<()> {
    arguments.log.start()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(execute(arguments))
}

async fn execute(arguments: ExecutorArguments) -> Result<()> {
    let ExecutorArguments { kubeconfig, operator_user, git, lease, admin, clock, .. } = arguments;
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
    let process_clock = clock.start();
    let (clock, activity) = (process_clock.for_controllers(), Activity::new());
    let stepped = clock::router(&process_clock, Arc::new(moved(&clock, &activity)));
    let routes = admin_router(health.clone(), metrics.clone()).merge(stepped);
    shutdown.spawn("admin", serve(listener, routes, stop.clone()));
    let client = Client::try_from(cluster::config(kubeconfig.as_deref()).await?)?;
    let candidate = Candidate::stand(client.clone(), LEASE, "executor", lease);
    // A standby is ready to follow.
    leading.ready();
    let context = Context {
        client,
        activity,
        clock,
        metrics: metrics.register(ControllerMetrics::register),
        instance: candidate.identity.clone(),
        admission: Admission::Policies { operator: operator_user },
        git: git.git(),
    };
    let until = stop.clone();
    let led = while_leading(candidate.leadership.clone(), stop.clone(), |epoch| async move {
        tracing::info!(epoch, "leads");
        causeway_controllers::run_executor(context, until).await;
    })
    .await;
    candidate.release().await?;
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

/// What a step of a replay begins, and waits for.
fn moved(
    clock: &Clock,
    activity: &Activity,
) -> impl Fn(Step) -> BoxFuture<'static, Result<(), String>> + Send + Sync + use<> {
    let (clock, activity) = (clock.clone(), activity.clone());
    move |step| {
        step.note(&activity);
        clock.moved();
        let activity = activity.clone();
        Box::pin(async move {
            activity.settled().await;
            Ok(())
        })
    }
}
