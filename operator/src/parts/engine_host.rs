//! Owns the one engine: feeds it, and hands on what it finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use causeway_engine::{
    Ask, BaselineConfig, BundleFile, Change, Declared, Engine, EngineConfig, Incident, Lesson,
    ObjectiveConfig, Past, PeakConfig, Placement, ServiceConfig, State,
};
use causeway_kubekit::{Activity, Busy};
use causeway_model::{Clock, Event, Finding, Micros, Partial};
use causeway_relay::Intake;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// What one step of the engine brought.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) findings: Vec<Finding>,
    pub(crate) events: Vec<Event>,
    /// Incidents that changed.
    pub(crate) incidents: Vec<Incident>,
    /// All incidents, when one changed.
    pub(crate) all: Vec<Incident>,
    /// Whether what is declared changed: see [`EngineHost::take_declared`].
    pub(crate) declared: bool,
    pub(crate) bundles: Vec<BundleFile>,
    /// What repairs were planned on, by the fingerprint of their incidents.
    pub(crate) objects: Vec<(String, String)>,
}

/// What comes of the engine, in order. Each counts as work until its [`Busy`] is dropped.
pub(crate) struct HostEnds {
    pub(crate) outputs: mpsc::UnboundedReceiver<(Output, Busy)>,
    pub(crate) asks: mpsc::UnboundedReceiver<(Ask, Busy)>,
}

struct Guarded {
    engine: Engine,
    /// Revision of every incident that was handed on.
    published: BTreeMap<String, u64>,
}

/// Shared by all who feed or read the engine.
pub(crate) struct EngineHost {
    guarded: Mutex<Guarded>,
    clock: Arc<dyn Clock>,
    activity: Activity,
    outputs: mpsc::UnboundedSender<(Output, Busy)>,
    asks: mpsc::UnboundedSender<(Ask, Busy)>,
    /// Microseconds after which the lake has seen what gateways have; `None` where they share it.
    seen_after_us: Option<i64>,
    /// What is declared changed, and was not taken yet.
    declared: AtomicBool,
    /// Intervals of predicted effects that held what was measured, and those that did not.
    effects: Mutex<(u64, u64)>,
}

impl EngineHost {
    /// A host, and what comes of it. `seen_after_us`: microseconds after which the lake has seen what gateways have; `None`
    /// where they share it.
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        activity: Activity,
        seen_after_us: Option<i64>,
    ) -> (Arc<Self>, HostEnds) {
        let (outputs, outputs_end) = mpsc::unbounded_channel();
        let (asks, asks_end) = mpsc::unbounded_channel();
        let guarded = Mutex::new(Guarded { engine, published: BTreeMap::new() });
        let declared = AtomicBool::new(false);
        let effects = Mutex::default();
        let host = Self { guarded, clock, activity, outputs, asks, seen_after_us, declared, effects };
        (Arc::new(host), HostEnds { outputs: outputs_end, asks: asks_end })
    }

    /// Takes the points that were asked for.
    pub(crate) fn answer(&self, ask: &Ask, past: &BTreeMap<Micros, Past>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.answer(ask, past);
        self.publish(&mut guarded);
    }

    /// The lake could not answer.
    pub(crate) fn unanswered(&self, ask: &Ask, problem: String) {
        self.guarded.lock().engine.unanswered(ask, problem, self.clock.now_us());
    }

    /// Takes what was learned from the past.
    pub(crate) fn taught(&self, lesson: Lesson) {
        self.guarded.lock().engine.taught(lesson);
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

    /// Replaces what is wrong in itself now.
    pub(crate) fn set_states(&self, states: Vec<State>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_states(states, self.clock.now_us());
        self.publish(&mut guarded);
    }

    /// Replaces what runs where.
    pub(crate) fn set_placements(&self, placements: Vec<Placement>) {
        self.guarded.lock().engine.set_placements(placements, self.clock.now_us());
    }

    /// Makes an incident a part of another.
    pub(crate) fn merge(&self, fingerprint: &str, into: &str) {
        let mut guarded = self.guarded.lock();
        guarded.engine.merge(fingerprint, into, self.clock.now_us());
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
        self.publish_declared(&mut guarded);
    }

    /// Replaces all objectives.
    pub(crate) fn set_objectives(&self, objectives: Vec<ObjectiveConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_objectives(objectives);
        self.publish_declared(&mut guarded);
    }

    /// Replaces all Baselines.
    pub(crate) fn set_baselines(&self, baselines: Vec<BaselineConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_baselines(baselines);
        self.publish_declared(&mut guarded);
    }

    /// See [`Engine::await_sources`].
    pub(crate) fn await_sources(&self) {
        self.guarded.lock().engine.await_sources(self.clock.now_us());
    }

    /// Replaces all events.
    pub(crate) fn set_peaks(&self, peaks: Vec<PeakConfig>) {
        let mut guarded = self.guarded.lock();
        guarded.engine.set_peaks(peaks);
        self.publish_declared(&mut guarded);
    }

    /// Replaces how many intervals of predicted effects held, and how many did not.
    pub(crate) fn set_effects(&self, held: u64, missed: u64) {
        *self.effects.lock() = (held, missed);
    }

    /// Intervals of predicted effects that held what was measured, and those that did not.
    pub(crate) fn effects(&self) -> (u64, u64) {
        *self.effects.lock()
    }

    /// All that is declared, once it changed.
    pub(crate) fn take_declared(&self) -> Declared {
        self.declared.store(false, Ordering::SeqCst);
        self.read(Engine::declared)
    }

    /// Reads the engine.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Engine) -> T) -> T {
        read(&self.guarded.lock().engine)
    }

    /// The incident with that fingerprint.
    pub(crate) fn incident(&self, fingerprint: &str) -> Option<Incident> {
        self.read(|e| e.incidents().into_iter().find(|i| i.fingerprint == fingerprint).cloned())
    }

    /// Hands all incidents on again, after a restart.
    pub(crate) fn republish(&self) {
        let mut guarded = self.guarded.lock();
        guarded.published.clear();
        self.publish(&mut guarded);
    }

    /// Keeps what a repair was planned on.
    pub(crate) fn keep_objects(&self, fingerprint: &str, objects: String) {
        let output = Output { objects: vec![(fingerprint.to_owned(), objects)], ..Output::default() };
        // Nobody receives any more while the process shuts down.
        drop(self.outputs.send((output, self.activity.busy())));
    }

    fn publish(&self, guarded: &mut Guarded) {
        self.hand_on(guarded, false);
    }

    fn publish_declared(&self, guarded: &mut Guarded) {
        // Many objects are declared one after the other at a start: what waits to be taken is the newest anyway.
        let waits = self.declared.swap(true, Ordering::SeqCst);
        self.hand_on(guarded, !waits);
    }

    fn hand_on(&self, guarded: &mut Guarded, declared: bool) {
        let Guarded { engine, published } = guarded;
        let now_us = self.clock.now_us();
        let seen_us = self.seen_after_us.map_or(Micros::MAX, |after_us| now_us - after_us);
        for ask in engine.take_asks(now_us, seen_us) {
            // Nobody receives any more while the process shuts down.
            drop(self.asks.send((ask, self.activity.busy())));
        }
        let incidents: Vec<Incident> = engine
            .incidents()
            .into_iter()
            .filter(|i| published.get(&i.fingerprint) != Some(&i.revision))
            .cloned()
            .collect();
        for incident in &incidents {
            published.insert(incident.fingerprint.clone(), incident.revision);
        }
        let output = Output {
            findings: engine.take_findings(),
            events: engine.take_events(),
            all: if incidents.is_empty() {
                Vec::new()
            } else {
                engine.incidents().into_iter().cloned().collect()
            },
            incidents,
            declared,
            bundles: engine.take_bundles(),
            objects: Vec::new(),
        };
        if output.findings.is_empty()
            && output.events.is_empty()
            && output.incidents.is_empty()
            && !output.declared
        {
            return;
        }
        // Nobody receives any more while the process shuts down.
        drop(self.outputs.send((output, self.activity.busy())));
    }
}

/// Gateways of other processes feed the same engine.
impl Intake for EngineHost {
    fn cursor(&self, gateway: &str) -> u64 {
        self.read(|engine| engine.cursor(gateway))
    }

    fn observe(&self, gateway: &str, sequence: u64, partial: Partial) {
        let mut guarded = self.guarded.lock();
        if guarded.engine.observe_from(gateway, sequence, partial, self.clock.now_us()) {
            self.publish(&mut guarded);
        }
    }
}

/// Configuration of the engine of this process.
pub(crate) fn engine_config() -> EngineConfig {
    EngineConfig { bundles: true, ..EngineConfig::default() }
}
