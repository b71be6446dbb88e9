//! The engine's state as bytes, and back. What a snapshot lacks (windows since) comes from the lake, or
//! from gateways, which resend behind the cursors in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use causeway_causal::grouper::Grouper;
use causeway_model::{Finding, Micros, SeriesId, SourceRef};
use serde::{Deserialize, Serialize};

use crate::assemble::{Assembler, Origin, Progress};
use causeway_causal::topology::{Topology, TopologySnapshot};

use crate::baseline::{Baseline, Baselines};
use crate::calls::Calls;
use crate::change::Change;
use crate::config::EngineConfig;
use crate::detect::Watched;
use crate::engine::Engine;
use crate::history::History;
use crate::incident::Incident;
use crate::noise::Noise;
use crate::objective::{Objective, Objectives};
use crate::placement::Placements;
use crate::state::States;

/// Format of the snapshot; another one is not read, and the engine relearns.
const VERSION: u32 = 4;

/// A snapshot can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not a snapshot.
    #[error("not an engine snapshot: {0}")]
    Format(#[from] rmp_serde::decode::Error),
    /// The state can't be encoded.
    #[error("engine state can't be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// Written by another version.
    #[error("engine snapshot has format {found}, this is {VERSION}")]
    Version {
        /// Its format.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u32,
    released_until_us: Micros,
    sources: Vec<(Origin, Progress)>,
    cursors: BTreeMap<Arc<str>, u64>,
    watched: Vec<(SeriesId, Watched)>,
    objectives: Vec<Objective>,
    baselines: Vec<Baseline>,
    metrics: Vec<(SeriesId, History)>,
    served: Vec<(SeriesId, History)>,
    topology: TopologySnapshot,
    roots: BTreeMap<Arc<str>, u64>,
    tenants: BTreeMap<Arc<str>, String>,
    templates: Vec<(u64, Arc<str>)>,
    changes: VecDeque<Change>,
    incidents: Vec<Incident>,
    grouper: Grouper,
    waiting: BTreeMap<String, Finding>,
    noise: Noise,
    told: Vec<Finding>,
    measured: Vec<Finding>,
    placements: Placements,
    silent: Vec<SourceRef>,
}

impl Engine {
    /// State as MessagePack bytes (JSON has no NaN). Recent spans and logs are left out: they come back from the lake.
    ///
    /// # Errors
    /// When a value can't be encoded.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let snapshot = Snapshot {
            version: VERSION,
            released_until_us: self.assembler.released_until_us(),
            sources: self.assembler.sources.iter().map(|(s, p)| (s.clone(), *p)).collect(),
            cursors: self
                .cursors
                .iter()
                .map(|(g, newest)| (Arc::clone(g), self.assembler.released_sequence(g, *newest)))
                .collect(),
            watched: self.watched.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            objectives: self.objectives.snapshot(),
            baselines: self.baselines.snapshot(),
            metrics: self.metrics.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            served: self.served.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            topology: self.calls.topology.snapshot(),
            roots: self.calls.roots.clone(),
            tenants: self.tenants.clone(),
            templates: self.template_texts.iter().map(|(k, v)| (*k, Arc::clone(v))).collect(),
            changes: self.changes.clone(),
            incidents: self.incidents.clone(),
            grouper: self.grouper.clone(),
            waiting: self.waiting.clone(),
            noise: self.noise.clone(),
            told: self.told.snapshot(),
            measured: self.measured.snapshot(),
            placements: self.placements.clone(),
            silent: self.silent.iter().cloned().collect(),
        };
        Ok(rmp_serde::to_vec(&snapshot)?)
    }

    /// An engine that goes on from a snapshot.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version.
    pub fn restore(config: EngineConfig, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot: Snapshot = rmp_serde::from_slice(bytes)?;
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version { found: snapshot.version });
        }
        let mut engine = Self::new(config);
        engine.assembler =
            Assembler::resume(snapshot.sources.into_iter().collect(), snapshot.released_until_us);
        engine.cursors = snapshot.cursors;
        engine.watched = snapshot.watched.into_iter().collect();
        engine.objectives = Objectives::restore(snapshot.objectives);
        engine.baselines = Baselines::restore(snapshot.baselines);
        engine.metrics = snapshot.metrics.into_iter().collect();
        engine.served = snapshot.served.into_iter().collect();
        engine.calls = Calls::restore(Topology::restore(snapshot.topology), snapshot.roots);
        engine.tenants = snapshot.tenants;
        engine.template_texts = snapshot.templates.into_iter().collect();
        engine.changes = snapshot.changes;
        engine.incidents = snapshot.incidents;
        engine.grouper = snapshot.grouper;
        engine.waiting = snapshot.waiting;
        engine.noise = snapshot.noise;
        engine.told = States::restore(snapshot.told);
        engine.measured = States::restore(snapshot.measured);
        engine.placements = snapshot.placements;
        engine.silent = snapshot.silent.into_iter().collect();
        Ok(engine)
    }
}
