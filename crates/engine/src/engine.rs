//! The engine: windows in, findings and incidents out. One lock-free value; its owner serialises access.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ahash::AHashMap;
use causeway_causal::grouper::Grouper;
use causeway_causal::topology::Topology;
use causeway_model::{Completeness, Event, Finding, Micros, Partial, SeriesId, SourceRef, Window};

use crate::assemble::{Assembled, Assembler, Progress};
use crate::baseline::{Baselines, Content};
use crate::bundle::BundleFile;
use crate::calls::Calls;
use crate::case::MetricHistory;
use crate::change::Change;
use crate::config::{EngineConfig, ServiceConfig};
use crate::detect::{Point, Watched};
use crate::foresee::is_crossing;
use crate::golden::{Golden, is_golden};
use crate::groups::grouper;
use crate::incident::Incident;
use crate::learned::Counts;
use crate::measured;
use crate::noise::Noise;
use crate::objective::{Objectives, is_objective};
use crate::peak::{Calendar, golden_subject};
use crate::placement::{Placement, Placements};
use crate::recent::{Recent, RecentWindow};
use crate::source_event::source_event;
use crate::state::{State, States, is_state};

/// Changes kept for rankings.
const MAX_CHANGES: usize = 10_000;

/// See the module.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) services: Vec<ServiceConfig>,
    pub(crate) calendar: Calendar,
    pub(crate) assembler: Assembler,
    /// Sequence of the newest partial of each gateway.
    pub(crate) cursors: BTreeMap<Arc<str>, u64>,
    pub(crate) golden: Golden,
    pub(crate) watched: BTreeMap<SeriesId, Watched>,
    pub(crate) objectives: Objectives,
    pub(crate) baselines: Baselines,
    pub(crate) metrics: MetricHistory,
    /// Golden signals that spans give.
    pub(crate) served: MetricHistory,
    pub(crate) recent: Recent,
    pub(crate) calls: Calls,
    pub(crate) tenants: BTreeMap<Arc<str>, String>,
    pub(crate) template_texts: AHashMap<u64, Arc<str>>,
    pub(crate) changes: VecDeque<Change>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) grouper: Grouper,
    /// Symptoms that no incident has yet.
    pub(crate) waiting: BTreeMap<String, Finding>,
    pub(crate) noise: Noise,
    /// States that Kubernetes tells, and those that metrics show.
    pub(crate) told: States,
    pub(crate) measured: States,
    pub(crate) placements: Placements,
    pub(crate) silent: BTreeSet<SourceRef>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) events: Vec<Event>,
    pub(crate) bundles: Vec<BundleFile>,
    pub(crate) counts: Counts,
}

impl Engine {
    /// An engine that knows nothing.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            services: Vec::new(),
            calendar: Calendar::default(),
            assembler: Assembler::default(),
            cursors: BTreeMap::new(),
            golden: Golden::default(),
            watched: BTreeMap::new(),
            objectives: Objectives::default(),
            baselines: Baselines::default(),
            metrics: BTreeMap::new(),
            served: BTreeMap::new(),
            recent: Recent::default(),
            calls: Calls::default(),
            tenants: BTreeMap::new(),
            template_texts: AHashMap::new(),
            changes: VecDeque::new(),
            incidents: Vec::new(),
            grouper: grouper(&config),
            waiting: BTreeMap::new(),
            noise: Noise::default(),
            told: States::default(),
            measured: States::default(),
            placements: Placements::default(),
            silent: BTreeSet::new(),
            findings: Vec::new(),
            events: Vec::new(),
            bundles: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a closed window of one source of this process's own gateway, and evaluates the windows that are complete by
    /// it.
    pub fn observe(&mut self, partial: Partial, now_us: Micros) {
        self.take(&Arc::from(""), 0, partial, now_us);
    }

    /// The same, of another process's gateway, whose partials come with rising sequences, and again after an interruption.
    /// `false`: this state has it already.
    pub fn observe_from(&mut self, gateway: &str, sequence: u64, partial: Partial, now_us: Micros) -> bool {
        if sequence <= self.cursor(gateway) {
            return false;
        }
        let gateway: Arc<str> = match self.cursors.get_key_value(gateway) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(gateway),
        };
        self.take(&gateway, sequence, partial, now_us);
        self.cursors.insert(gateway, sequence);
        true
    }

    /// Sequence of the newest partial of a gateway; 0 before the first. After a restore it stands in front of the windows
    /// that were not complete in the snapshot.
    #[must_use]
    pub fn cursor(&self, gateway: &str) -> u64 {
        self.cursors.get(gateway).copied().unwrap_or(0)
    }

    /// Waits for all known sources anew. Called once by a new owner of a snapshot, before gateways resend.
    pub fn await_sources(&mut self, now_us: Micros) {
        self.assembler.await_all(now_us);
    }

    fn take(&mut self, gateway: &Arc<str>, sequence: u64, partial: Partial, now_us: Micros) {
        for (id, text) in &partial.template_texts {
            self.template_texts.insert(*id, Arc::clone(text));
        }
        if self.silent.remove(&partial.source) {
            self.events.push(source_event(&partial.source, now_us, "SourceFlowing", "sends again"));
        }
        if !self.assembler.add(gateway, sequence, partial, now_us) {
            self.counts.late_partials += 1;
        }
        self.tick(now_us);
    }

    /// Takes a window again that was evaluated before a restart: its spans and logs are needed by rankings, its
    /// verdicts are in the snapshot.
    pub fn remember(&mut self, partial: Partial) {
        self.golden.window(&partial.series);
        for (id, text) in partial.template_texts {
            self.template_texts.insert(id, text);
        }
        self.recent.push(
            RecentWindow::new(partial.window, partial.spans, partial.templates),
            self.config.recent_us,
            self.config.max_spans,
        );
    }

    /// Takes a change to the observed system.
    pub fn change(&mut self, mut change: Change, namespace: &str) {
        let mut message = change.description.clone();
        if let Some(event) = self.calendar.freeze(&change) {
            message.push_str(&format!(" (within the change freeze of {event})"));
            change.frozen_by = event.to_owned();
        }
        self.baselines.acted(&change.entity, change.time_us);
        self.events.push(Event {
            time_us: change.time_us,
            namespace: namespace.to_owned(),
            kind: "Change".to_owned(),
            entity: change.object.clone(),
            reason: format!("{:?}", change.class),
            message,
            attributes: change
                .diff
                .iter()
                .flat_map(|(path, old, new)| {
                    [(format!("{path} (old)"), old.clone()), (format!("{path} (new)"), new.clone())]
                })
                .collect(),
        });
        self.changes.push_back(change);
        while self.changes.len() > MAX_CHANGES {
            self.changes.pop_front();
        }
    }

    /// Replaces what Kubernetes says is wrong now. As it is stamped when it is seen, its time is `now_us`.
    pub fn set_states(&mut self, states: Vec<State>, now_us: Micros) {
        let fresh = self.told.set(states, now_us);
        if !fresh.is_empty() {
            self.place(fresh, now_us);
        }
    }

    /// Replaces what runs where, and whose addresses are whose, at `now_us`.
    pub fn set_placements(&mut self, placements: Vec<Placement>, now_us: Micros) {
        self.placements.set(placements, now_us, &mut self.calls.topology);
    }

    /// Evaluates what is due at `now_us`: windows of sources that fell silent, and symptoms without data.
    pub fn tick(&mut self, now_us: Micros) {
        for (window, content) in self.assembler.release(now_us, self.config.idle_us) {
            self.evaluate(window, content);
        }
        for source in self.assembler.quiet(now_us, self.config.silence_us) {
            if self.silent.insert(source.clone()) {
                self.events.push(source_event(&source, now_us, "SourceSilent", "sends nothing any more"));
            }
        }
        let due = self.told.due(now_us);
        if !due.is_empty() {
            self.place(due, now_us);
        }
        self.advance_incidents(now_us);
        // States need no window.
        for index in 0..self.incidents.len() {
            if self.incidents.get(index).is_some_and(Incident::is_of_states) {
                self.diagnose(index, now_us);
            }
        }
    }

    /// Takes incidents from before a restart, where they are further on than those of the snapshot.
    pub fn adopt(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            match self.incidents.iter_mut().find(|known| known.fingerprint == incident.fingerprint) {
                Some(known) if known.revision < incident.revision => *known = incident,
                Some(_) => {}
                None => {
                    self.adopt_group(&incident);
                    self.incidents.push(incident);
                }
            }
        }
    }

    /// Newest evaluated data time.
    #[must_use]
    pub fn watermark_us(&self) -> Option<Micros> {
        let t = self.assembler.released_until_us();
        (t > 0).then_some(t)
    }

    /// Incidents, oldest first; resolved ones stay for a while, known noise is left out.
    #[must_use]
    pub fn incidents(&self) -> Vec<&Incident> {
        self.incidents.iter().filter(|i| i.is_told()).collect()
    }

    /// The newest point of a series; see [`Engine::points`].
    pub(crate) fn newest_point(&self, series: &SeriesId) -> Option<Point> {
        match self.watched.get(series) {
            Some(watched) => watched.points.back().copied(),
            None => self.baselines.points(series).and_then(|points| points.last().copied()),
        }
    }

    /// Findings since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Takes the bundles of what was decided since the last call; see [`EngineConfig::bundles`].
    pub fn take_bundles(&mut self) -> Vec<BundleFile> {
        std::mem::take(&mut self.bundles)
    }

    /// Events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Points of a golden signal over the last hour, with the band that each was held against; of a series of a Baseline
    /// its last 120 points; of a burning objective the one where its finding opened: share of bad events, allowed share,
    /// and 0 to the share that pages.
    #[must_use]
    pub fn points(&self, series: &SeriesId) -> Vec<Point> {
        if let Some(watched) = self.watched.get(series) {
            return watched.points.iter().copied().collect();
        }
        if let Some(points) = self.baselines.points(series) {
            return points;
        }
        let burning = self.objectives.open().find(|f| f.series == *series);
        burning.map(Point::of).into_iter().collect()
    }

    /// Series whose finding is open, since when.
    pub fn open_series(&self) -> impl Iterator<Item = (&SeriesId, Micros)> {
        let declared = self.objectives.open().chain(self.baselines.open()).map(|f| (&f.series, f.since_us));
        self.watched.iter().filter_map(|(id, w)| w.open_since_us().map(|t| (id, t))).chain(declared)
    }

    /// The topology, with its history.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.calls.topology
    }

    /// Text of a log template.
    #[must_use]
    pub fn template_text(&self, id: u64) -> Option<&str> {
        self.template_texts.get(&id).map(AsRef::as_ref)
    }

    /// Counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a finding of this series is a symptom: a burning objective, or a golden signal of a service that is
    /// declared as an entry point or entered from outside; a state that is wrong in itself; a bound that was crossed as
    /// foretold. All else is evidence.
    pub(crate) fn is_symptom(&self, series: &SeriesId, entry_points: &BTreeSet<String>) -> bool {
        let service = series.entity.as_ref();
        is_objective(series)
            || is_state(series)
            || is_crossing(series)
            || is_golden(series)
                && (entry_points.contains(service)
                    || self.services.iter().any(|s| s.entry_point && s.is(service)))
    }

    fn evaluate(&mut self, window: Window, content: Assembled) {
        self.counts.windows += 1;
        for (entity, tenant) in content.tenants {
            self.tenants.entry(entity).or_insert(tenant);
        }
        self.calls.observe(&content.spans, &self.placements);
        self.calls.observe_metrics(&content.series, &self.placements);
        self.placements.observe(window.end_us, &mut self.calls.topology);
        self.keep(window, &content.series);
        let history_us = self.config.history_us;
        let completeness = Completeness {
            watermark_us: window.end_us,
            seen: content.records,
            expected: self.assembler.sources.values().map(|p: &Progress| p.usual_records).sum(),
        };
        let golden = self.golden.window(&content.series);
        let mut fresh = Vec::new();
        for signal in golden {
            // A Baseline takes over once it has learned, and what is open has closed.
            if self.baselines.overrides(&signal.id)
                && self.watched.get(&signal.id).is_none_or(|w| w.open_since_us().is_none())
            {
                self.watched.remove(&signal.id);
                continue;
            }
            let tenant = self.tenants.get(&signal.id.entity).cloned().unwrap_or_default();
            let watched = self.watched.entry(signal.id.clone()).or_insert_with(|| {
                let mut watched = Watched::new(signal.kind);
                watched.declare(&self.calendar.of(&signal.id.entity, golden_subject(&signal.id)));
                watched
            });
            fresh.extend(watched.observe(&tenant, &signal, window, completeness, history_us));
        }
        let named =
            Content { series: &content.series, templates: &content.templates, texts: &self.template_texts };
        fresh.extend(self.baselines.observe(window, &named, &self.tenants, &self.calendar, completeness));
        fresh.extend(self.objectives.observe(window, &content.series, &self.tenants, completeness));
        self.recent.push(
            RecentWindow::new(window, content.spans, content.templates),
            self.config.recent_us,
            self.config.max_spans,
        );
        fresh.extend(self.measure(window.end_us));
        fresh.extend(self.foresee(window.end_us));
        self.place(fresh, window.end_us);
        self.follow_peaks();
        for index in 0..self.incidents.len() {
            self.diagnose(index, window.end_us);
            self.figure(index, window.end_us);
        }
    }

    /// States that metrics show.
    fn measure(&mut self, at_us: Micros) -> Vec<Finding> {
        let known: BTreeSet<SeriesId> = self.measured.open().map(|f| f.series.clone()).collect();
        let tenant = |entity: &str| self.tenants.get(entity).cloned().unwrap_or_default();
        let states =
            measured::states(&self.metrics, at_us, &tenant, &|state| known.contains(&state.series()));
        self.measured.set(states, at_us)
    }
}
