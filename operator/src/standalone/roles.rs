//! Wires the roles together and runs them until the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_console::{Console, ConsoleConfig, Telemetry};
use causeway_controllers::{
    Context as ControllerContext, IncidentFeed, Notifications, OperatorParts, Ports as ControllerPorts,
};
use causeway_ingest::{Credentials, IngestConfig, IngestLimits, IngestMetrics, IngestServer};
use causeway_kubekit::{Activity, ControllerMetrics, TrackWritesLayer};
use causeway_lake::{Lake, LakeMetrics, LakeOptions};
use causeway_model::{Clock as _, Partial};
use causeway_notify::{NotifyMetrics, RetryPolicy};
use causeway_pipeline::{Gateway, GatewayConfig, PartialSink, PipelineMetrics};
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};

use tower::{Layer as _, service_fn};

use super::api::{ApiState, router};
use super::clock::{ClockMode, ProcessClock};
use super::control::Control;
use super::engine_host::{EngineHost, engine_config};
use super::forecast_function::ForecastFunction;
use super::ports_of_controllers::GatewayPort;
use super::recover::{FolderKeeper, adopt_declared, adopt_incidents, load_engine, replay, save_engine};
use super::store::StoreArguments;
use super::{StandaloneArguments, maintain, manifests, persist};
use crate::audit;
use crate::console::{BYTE_BUDGET, LocalInsight};

/// How long roles may take to end.
const DRAIN: Duration = Duration::from_secs(20);
/// Time between snapshots of the engine, on the machine's clock.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);

/// Runs until a signal.
pub(crate) async fn run(arguments: StandaloneArguments) -> Result<()> {
    let StandaloneArguments {
        data, manifests, kubeconfig, without_executor, console_url, clock, now, store, ports, ..
    } = arguments;
    let build = BuildInfo::new("standalone", env!("CARGO_PKG_VERSION"), "");
    build.log();
    let shutdown = Shutdown::new(DRAIN);
    shutdown.listen_for_signals()?;
    let stop = shutdown.token();
    let (metrics, health) = (Metrics::new(&build), Health::new());
    let starting = health.register("start");
    let ports = ports.bind(kubeconfig.is_none()).await?;
    let endpoints = ports.endpoints()?;
    let stepped = clock == ClockMode::Stepped;
    let clock = ProcessClock::new(clock, now);
    let controller_clock = causeway_kubekit::Clock::from_fn({
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.timestamp())
    });
    let activity = Activity::new();

    let control = match &kubeconfig {
        Some(path) => Control::cluster(path).await?,
        None => Control::local(&data, &clock)?,
    };
    if let (Control::Local(cluster), Some(address)) = (&control, &endpoints.kubernetes) {
        cluster.write_kubeconfig(&data.join("kubeconfig"), address)?;
    }
    let lake = open_lake(&data, store, &clock, &metrics).await?;

    let mut engine = load_engine(&data);
    adopt_incidents(&data, &mut engine);
    adopt_declared(&data, &mut engine);
    let resumed_at = engine.watermark_us();
    let (host, outputs) =
        EngineHost::new(engine, clock.clone(), activity.clone(), Box::new(FolderKeeper(data.clone())));
    let gateway = Arc::new(Gateway::new(
        Arc::new(lake.clone()),
        partial_sink(&host, resumed_at),
        clock.clone(),
        GatewayConfig::default(),
        metrics.register(PipelineMetrics::register),
    ));
    let config = engine_config();
    let since = resumed_at.map_or(clock.now_us() - 2 * 3_600_000_000, |t| t - config.recent_us);
    let records = replay(&lake, &gateway, since).await?;
    gateway.tick();
    tracing::info!(records, since = causeway_model::rfc3339(since), "windows rebuilt from the lake");

    let (feed, inbox) = IncidentFeed::new();
    let (audit, keeper) = audit::open(&lake, &data, activity.clone(), clock.clone()).await?;
    // These two serve queues whose senders live as long as the process.
    tokio::spawn(keeper.run());
    tokio::spawn(persist::serve(lake.clone(), feed, activity.clone(), outputs));
    host.republish();

    let credentials = Credentials::new();
    let context = ControllerContext {
        client: control.operator(),
        activity: activity.clone(),
        clock: controller_clock.clone(),
        metrics: metrics.register(ControllerMetrics::register),
        instance: format!("standalone-{}", std::process::id()),
        admission: control.admission(),
    };
    let notifications = Notifications {
        state: data.join("notifications"),
        dead_letters: data.join("dead-letters"),
        retry: RetryPolicy::default(),
        metrics: metrics.register(NotifyMetrics::register),
        console: Some(console_url.unwrap_or_else(|| endpoints.api.clone())),
    };
    let controller_ports = ControllerPorts {
        engine: host.clone(),
        gateway: Arc::new(GatewayPort::new(gateway.clone(), credentials.clone(), clock.clone())),
        audit: Arc::new(audit),
    };
    let parts = OperatorParts { ports: controller_ports, inbox, notifications, executes: !without_executor };
    shutdown.spawn("controllers", causeway_controllers::run(context, parts, stop.clone()));

    let handles = IngestServer::start(
        IngestConfig {
            grpc: ports.otlp_grpc,
            http: ports.otlp_http,
            forward: ports.forward,
            extra_http: axum::Router::new(),
            server_name: "causeway".to_owned(),
            limits: IngestLimits::default(),
        },
        credentials,
        gateway.clone(),
        clock.clone(),
        metrics.register(IngestMetrics::register),
        stop.clone(),
    )?;
    shutdown.spawn("ingest", handles.finished());
    let control = Arc::new(control);
    let (served, until) = (Arc::clone(&control), stop.clone());
    shutdown.spawn("kubernetes", async move { served.serve(ports.kubernetes, until).await });
    let console = Console::new(ConsoleConfig {
        gate: control.gate(&data, endpoints.kubernetes.as_deref())?,
        telemetry: Telemetry::Here(Arc::new(LocalInsight { lake: lake.clone(), host: host.clone() })),
        clock: clock.clone(),
        byte_budget: BYTE_BUDGET,
        stop: stop.clone(),
    })?;
    let state = ApiState {
        lake: lake.clone(),
        host: host.clone(),
        gateway: gateway.clone(),
        clock: clock.clone(),
        controllers: controller_clock.clone(),
        activity: activity.clone(),
    };
    shutdown.spawn("api", serve(ports.api, console.router_with(router(Arc::new(state))), stop.clone()));
    shutdown.spawn("admin", serve(ports.admin, admin_router(health.clone(), metrics.clone()), stop.clone()));
    if let Some(folder) = &manifests {
        // As the administrator, whose rights a person with the kubeconfig has.
        let client = tracked(&control.administrator(), &activity);
        let count = manifests::apply(&client, folder).await?;
        tracing::info!(count, folder = %folder.display(), "manifests applied");
    }
    activity.settled().await;
    shutdown.spawn("timer", timer(host.clone(), gateway.clone(), data.clone(), stepped, stop.clone()));
    shutdown.spawn("maintain", maintain::run(lake.clone(), clock.clone(), stop.clone()));
    endpoints.write(&data)?;
    starting.ready();
    tracing::info!(?endpoints, "ready");
    finish(&shutdown, &control, &lake, &host, &data).await
}

/// A client whose writes count as work until the controllers have seen them.
fn tracked(client: &kube::Client, activity: &Activity) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let send = service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await }
    });
    kube::Client::new(TrackWritesLayer::new(activity.clone()).layer(send), namespace)
}

async fn open_lake(
    data: &Path,
    store: StoreArguments,
    clock: &Arc<ProcessClock>,
    metrics: &Metrics,
) -> Result<Lake> {
    let mut options = LakeOptions::new(data, clock.clone());
    if let Some(store) = store.options() {
        options.store = store;
    }
    options.metrics = metrics.register(LakeMetrics::register);
    options.series_functions = vec![Arc::new(ForecastFunction)];
    let lake =
        Lake::open(options).await.with_context(|| format!("cannot open the lake in {}", data.display()))?;
    let report = lake.recovery();
    tracing::info!(report = ?report, "lake opened");
    Ok(lake)
}

/// Windows up to `resumed_at` are in the engine's snapshot: only their spans and logs are needed again.
fn partial_sink(host: &Arc<EngineHost>, resumed_at: Option<i64>) -> PartialSink {
    let host = Arc::clone(host);
    Arc::new(move |partial: Partial| {
        if resumed_at.is_some_and(|t| partial.window.end_us <= t) {
            host.remember(partial);
        } else {
            host.observe(partial);
        }
    })
}

/// Closes windows as time passes, and keeps snapshots. A stepped clock closes windows itself.
async fn timer(
    host: Arc<EngineHost>,
    gateway: Arc<Gateway>,
    data: std::path::PathBuf,
    stepped: bool,
    stop: tokio_util::sync::CancellationToken,
) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut saved = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = second.tick() => {}
        }
        if !stepped {
            gateway.tick();
            host.tick();
        }
        if saved.elapsed() >= SNAPSHOT_EVERY {
            saved = tokio::time::Instant::now();
            if let Err(error) = save_engine(&data, &host) {
                tracing::error!(error = format!("{error:#}"), "engine snapshot was not written");
            }
        }
    }
}

async fn finish(
    shutdown: &Shutdown,
    control: &Control,
    lake: &Lake,
    host: &EngineHost,
    data: &Path,
) -> Result<()> {
    let overdue = shutdown.finish().await.err();
    save_engine(data, host)?;
    lake.shutdown().await?;
    control.close();
    let path = data.join("endpoints.json");
    if path.exists() {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    if let Some(overdue) = overdue {
        tracing::warn!(%overdue, "ended without them");
    }
    match shutdown.reason() {
        Some(ShutdownReason::Failure(reason)) => anyhow::bail!(reason),
        _ => Ok(()),
    }
}
