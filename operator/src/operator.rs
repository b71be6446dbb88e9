//! `causeway operator`: of several processes one leads. It runs the engine and the controllers, commits what gateways
//! have sealed, and serves the API. The others stand by, with the tables open.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use causeway_console::{Console, ConsoleConfig, Gate, Telemetry};
use causeway_controllers::{
    Admission, Bundles, Context, Gateway as GatewayPort, Git, Notifications, OperatorParts, Ports,
    SourceObservation, SourceSettings,
};
use causeway_kubekit::{Activity, ControllerMetrics, while_leading};
use causeway_lake::Lake;
use causeway_model::SourceRef;
use causeway_notify::{NotifyMetrics, RetryPolicy};
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};
use causeway_relay::{Hub, Observation};
use causeway_telemetry::{BuildInfo, Health, Metrics, Shutdown, ShutdownReason, admin_router, serve};
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditSettings;
use crate::console::{BYTE_BUDGET, LocalInsight};
use crate::log::LogArguments;
use crate::parts::brain::{Brain, BrainEnds, BrainParts};
use crate::parts::candidate::{Candidate, LeaseArguments};
use crate::parts::clock::{self, ClockArguments, ClockMode, ProcessClock};
use crate::parts::cluster::Cluster;
use crate::parts::declared_api;
use crate::parts::engine_host::EngineHost;
use crate::parts::listen::{Endpoints, listen, url};
use crate::parts::shared_folder::SharedFolder;
use crate::parts::step_api::{self, ApiState};
use crate::parts::store::StoreArguments;
use crate::parts::{changes, cluster, lake, maintain, runtime, token};

/// How long work under way may take to end.
const DRAIN: Duration = Duration::from_secs(20);
/// Gateways seal every minute at the latest, and announce at once: rows older than this are in the tables.
const SEEN_AFTER_US: i64 = 120_000_000;
/// The Lease of which one operator is the holder.
const LEASE: &str = "causeway-operator";
/// What each target of notifications was sent, for the next leader.
const NOTIFICATIONS: &str = "notifications";

/// Arguments of `operator`.
#[derive(Debug, Args)]
pub(crate) struct OperatorArguments {
    /// Kubeconfig of the cluster; without it the ServiceAccount of the pod
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// File with the token that operators and gateways share
    #[arg(long)]
    gateway_token_file: PathBuf,
    /// File with the Ed25519 key, PKCS #8, that signs the audit log: the same for all operators
    #[arg(long)]
    audit_key: PathBuf,
    /// Folder for what this process keeps of its own
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Address of the console as people reach it, for links in messages
    #[arg(long)]
    console_url: Option<String>,
    /// Folder with the recorded incidents that tests of Runbooks name; what they come to is told in the Runbooks' status
    #[arg(long)]
    runbook_bundles: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Where gateways hand over
    #[arg(long, default_value_t = 4319)]
    gateway_port: u16,
    /// HTTP API
    #[arg(long, default_value_t = 8080)]
    api_port: u16,
    /// Metrics and health
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    #[command(flatten)]
    clock: ClockArguments,
    #[command(flatten)]
    lease: LeaseArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs until SIGTERM or SIGINT, or until the Lease is lost.
pub(crate) fn run(arguments: OperatorArguments) -> Result<()> {
    arguments.log.start()?;
    if !arguments.store.is_shared() {
        bail!(
            "--store is missing: tables and the engine's state must be where every operator and gateway finds them, s3://BUCKET or file:///FOLDER"
        );
    }
    runtime::with_lake(&arguments.data.clone(), stand(arguments))
}

async fn stand(arguments: OperatorArguments) -> Result<()> {
    let build = BuildInfo::new("operator", env!("CARGO_PKG_VERSION"), "");
    build.log();
    let shutdown = Shutdown::new(DRAIN);
    shutdown.listen_for_signals()?;
    let stop = shutdown.token();
    let (metrics, health) = (Metrics::new(&build), Health::new());
    let standing = health.register("lease");
    let admin = listen(arguments.bind, arguments.admin_port, "--admin-port").await?;
    let admin_url = url(&admin)?;
    let clock = arguments.clock.start();
    // A standby has nothing to do at a step; a leader is stepped through its API.
    let stepped = clock::router(&clock, Arc::new(|_| Box::pin(async { Ok(()) })));
    let routes = admin_router(health.clone(), metrics.clone()).merge(stepped);
    shutdown.spawn("admin", serve(admin, routes, stop.clone()));
    let token = token::read(&arguments.gateway_token_file)?;
    let cluster = cluster::connect(arguments.kubeconfig.as_deref()).await?;
    let role = lake::Role::Operator;
    let lake = lake::open(&arguments.data, arguments.store.clone(), role, &clock, &metrics).await?;
    // Rows of an earlier process under this name, in its own log: nobody else commits those.
    lake.flush().await?;
    let candidate = Candidate::stand(cluster.client.clone(), LEASE, "operator", arguments.lease.clone());
    // A standby is ready to follow.
    standing.ready();
    let office = Office {
        arguments,
        token,
        admin_url,
        clock,
        cluster,
        lake,
        metrics,
        identity: candidate.identity.clone(),
    };
    let led = while_leading(candidate.leadership.clone(), stop.clone(), |epoch| {
        tracing::info!(epoch, "leads");
        office.lead(stop.clone())
    })
    .await;
    // Whatever was under way has been dropped if the Lease was lost, so that nothing is left that could act.
    candidate.release().await?;
    shutdown.trigger(match &led {
        Err(lost) => ShutdownReason::Failure(lost.to_string()),
        Ok(_) => ShutdownReason::Finished,
    });
    if let Err(overdue) = shutdown.finish().await {
        tracing::warn!(%overdue, "ended without them");
    }
    match led {
        Err(lost) => bail!("{lost}: start it again, as its StatefulSet does"),
        Ok(Some(ended)) => ended,
        Ok(None) => Ok(()),
    }
}

/// What a candidate has ready.
struct Office {
    arguments: OperatorArguments,
    token: String,
    admin_url: String,
    clock: Arc<ProcessClock>,
    cluster: Cluster,
    lake: Lake,
    metrics: Metrics,
    identity: String,
}

impl Office {
    /// Leads until `stop`. Dropped in the middle, it ends everything that it began.
    async fn lead(&self, stop: CancellationToken) -> Result<()> {
        let Self { arguments, clock, lake, metrics, .. } = self;
        let data = &arguments.data;
        let activity = Activity::new();
        // What others committed while this process stood by.
        lake.refresh().await?;
        let told = data.join(NOTIFICATIONS);
        let notifications = SharedFolder::fetch(lake, &told, NOTIFICATIONS).await?;
        let audit = AuditSettings { key: Some(arguments.audit_key.clone()), commits: true };
        let seen_after_us = Some(SEEN_AFTER_US);
        let parts =
            BrainParts { lake, data, clock, activity: &activity, audit: &audit, metrics, seen_after_us };
        let (brain, BrainEnds { inbox, audit, background }) = Brain::wake(parts).await?;
        let (mut tasks, mut queues) = (JoinSet::new(), JoinSet::new());
        background.into_iter().for_each(|task| drop(queues.spawn(task)));
        let past = Gateway::new(
            Arc::new(lake.clone()),
            brain.relearning(),
            clock.clone(),
            GatewayConfig::default(),
            PipelineMetrics::default(),
        );
        brain.relearn(lake, &past).await?;
        brain.await_gateways();
        let (host, brain) = (Arc::clone(&brain.host), Arc::new(brain));

        let hub = Arc::new(Hub::new(lake.clone(), host.clone(), clock.clone()));
        let bundles = arguments.runbook_bundles.as_deref().map(Bundles::in_folder).transpose()?;
        let ports = Ports {
            engine: host.clone(),
            gateway: Arc::new(Gateways(Arc::clone(&hub))),
            audit,
            bundles: bundles.unwrap_or_default(),
        };
        let parts = OperatorParts { ports, inbox, notifications: self.notifications(), executes: false };
        let context = self.context(&activity);
        let controllers = context.clock.clone();
        tasks.spawn(causeway_controllers::run(context, parts, stop.clone()));
        tasks.spawn(notifications.run(stop.clone()));
        let stepped = arguments.clock.clock == ClockMode::Stepped;
        let tick = move |host: &EngineHost| {
            if !stepped {
                host.tick();
            }
        };
        tasks.spawn(Arc::clone(&brain).run(tick, stop.clone()));
        tasks.spawn(maintain::run(lake.clone(), clock.clone(), stop.clone()));
        // From here on others find the leader: a standby does not listen.
        let gateways = listen(arguments.bind, arguments.gateway_port, "--gateway-port").await?;
        let api = listen(arguments.bind, arguments.api_port, "--api-port").await?;
        let endpoints = Endpoints {
            gateways: Some(gateways.local_addr()?.to_string()),
            api: Some(url(&api)?),
            admin: self.admin_url.clone(),
            pid: std::process::id(),
            ..Endpoints::default()
        };
        let console = self.console(&host, stop.clone())?;
        tasks.spawn(served("gateways", serve(gateways, hub.router(self.token.clone()), stop.clone())));
        let state = ApiState {
            lake: lake.clone(),
            host: host.clone(),
            gateway: None,
            clock: clock.clone(),
            controllers,
            activity: activity.clone(),
        };
        let further = changes::router(host.clone(), self.clock.clone())
            .merge(declared_api::router(host.clone(), self.clock.clone()))
            .merge(step_api::router(Arc::new(state)));
        tasks.spawn(served("api", serve(api, console.router_with(further), stop.clone())));
        endpoints.write(data)?;
        tracing::info!(?endpoints, "ready");
        stop.cancelled().await;
        if tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("ended without some of the controllers");
        }
        // What they said last is stored before the log of this process is closed.
        if tokio::time::timeout(DRAIN, activity.settled()).await.is_err() {
            tracing::warn!("ended before everything was stored");
        }
        brain.save().await?;
        lake.shutdown().await?;
        Endpoints::remove(data)
    }

    fn context(&self, activity: &Activity) -> Context {
        Context {
            client: self.cluster.client.clone(),
            activity: activity.clone(),
            clock: self.clock.for_controllers(),
            metrics: self.metrics.register(ControllerMetrics::register),
            instance: self.identity.clone(),
            admission: Admission::Policies { operator: self.cluster.user.clone() },
            // Only the executor changes anything.
            git: Git::default(),
        }
    }

    fn notifications(&self) -> Notifications {
        let data = &self.arguments.data;
        Notifications {
            state: data.join(NOTIFICATIONS),
            dead_letters: data.join("dead-letters"),
            retry: RetryPolicy::default(),
            metrics: self.metrics.register(NotifyMetrics::register),
            console: self.arguments.console_url.clone(),
        }
    }

    /// The API, as whoever calls.
    fn console(&self, host: &Arc<EngineHost>, stop: CancellationToken) -> Result<Arc<Console>> {
        let telemetry = LocalInsight { lake: self.lake.clone(), host: host.clone() };
        Console::new(ConsoleConfig {
            gate: Gate::new(self.cluster.config.clone()),
            telemetry: Telemetry::Here(Arc::new(telemetry)),
            clock: self.clock.clone(),
            byte_budget: BYTE_BUDGET,
            stop,
        })
        .context("the API can't be served")
    }
}

async fn served<T, E: std::fmt::Display>(what: &str, server: impl Future<Output = Result<T, E>>) {
    if let Err(error) = server.await {
        tracing::error!(%error, what, "not served any more");
    }
}

/// Gateways of other processes configure themselves; what they see is what the status of a LogSource says.
struct Gateways(Arc<Hub>);

impl GatewayPort for Gateways {
    fn set_source(&self, _source: SourceRef, _settings: SourceSettings) {}

    fn remove_source(&self, _source: &SourceRef) {}

    fn observed(&self, source: &SourceRef) -> SourceObservation {
        let Observation { last_record_us, rejected, limited, services } = self.0.observed(source);
        SourceObservation { last_record_us, rejected, limited, services }
    }
}
