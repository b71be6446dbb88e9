//! The engine with all that it needs: resumed, fed, told and kept. One process has it at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_controllers::{Engine, IncidentFeed, IncidentInbox};
use causeway_engine::whatif::{Effect, Signal, Step};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, CpuUse, Incident, Neighbours, ObjectiveConfig, ObjectiveReport,
    PeakConfig, PeakReport, Placement, ServiceConfig, State,
};
use causeway_kubekit::Activity;
use causeway_lake::Lake;
use causeway_model::{BoxFuture, Clock as _, Micros, Partial};
use causeway_pipeline::{Gateway, PartialSink};
use causeway_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use super::ask;
use super::clock::ProcessClock;
use super::engine_host::{EngineHost, HostEnds, engine_config};
use super::engine_metrics::EngineCollector;
use super::engine_state::EngineState;
use super::persist;
use super::recover::replay;
use crate::audit::{self, AuditLog, AuditSettings};

/// Time between snapshots of the engine, on the machine's clock.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// Where no snapshot says more, records of so long before now are looked at.
const LOOK_BACK_US: i64 = 2 * 3_600_000_000;

/// What a brain is made of.
pub(crate) struct BrainParts<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) data: &'a Path,
    pub(crate) clock: &'a Arc<ProcessClock>,
    pub(crate) activity: &'a Activity,
    pub(crate) audit: &'a AuditSettings,
    pub(crate) metrics: &'a Metrics,
    /// See [`EngineHost::new`].
    pub(crate) seen_after_us: Option<i64>,
}

/// Engine, its state in the lake, and the audit log.
pub(crate) struct Brain {
    pub(crate) host: Arc<EngineHost>,
    state: Arc<EngineState>,
    /// Data time up to which the snapshot had evaluated.
    resumed_us: Option<Micros>,
    now_us: Micros,
}

/// What controllers are given of it, and what has to run as long as it lives.
pub(crate) struct BrainEnds {
    pub(crate) inbox: IncidentInbox,
    pub(crate) audit: Arc<AuditLog>,
    /// Serve queues, until their senders are gone.
    pub(crate) background: Vec<BoxFuture<'static, ()>>,
}

impl Brain {
    /// Becomes the owner of the engine's state, and goes on from what the owner before has left.
    pub(crate) async fn wake(parts: BrainParts<'_>) -> Result<(Self, BrainEnds)> {
        let BrainParts { lake, data, clock, activity, audit: settings, metrics, seen_after_us } = parts;
        let (state, engine) = EngineState::claim(lake).await?;
        let state = Arc::new(state);
        let resumed_us = engine.watermark_us();
        let (host, ends) = EngineHost::new(engine, clock.clone(), activity.clone(), seen_after_us);
        let HostEnds { outputs, asks } = ends;
        let collector = EngineCollector(Arc::clone(&host));
        metrics.register(|registry| registry.register_collector(Box::new(collector)));
        let (feed, inbox) = IncidentFeed::new();
        let (audit, keeper) = audit::open(lake, data, settings, activity.clone(), clock.clone()).await?;
        let persisting = persist::serve(
            lake.clone(),
            Arc::clone(&state),
            Arc::downgrade(&host),
            feed,
            activity.clone(),
            outputs,
        );
        let asking = ask::serve(lake.clone(), Arc::downgrade(&host), asks);
        let ends = BrainEnds {
            inbox,
            audit: Arc::new(audit),
            background: vec![Box::pin(keeper.run()), Box::pin(persisting), Box::pin(asking)],
        };
        Ok((Self { host, state, resumed_us, now_us: clock.now_us() }, ends))
    }

    /// Where a gateway in this process puts closed windows. Those up to the snapshot are in the engine: only their spans
    /// and logs are needed again.
    pub(crate) fn intake(&self) -> PartialSink {
        let (host, resumed_us) = (Arc::clone(&self.host), self.resumed_us);
        Arc::new(move |partial: Partial| {
            if resumed_us.is_some_and(|t| partial.window.end_us <= t) {
                host.remember(partial);
            } else {
                host.observe(partial);
            }
        })
    }

    /// The same for windows that are rebuilt from the lake where gateways of other processes bring the newer ones: what
    /// they have kept is left to them.
    pub(crate) fn relearning(&self) -> PartialSink {
        let newest_us = self.resumed_us.unwrap_or(Micros::MIN).max(self.now_us - causeway_relay::KEEP_US);
        let intake = self.intake();
        Arc::new(move |partial: Partial| {
            if partial.window.end_us <= newest_us {
                intake(partial);
            }
        })
    }

    /// Rebuilds windows from the lake's records, through a gateway that ends at [`Brain::intake`] or
    /// [`Brain::relearning`]; then hands on again what was known.
    pub(crate) async fn relearn(&self, lake: &Lake, gateway: &Gateway) -> Result<()> {
        let since_us = self.resumed_us.map_or(self.now_us - LOOK_BACK_US, |t| t - engine_config().recent_us);
        let records = replay(lake, gateway, since_us).await?;
        gateway.tick();
        tracing::info!(records, since = causeway_model::rfc3339(since_us), "windows rebuilt from the lake");
        self.host.republish();
        Ok(())
    }

    /// Gives all gateways time to resend what they kept, before any window is taken for complete.
    pub(crate) fn await_gateways(&self) {
        self.host.await_sources();
    }

    /// Writes a snapshot.
    pub(crate) async fn save(&self) -> Result<()> {
        self.state.save(&self.host).await.context("engine snapshot was not written")
    }

    /// Lets time pass until `stop`, by `tick` every second, and keeps snapshots.
    pub(crate) async fn run(self: Arc<Self>, tick: impl Fn(&EngineHost) + Send, stop: CancellationToken) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut saved = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = second.tick() => {}
            }
            tick(&self.host);
            if saved.elapsed() >= SNAPSHOT_EVERY {
                saved = tokio::time::Instant::now();
                if let Err(error) = self.save().await {
                    tracing::error!(error = format!("{error:#}"));
                }
            }
        }
    }
}

impl Engine for EngineHost {
    fn incident(&self, fingerprint: &str) -> Option<Incident> {
        Self::incident(self, fingerprint)
    }

    fn set_services(&self, services: Vec<ServiceConfig>) {
        Self::set_services(self, services);
    }

    fn set_objectives(&self, objectives: Vec<ObjectiveConfig>) {
        Self::set_objectives(self, objectives);
    }

    fn objective(&self, namespace: &str, name: &str) -> Option<ObjectiveReport> {
        self.read(|engine| engine.objective(namespace, name))
    }

    fn set_baselines(&self, baselines: Vec<BaselineConfig>) {
        Self::set_baselines(self, baselines);
    }

    fn baseline(&self, namespace: &str, name: &str) -> Option<BaselineReport> {
        self.read(|engine| engine.baseline(namespace, name))
    }

    fn set_peaks(&self, peaks: Vec<PeakConfig>) {
        Self::set_peaks(self, peaks);
    }

    fn peak(&self, name: &str) -> Option<PeakReport> {
        self.read(|engine| engine.peak(name))
    }

    fn cpu_use(&self, entities: &[String]) -> Option<CpuUse> {
        self.read(|engine| engine.cpu_use(entities))
    }

    fn change(&self, change: Change, namespace: &str) {
        Self::change(self, change, namespace);
    }

    fn keep_objects(&self, fingerprint: &str, objects: String) {
        Self::keep_objects(self, fingerprint, objects);
    }

    fn set_states(&self, states: Vec<State>) {
        Self::set_states(self, states);
    }

    fn set_placements(&self, placements: Vec<Placement>) {
        Self::set_placements(self, placements);
    }

    fn merge(&self, fingerprint: &str, into: &str) {
        Self::merge(self, fingerprint, into);
    }

    fn neighbours(&self, entities: &[String]) -> Option<Neighbours> {
        self.read(|engine| engine.neighbours(entities))
    }

    fn what_if(&self, steps: &[Step]) -> Effect {
        self.read(|engine| engine.what_if(steps))
    }

    fn measured(&self, entity: &str, signal: Signal, from_us: i64, until_us: i64) -> Option<f64> {
        self.read(|engine| engine.measured(entity, signal, from_us, until_us))
    }

    fn set_effects(&self, held: u64, missed: u64) {
        Self::set_effects(self, held, missed);
    }

    fn watermark(&self) -> Option<i64> {
        self.read(causeway_engine::Engine::watermark_us)
    }
}
