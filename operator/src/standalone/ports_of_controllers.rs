//! What the controllers reach of this process: engine, gateway and audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use causeway_controllers::{
    Audit, AuditEntry, AuditHead, Engine, Gateway, Protocol, SourceObservation, SourceSettings,
};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, Incident, ObjectiveConfig, ObjectiveReport, ServiceConfig,
};
use causeway_ingest::{Credentials, Secret, SourceCredential, SourceLimits};
use causeway_kubekit::{Activity, Busy};
use causeway_lake::Lake;
use causeway_model::{Clock, SourceRef, Table};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

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

/// The audit log: entries are chained by hash and kept in the lake, in order.
pub(crate) struct AuditLog {
    entries: mpsc::UnboundedSender<(AuditEntry, Busy)>,
    activity: Activity,
    newest: Option<AuditHead>,
}

impl AuditLog {
    /// A log, and the end that [`keep`] serves.
    pub(crate) fn new(
        activity: Activity,
        head: &ChainHead,
    ) -> (Self, mpsc::UnboundedReceiver<(AuditEntry, Busy)>) {
        let (entries, receiver) = mpsc::unbounded_channel();
        (Self { entries, activity, newest: head.newest.clone() }, receiver)
    }
}

impl Audit for AuditLog {
    fn record(&self, entry: AuditEntry) {
        // Nobody receives any more while the process shuts down.
        drop(self.entries.send((entry, self.activity.busy())));
    }

    fn head(&self) -> Option<AuditHead> {
        self.newest.clone()
    }
}

/// Where the chain stands: number and hash of its last entry.
#[derive(Clone, Debug)]
pub(crate) struct ChainHead {
    pub(crate) sequence: i64,
    pub(crate) hash: String,
    /// The newest entries when the chain was opened.
    pub(crate) newest: Option<AuditHead>,
}

impl Default for ChainHead {
    fn default() -> Self {
        Self { sequence: 0, hash: "0".repeat(64), newest: None }
    }
}

/// Appends entries to the lake until the log is dropped.
pub(crate) async fn keep(
    lake: Lake,
    mut head: ChainHead,
    mut entries: mpsc::UnboundedReceiver<(AuditEntry, Busy)>,
) {
    while let Some((entry, busy)) = entries.recv().await {
        let detail = entry.detail.to_string();
        let next =
            ChainHead { sequence: head.sequence + 1, hash: chain(&head, &entry, &detail), newest: None };
        match audit_row(&entry, &detail, &head, &next) {
            Ok(row) => match lake.append(Table::Audit, row, None).await {
                Ok(_) => head = next,
                Err(error) => tracing::error!(%error, "audit entry was not stored"),
            },
            Err(error) => tracing::error!(%error, "audit entry has no row"),
        }
        drop(busy);
    }
}

fn chain(head: &ChainHead, entry: &AuditEntry, detail: &str) -> String {
    let mut hash = Sha256::new();
    for part in [
        head.hash.as_str(),
        &(head.sequence + 1).to_string(),
        &entry.time_us.to_string(),
        &entry.namespace,
        &entry.actor,
        &entry.action,
        &entry.subject,
        detail,
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn audit_row(
    entry: &AuditEntry,
    detail: &str,
    head: &ChainHead,
    next: &ChainHead,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values([value])) };
    RecordBatch::try_new(
        Table::Audit.schema(),
        vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values([entry.time_us]).with_timezone("UTC")),
            text(&entry.namespace),
            Arc::new(Int64Array::from_iter_values([next.sequence])),
            text(&entry.actor),
            text(&entry.action),
            text(&entry.subject),
            text(detail),
            text(&head.hash),
            text(&next.hash),
        ],
    )
}
