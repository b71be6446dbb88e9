//! `causeway console`: the console as a process of its own, without any right. It asks the API server and the process that
//! has the telemetry with the token of whoever calls.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_console::{Console, ConsoleConfig, Gate, Remote, Telemetry};
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, admin_router, serve};
use clap::Args;
use tokio::net::TcpListener;

use super::BYTE_BUDGET;
use crate::log::LogArguments;
use crate::parts::clock::{ClockMode, ProcessClock};
use crate::parts::cluster;

/// How long answers under way may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Arguments of `console`.
#[derive(Debug, Args)]
pub(crate) struct ConsoleArguments {
    /// Kubeconfig that tells where the API server is; its credentials are not used. Without it the cluster of the pod
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Address of the process that has the telemetry
    #[arg(long, default_value = "http://causeway:8080")]
    telemetry: String,
    /// Address to serve on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address for metrics and health
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: ConsoleArguments) -> Result<()> {
    arguments.log.start()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(console(arguments))
}

async fn console(arguments: ConsoleArguments) -> Result<()> {
    let ConsoleArguments { kubeconfig, telemetry, listen, admin, .. } = arguments;
    let build = BuildInfo::new("console", env!("CARGO_PKG_VERSION"), "");
    build.log();
    let shutdown = Shutdown::new(DRAIN);
    shutdown.listen_for_signals()?;
    let stop = shutdown.token();
    let (metrics, health) = (Metrics::new(&build), Health::new());
    let bind = |address: SocketAddr, flag: &'static str| async move {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}: choose another address with {flag}"))
    };
    let (listener, admin) = (bind(listen, "--listen").await?, bind(admin, "--admin").await?);
    let console = Console::new(ConsoleConfig {
        gate: Gate::new(cluster::config(kubeconfig.as_deref()).await?),
        telemetry: Telemetry::At(Remote::new(&telemetry)?),
        clock: ProcessClock::new(ClockMode::Wall, None),
        byte_budget: BYTE_BUDGET,
        stop: stop.clone(),
    })?;
    tracing::info!(address = %listener.local_addr()?, telemetry, "serves the console");
    shutdown.spawn("console", serve(listener, console.router(), stop.clone()));
    shutdown.spawn("admin", serve(admin, admin_router(health, metrics), stop.clone()));
    stop.cancelled().await;
    if let Err(overdue) = shutdown.finish().await {
        tracing::warn!(%overdue, "ended without them");
    }
    Ok(())
}
