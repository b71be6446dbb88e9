//! Owns the one engine: feeds it, and hands on what it finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::{
    BaselineConfig, BundleFile, Change, Declared, Engine, EngineConfig, Incident, ObjectiveConfig,
    PeakConfig, ServiceConfig,
};
use causeway_kubekit::{Activity, Busy};
use causeway_model::{Clock, Event, Finding, Partial};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// What one step of the engine brought.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) findings: Vec<Finding>,
    pub(crate) events: Vec<Event>,
    /// Incidents that changed.
    pub(crate) incidents: Vec<Incident>,
    pub(crate) bundles: Vec<BundleFile>,
}

struct Guarded {
    engine: Engine,
    /// Revision of every incident that was handed on.
    published: BTreeMap<String, u64>,
}

/// Keeps where a restart finds it what can't wait for the next snapshot.
pub(crate) trait Keeper: Send + Sync {
    /// All incidents, before a changed one is told.
    fn incidents(&self, incidents: &[Incident]);
    /// All that is declared, whenever it changed.
    fn declared(&self, declared: &Declared);
}

/// Shared by all who feed or read the engine.
pub(crate) struct EngineHost {
    guarded: Mutex<Guarded>,
    clock: Arc<dyn Clock>,
    activity: Activity,
    outputs: mpsc::UnboundedSender<(Output, Busy)>,
    keeper: Box<dyn Keeper>,
}

impl EngineHost {
    /// A host; the receiver gets what the engine finds, in order. An output counts as work until its [`Busy`] is dropped.
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        activity: Activity,
        keeper: Box<dyn Keeper>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<(Output, Busy)>) {
        let (outputs, receiver) = mpsc::unbounded_channel();
        let guarded = Mutex::new(Guarded { engine, published: BTreeMap::new() });
        (Arc::new(Self { guarded, clock, activity, outputs, keeper }), receiver)
    }

    /// Takes a closed window.
    pub(crate) fn observe(&self, partial: Partial) {
        let mut guarded = self.guarded.lock();
        guarded.engine.observe(partial, self.clock.now_us());
        self.publish(&mut guarded);
    }

    /// Takes a window again that was evaluated before a restart.
    pub(crate) fn remember(&self, partial: Partial) {
        self.guarded.lock().engine.remember(partial);
    }

    /// Takes a change to the observed system.
    pub(crate) fn change(&self, change: Change, namespace: &str) {
        let mut guarded = self.guarded.lock();
        guarded.engine.change(change, namespace);
        self.publish(&mut guarded);
    }

    /// Evaluates what is due now.
    pub(crate) fn tick(&self) {
        let mut guarded = self.guarded.lock();
        guarded.engine.tick(self.clock.now_us());
        self.publish(&mut guarded);
    }

    /// Replaces what is declared about services.
    pub(crate) fn set_services(&self, services: Vec<ServiceConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_services(services);
        self.keeper.declared(&guarded.engine.declared());
    }

    /// Replaces all objectives.
    pub(crate) fn set_objectives(&self, objectives: Vec<ObjectiveConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_objectives(objectives);
        self.keeper.declared(&guarded.engine.declared());
        self.publish(&mut guarded);
    }

    /// Replaces all Baselines.
    pub(crate) fn set_baselines(&self, baselines: Vec<BaselineConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_baselines(baselines);
        self.keeper.declared(&guarded.engine.declared());
        self.publish(&mut guarded);
    }

    /// Replaces all events.
    pub(crate) fn set_peaks(&self, peaks: Vec<PeakConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_peaks(peaks);
        self.keeper.declared(&guarded.engine.declared());
    }

    /// Reads the engine.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Engine) -> T) -> T {
        read(&self.guarded.lock().engine)
    }

    /// The incident with that fingerprint.
    pub(crate) fn incident(&self, fingerprint: &str) -> Option<Incident> {
        self.read(|e| e.incidents().iter().find(|i| i.fingerprint == fingerprint).cloned())
    }

    /// Hands all incidents on again, after a restart.
    pub(crate) fn republish(&self) {
        let mut guarded = self.guarded.lock();
        guarded.published.clear();
        self.publish(&mut guarded);
    }

    fn publish(&self, guarded: &mut Guarded) {
        let Guarded { engine, published } = guarded;
        let incidents: Vec<Incident> = engine
            .incidents()
            .iter()
            .filter(|i| published.get(&i.fingerprint) != Some(&i.revision))
            .cloned()
            .collect();
        if !incidents.is_empty() {
            self.keeper.incidents(engine.incidents());
        }
        for incident in &incidents {
            published.insert(incident.fingerprint.clone(), incident.revision);
        }
        let output = Output {
            findings: engine.take_findings(),
            events: engine.take_events(),
            incidents,
            bundles: engine.take_bundles(),
        };
        if output.findings.is_empty() && output.events.is_empty() && output.incidents.is_empty() {
            return;
        }
        // Nobody receives any more while the process shuts down.
        drop(self.outputs.send((output, self.activity.busy())));
    }
}

/// Configuration of the engine of this process.
pub(crate) fn engine_config() -> EngineConfig {
    EngineConfig { bundles: true, ..EngineConfig::default() }
}
