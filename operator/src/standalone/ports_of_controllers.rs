//! What the controllers reach of this process: engine and gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_controllers::{Engine, Gateway, Protocol, SourceObservation, SourceSettings};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, Incident, ObjectiveConfig, ObjectiveReport, PeakConfig,
    PeakReport, ServiceConfig,
};
use causeway_ingest::{Credentials, Secret, SourceCredential, SourceLimits};
use causeway_model::{Clock, SourceRef};
use parking_lot::Mutex;

use super::clock::ProcessClock;
use super::engine_host::EngineHost;

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

    fn change(&self, change: Change, namespace: &str) {
        Self::change(self, change, namespace);
    }

    fn watermark(&self) -> Option<i64> {
        self.read(causeway_engine::Engine::watermark_us)
    }
}

/// The receiving side of this process.
pub(crate) struct GatewayPort {
    pub(crate) gateway: Arc<causeway_pipeline::Gateway>,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Arc<ProcessClock>,
    sources: Mutex<BTreeMap<SourceRef, SourceCredential>>,
}

/// How long a refusal is shown in the status of its source.
const LATELY_US: i64 = 10 * 60 * 1_000_000;

impl GatewayPort {
    pub(crate) fn new(
        gateway: Arc<causeway_pipeline::Gateway>,
        credentials: Credentials,
        clock: Arc<ProcessClock>,
    ) -> Self {
        Self { gateway, credentials, clock, sources: Mutex::default() }
    }

    fn publish(&self, sources: &BTreeMap<SourceRef, SourceCredential>) {
        for conflict in self.credentials.replace(sources.values().cloned().collect(), self.clock.now_us()) {
            tracing::warn!(?conflict, "two LogSources have the same credential");
        }
    }
}

impl Gateway for GatewayPort {
    fn set_source(&self, source: SourceRef, settings: SourceSettings) {
        let SourceSettings { token, trusted_networks, protocol, steps, limits, suspended } = settings;
        self.gateway.set_steps(&source, steps);
        let secret = token.map(|token| match protocol {
            Protocol::Otlp => Secret::Bearer(token),
            Protocol::Forward => Secret::SharedKey(token),
        });
        let secrets = trusted_networks.into_iter().map(Secret::TrustedNetwork).chain(secret).collect();
        let credential = SourceCredential {
            source: source.clone(),
            secrets,
            limits: SourceLimits {
                max_records_per_second: limits.max_lines_per_second.and_then(|n| u32::try_from(n).ok()),
                max_body_bytes: limits.max_request_bytes.and_then(|n| usize::try_from(n).ok()),
                suspended,
            },
        };
        let mut sources = self.sources.lock();
        sources.insert(source, credential);
        self.publish(&sources);
    }

    fn remove_source(&self, source: &SourceRef) {
        let mut sources = self.sources.lock();
        sources.remove(source);
        self.publish(&sources);
    }

    fn observed(&self, source: &SourceRef) -> SourceObservation {
        let refusals = self.credentials.refusals(source);
        let now_us = self.clock.now_us();
        let lately = |at: Option<i64>| at.is_some_and(|at| now_us - at < LATELY_US);
        SourceObservation {
            last_record_us: self.gateway.last_arrival_us(source),
            rejected: lately(refusals.rejected_us),
            limited: lately(refusals.limited_us),
            services: self.gateway.services(source),
        }
    }
}
