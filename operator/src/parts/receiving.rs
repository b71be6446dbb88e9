//! Receiving telemetry: transports, credentials of sources, and what is seen of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use causeway_controllers::{Gateway, Protocol, SourceObservation, SourceSettings};
use causeway_ingest::{
    Credentials, IngestConfig, IngestLimits, IngestMetrics, IngestServer, Secret, SourceCredential,
    SourceLimits,
};
use causeway_model::{Clock, SourceRef};
use causeway_relay::Observation;
use causeway_telemetry::{Metrics, Shutdown};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::clock::ProcessClock;
use super::listen::{Endpoints, url};

/// Listeners of the receivers.
pub(crate) struct ReceiverPorts {
    pub(crate) otlp_grpc: TcpListener,
    pub(crate) otlp_http: TcpListener,
    pub(crate) forward: TcpListener,
}

impl ReceiverPorts {
    /// Their addresses, and that of metrics and health.
    pub(crate) fn endpoints(&self, admin: &TcpListener) -> Result<Endpoints> {
        Ok(Endpoints {
            otlp_grpc: Some(url(&self.otlp_grpc)?),
            otlp_http: Some(url(&self.otlp_http)?),
            forward: Some(self.forward.local_addr()?.to_string()),
            admin: url(admin)?,
            pid: std::process::id(),
            ..Endpoints::default()
        })
    }
}

/// Begins to receive; what comes in goes through the gateway.
pub(crate) fn start(
    ports: ReceiverPorts,
    credentials: Credentials,
    gateway: Arc<causeway_pipeline::Gateway>,
    clock: &Arc<ProcessClock>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<()> {
    let handles = IngestServer::start(
        IngestConfig {
            grpc: ports.otlp_grpc,
            http: ports.otlp_http,
            forward: ports.forward,
            extra_http: axum::Router::new(),
            server_name: "causeway".to_owned(),
            limits: IngestLimits::default(),
        },
        credentials,
        gateway,
        clock.clone(),
        metrics.register(IngestMetrics::register),
        shutdown.token(),
    )?;
    shutdown.spawn("ingest", handles.finished());
    Ok(())
}

/// The receiving side of this process.
pub(crate) struct GatewayPort {
    gateway: Arc<causeway_pipeline::Gateway>,
    credentials: Credentials,
    clock: Arc<ProcessClock>,
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

    /// What is seen of every source that has settings.
    pub(crate) fn all_observed(&self) -> Vec<(SourceRef, Observation)> {
        let sources: Vec<SourceRef> = self.sources.lock().keys().cloned().collect();
        let observe = |source: SourceRef| {
            let SourceObservation { last_record_us, rejected, limited, services } = self.observed(&source);
            (source, Observation { last_record_us, rejected, limited, services })
        };
        sources.into_iter().map(observe).collect()
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
