//! `causeway gateway`: receives telemetry in a cluster, and hands it over to the operator that leads. It goes on while
//! there is none: what it has acknowledged is in its write-ahead log.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Result, bail};
use causeway_controllers::GatewayContext;
use causeway_ingest::Credentials;
use causeway_kubekit::Activity;
use causeway_lake::Lake;
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};
use causeway_relay::{Delivery, Journal, Link, Outbox, Sender, rebuild};
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};
use clap::Args;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::log::LogArguments;
use crate::parts::clock::{self, ClockArguments, ClockMode, Moved};
use crate::parts::listen::{Endpoints, listen};
use crate::parts::receiving::{self, GatewayPort, ReceiverPorts};
use crate::parts::store::StoreArguments;
use crate::parts::{cluster, lake, runtime, token};

/// How long roles may take to end.
const DRAIN: Duration = Duration::from_secs(20);
/// How long the last exchange may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Arguments of `gateway`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArguments {
    /// Kubeconfig of the cluster; without it the ServiceAccount of the pod
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Host and port of the operators; every address of the host is tried, only the one that leads listens
    #[arg(long, default_value = "causeway-operator:4319")]
    operator: String,
    /// File with the token that operators and gateways share
    #[arg(long)]
    gateway_token_file: PathBuf,
    /// Folder of the write-ahead log
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// OTLP over gRPC
    #[arg(long, default_value_t = 4317)]
    otlp_grpc_port: u16,
    /// OTLP over HTTP
    #[arg(long, default_value_t = 4318)]
    otlp_http_port: u16,
    /// Fluent Forward
    #[arg(long, default_value_t = 24224)]
    forward_port: u16,
    /// Metrics and health
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    #[command(flatten)]
    clock: ClockArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: GatewayArguments) -> Result<()> {
    arguments.log.start()?;
    if !arguments.store.is_shared() {
        bail!(
            "--store is missing: a gateway puts files where the operator finds them, s3://BUCKET or file:///FOLDER"
        );
    }
    runtime::with_lake(&arguments.data.clone(), receive(arguments))
}

async fn receive(arguments: GatewayArguments) -> Result<()> {
    let GatewayArguments { kubeconfig, operator, gateway_token_file, data, bind, store, clock, .. } =
        arguments;
    let build = BuildInfo::new("gateway", env!("CARGO_PKG_VERSION"), "");
    build.log();
    let shutdown = Shutdown::new(DRAIN);
    shutdown.listen_for_signals()?;
    let stop = shutdown.token();
    let (metrics, health) = (Metrics::new(&build), Health::new());
    let sources = health.register("sources");
    let ports = ReceiverPorts {
        otlp_grpc: listen(bind, arguments.otlp_grpc_port, "--otlp-grpc-port").await?,
        otlp_http: listen(bind, arguments.otlp_http_port, "--otlp-http-port").await?,
        forward: listen(bind, arguments.forward_port, "--forward-port").await?,
    };
    let admin = listen(bind, arguments.admin_port, "--admin-port").await?;
    let endpoints = ports.endpoints(&admin)?;
    let stepped = clock.clock == ClockMode::Stepped;
    let clock = clock.start();
    let line = Arc::new(OnceLock::new());
    let routes = admin_router(health.clone(), metrics.clone()).merge(clock::router(&clock, moved(&line)));
    shutdown.spawn("admin", serve(admin, routes, stop.clone()));
    let link = Link::new(operator, token::read(&gateway_token_file)?)?;
    let client = Client::try_from(cluster::config(kubeconfig.as_deref()).await?)?;

    let lake = lake::open(&data, store, lake::Role::Gateway, &clock, &metrics).await?;
    let (journal, outbox) = Journal::open(&lake, clock.clone()).await?;
    let gateway = Arc::new(Gateway::new(
        Arc::new(lake.clone()),
        outbox.sink(),
        clock.clone(),
        GatewayConfig::default(),
        metrics.register(PipelineMetrics::register),
    ));
    let records = rebuild(&lake, &journal, &gateway).await?;
    tracing::info!(records, "windows rebuilt from the write-ahead log");
    let credentials = Credentials::new();
    let port = Arc::new(GatewayPort::new(gateway.clone(), credentials.clone(), clock.clone()));
    let seen = Arc::clone(&port);
    let sender = Sender::new(link, lake.clone(), &journal, Arc::new(move || seen.all_observed()));
    let ends = Line { gateway: Arc::clone(&gateway), outbox: outbox.clone(), delivery: sender.delivery() };
    line.set(ends).ok();
    // Writes as long as windows are closed.
    tokio::spawn(journal.run());
    let context = GatewayContext { client, activity: Activity::new(), gateway: port };
    let configured = causeway_controllers::run_gateway(context, move || sources.ready(), stop.clone());
    shutdown.spawn("sources", configured);
    receiving::start(ports, credentials, gateway.clone(), &clock, &metrics, &shutdown)?;
    let sending = hand_over(sender, shutdown.clone(), stop.clone());
    let sending = tokio::spawn(sending);
    if !stepped {
        shutdown.spawn("time", tick(gateway.clone(), stop.clone()));
    }
    endpoints.write(&data)?;
    tracing::info!(?endpoints, "receives");
    finish(&shutdown, &lake, &outbox, sending, &data).await
}

/// From the records to the operator.
struct Line {
    gateway: Arc<Gateway>,
    outbox: Outbox,
    delivery: Delivery,
}

/// A step of a replay closes windows, and is over when the operator has them.
fn moved(line: &Arc<OnceLock<Line>>) -> Moved {
    let line = Arc::clone(line);
    Arc::new(move |_| {
        let line = Arc::clone(&line);
        Box::pin(async move {
            let Line { gateway, outbox, delivery } = line.get().ok_or("the gateway is starting")?;
            gateway.tick();
            outbox.settled().await;
            delivery.settled().await;
            Ok(())
        })
    })
}

/// Hands over until the stop, and gives the sender back for the last exchange.
async fn hand_over(mut sender: Sender, shutdown: Shutdown, stop: CancellationToken) -> Sender {
    if let Err(error) = sender.run(stop).await {
        shutdown.trigger(ShutdownReason::Failure(error.to_string()));
    }
    sender
}

/// Closes windows as time passes.
async fn tick(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = second.tick() => gateway.tick(),
        }
    }
}

/// Seals what is hot and hands it over, so that nothing waits for this gateway's next start. What the operator does not
/// take in time waits in the write-ahead log.
async fn finish(
    shutdown: &Shutdown,
    lake: &Lake,
    outbox: &Outbox,
    sending: tokio::task::JoinHandle<Sender>,
    data: &Path,
) -> Result<()> {
    let overdue = shutdown.finish().await.err();
    let mut sender = sending.await?;
    outbox.settled().await;
    lake.shutdown().await?;
    match tokio::time::timeout(FAREWELL, sender.turn()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the rest is handed over after the next start"),
        Err(_) => tracing::warn!("the rest is handed over after the next start: the operator is slow"),
    }
    Endpoints::remove(data)?;
    if let Some(overdue) = overdue {
        tracing::warn!(%overdue, "ended without them");
    }
    match shutdown.reason() {
        Some(ShutdownReason::Failure(reason)) => bail!("{reason}"),
        _ => Ok(()),
    }
}
