//! Tells the engine of everything that is declared about series of services, and about time.

use std::sync::Arc;

use causeway_engine::{BaselineConfig, ObjectiveConfig, PeakConfig};
use causeway_kubekit::{Busy, Clock, ObjectKey};
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::mirrors::Mirrors;
use crate::objective::objective;
use crate::peak::peak;
use crate::ports::Engine;
use crate::series::series;

/// All SLOs, Baselines and PeakEvents, in the words of the engine.
pub(crate) struct Declarations {
    mirrors: Mirrors,
    engine: Arc<dyn Engine>,
    clock: Clock,
    told: Mutex<Told>,
}

/// What the engine was told last.
#[derive(Default)]
struct Told {
    objectives: Option<Vec<ObjectiveConfig>>,
    baselines: Option<Vec<BaselineConfig>>,
    peaks: Option<Vec<PeakConfig>>,
}

impl Declarations {
    pub(crate) fn new(mirrors: Mirrors, engine: Arc<dyn Engine>, clock: Clock) -> Self {
        Self { mirrors, engine, clock, told: Mutex::default() }
    }

    /// Tells the engine once everything has been listed, even if there is nothing: it may remember what was deleted
    /// while no controller ran.
    pub(crate) async fn at_start(self: Arc<Self>, busy: Busy, stop: CancellationToken) {
        let listed = async {
            self.mirrors.services.synced().await;
            self.mirrors.slos.synced().await;
            self.mirrors.baselines.synced().await;
            self.mirrors.peaks.synced().await;
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
        let (events, services) = (self.mirrors.peaks.list(), self.mirrors.services.list());
        let now = self.clock.now();
        let heeded = events.iter().filter(|event| !event.spec.suspend);
        let peaks = heeded.filter_map(|event| peak(event, &services, &events, now).ok());
        let peaks: Vec<PeakConfig> = peaks.collect();
        if told.peaks.as_ref() != Some(&peaks) {
            self.engine.set_peaks(peaks.clone());
            told.peaks = Some(peaks);
        }
    }
}
