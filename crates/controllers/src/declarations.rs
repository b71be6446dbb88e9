//! Tells the engine of everything that is declared about series of services.

use std::sync::Arc;

use causeway_engine::{BaselineConfig, ObjectiveConfig};
use causeway_kubekit::{Busy, ObjectKey};
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::mirrors::Mirrors;
use crate::objective::objective;
use crate::ports::Engine;
use crate::series::series;

/// All SLOs and Baselines, in the words of the engine.
pub(crate) struct Declarations {
    mirrors: Mirrors,
    engine: Arc<dyn Engine>,
    told: Mutex<Told>,
}

/// What the engine was told last.
#[derive(Default)]
struct Told {
    objectives: Option<Vec<ObjectiveConfig>>,
    baselines: Option<Vec<BaselineConfig>>,
}

impl Declarations {
    pub(crate) fn new(mirrors: Mirrors, engine: Arc<dyn Engine>) -> Self {
        Self { mirrors, engine, told: Mutex::default() }
    }

    /// Tells the engine once everything has been listed, even if there is nothing: it may remember what was deleted
    /// while no controller ran.
    pub(crate) async fn at_start(self: Arc<Self>, busy: Busy, stop: CancellationToken) {
        let listed = async {
            self.mirrors.services.synced().await;
            self.mirrors.slos.synced().await;
            self.mirrors.baselines.synced().await;
            self.tell();
            drop(busy);
        };
        tokio::select! {
            () = listed => {}
            () = stop.cancelled() => {}
        }
    }

    /// Tells the engine, if there is news. What can't be followed is left out; its own status says why.
    pub(crate) fn tell(&self) {
        let mut told = self.told.lock();
        let service = |namespace: Option<String>, name: &str| {
            self.mirrors.services.get(&ObjectKey::namespaced(namespace?, name))
        };
        let slos = self.mirrors.slos.list();
        let objectives = slos.iter().filter_map(|slo| {
            objective(slo, service(slo.namespace(), &slo.spec.service_ref.name)?.as_ref()).ok()
        });
        let objectives: Vec<ObjectiveConfig> = objectives.collect();
        if told.objectives.as_ref() != Some(&objectives) {
            self.engine.set_objectives(objectives.clone());
            told.objectives = Some(objectives);
        }
        let baselines = self.mirrors.baselines.list();
        let baselines = baselines.iter().filter_map(|baseline| {
            series(baseline, service(baseline.namespace(), &baseline.spec.service_ref.name)?.as_ref()).ok()
        });
        let baselines: Vec<BaselineConfig> = baselines.collect();
        if told.baselines.as_ref() != Some(&baselines) {
            self.engine.set_baselines(baselines.clone());
            told.baselines = Some(baselines);
        }
    }
}
