//! Composes all roles in one process, and runs them until the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use causeway_console::{Console, ConsoleConfig, Telemetry};
use causeway_controllers::{
    Bundles, Context as ControllerContext, Notifications, OperatorParts, Ports as ControllerPorts,
};
use causeway_ingest::Credentials;
use causeway_kubekit::{Activity, ControllerMetrics, TrackWritesLayer};
use causeway_lake::Lake;
use causeway_notify::{NotifyMetrics, RetryPolicy};
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};

use tower::{Layer as _, service_fn};

use super::control::Control;
use super::{StandaloneArguments, manifests};
use crate::audit::AuditSettings;
use crate::console::{BYTE_BUDGET, LocalInsight};
use crate::parts::brain::{Brain, BrainEnds, BrainParts};
use crate::parts::clock::ClockMode;
use crate::parts::declared_api;
use crate::parts::engine_host::EngineHost;
use crate::parts::listen::Endpoints;
use crate::parts::receiving::{self, GatewayPort};
use crate::parts::step_api::{ApiState, router};
use crate::parts::{changes, lake, maintain};

/// How long roles may take to end.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs until a signal.
pub(crate) async fn run(arguments: StandaloneArguments) -> Result<()> {
    let StandaloneArguments {
        data,
        manifests,
        kubeconfig,
        without_executor,
        runbook_bundles,
        console_url,
        clock,
        git,
        store,
        ports,
        ..
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
    let stepped = clock.clock == ClockMode::Stepped;
    let clock = clock.start();
    let controller_clock = clock.for_controllers();
    let activity = Activity::new();

    let control = match &kubeconfig {
        Some(path) => Control::cluster(path).await?,
        None => Control::local(&data, &clock).await?,
    };
    if let (Control::Local(cluster), Some(address)) = (&control, &endpoints.kubernetes) {
        cluster.write_kubeconfig(&data.join("kubeconfig"), address)?;
    }
    let lake = lake::open(&data, store, lake::Role::Standalone, &clock, &metrics).await?;
    let (brain, ends) = Brain::wake(BrainParts {
        lake: &lake,
        data: &data,
        clock: &clock,
        activity: &activity,
        audit: &AuditSettings::default(),
        metrics: &metrics,
        seen_after_us: None,
    })
    .await?;
    let BrainEnds { inbox, audit, background } = ends;
    // These serve queues whose senders live as long as the process.
    background.into_iter().for_each(|task| drop(tokio::spawn(task)));
    let (host, brain) = (Arc::clone(&brain.host), Arc::new(brain));
    let gateway = Arc::new(Gateway::new(
        Arc::new(lake.clone()),
        brain.intake(),
        clock.clone(),
        GatewayConfig::default(),
        metrics.register(PipelineMetrics::register),
    ));
    brain.relearn(&lake, &gateway).await?;

    let credentials = Credentials::new();
    let context = ControllerContext {
        client: control.operator(),
        activity: activity.clone(),
        clock: controller_clock.clone(),
        metrics: metrics.register(ControllerMetrics::register),
        instance: format!("standalone-{}", std::process::id()),
        admission: control.admission(),
        git: git.git(),
    };
    let notifications = Notifications {
        state: data.join("notifications"),
        dead_letters: data.join("dead-letters"),
        retry: RetryPolicy::default(),
        metrics: metrics.register(NotifyMetrics::register),
        console: console_url.or_else(|| endpoints.api.clone()),
    };
    let bundles = runbook_bundles.as_deref().map(Bundles::in_folder).transpose()?;
    let controller_ports = ControllerPorts {
        engine: host.clone(),
        gateway: Arc::new(GatewayPort::new(gateway.clone(), credentials.clone(), clock.clone())),
        audit,
        bundles: bundles.unwrap_or_default(),
    };
    let parts = OperatorParts { ports: controller_ports, inbox, notifications, executes: !without_executor };
    shutdown.spawn("controllers", causeway_controllers::run(context, parts, stop.clone()));

    receiving::start(ports.receivers, credentials, gateway.clone(), &clock, &metrics, &shutdown)?;
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
        gateway: Some(gateway.clone()),
        clock: clock.clone(),
        controllers: controller_clock.clone(),
        activity: activity.clone(),
    };
    let further = router(Arc::new(state))
        .merge(declared_api::router(host.clone(), clock.clone()))
        .merge(changes::router(host.clone(), clock.clone()));
    shutdown.spawn("api", serve(ports.api, console.router_with(further), stop.clone()));
    shutdown.spawn("admin", serve(ports.admin, admin_router(health.clone(), metrics.clone()), stop.clone()));
    if let Some(folder) = &manifests {
        // As the administrator, whose rights a person with the kubeconfig has.
        let client = tracked(&control.administrator(), &activity);
        let count = manifests::apply(&client, folder).await?;
        tracing::info!(count, folder = %folder.display(), "manifests applied");
    }
    activity.settled().await;
    // A stepped clock closes windows itself.
    let tick = move |host: &EngineHost| {
        if !stepped {
            gateway.tick();
            host.tick();
        }
    };
    shutdown.spawn("time", Arc::clone(&brain).run(tick, stop.clone()));
    shutdown.spawn("maintain", maintain::run(lake.clone(), clock.clone(), stop.clone()));
    endpoints.write(&data)?;
    starting.ready();
    tracing::info!(?endpoints, "ready");
    finish(&shutdown, &control, &lake, &brain, &data).await
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

async fn finish(
    shutdown: &Shutdown,
    control: &Control,
    lake: &Lake,
    brain: &Brain,
    data: &Path,
) -> Result<()> {
    let overdue = shutdown.finish().await.err();
    brain.save().await?;
    lake.shutdown().await?;
    control.close();
    Endpoints::remove(data)?;
    if let Some(overdue) = overdue {
        tracing::warn!(%overdue, "ended without them");
    }
    match shutdown.reason() {
        Some(ShutdownReason::Failure(reason)) => anyhow::bail!(reason),
        _ => Ok(()),
    }
}
