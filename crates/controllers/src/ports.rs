//! What the controllers need from the rest of Causeway.

use std::fmt;
use std::sync::Arc;

use causeway_engine::whatif::{Effect, Signal, Step};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, CpuUse, Incident, Neighbours, ObjectiveConfig, ObjectiveReport,
    PeakConfig, PeakReport, Placement, ServiceConfig, State,
};
use causeway_model::SourceRef;
use causeway_steps::Pipeline;
use ipnet::IpNet;

use crate::bundles::Bundles;

/// The engine, as far as controllers speak to it. Calls must be quick: they are made inside of reconciles.
pub trait Engine: Send + Sync {
    /// The incident with this fingerprint; `None` when the engine does not know it (any more).
    fn incident(&self, fingerprint: &str) -> Option<Incident>;
    /// Replaces everything that is declared about services.
    fn set_services(&self, services: Vec<ServiceConfig>);
    /// Replaces all objectives; what was counted for one is kept as long as the same events count.
    fn set_objectives(&self, objectives: Vec<ObjectiveConfig>);
    /// How the objective of an SLO stands; `None` when the engine does not follow it.
    fn objective(&self, namespace: &str, name: &str) -> Option<ObjectiveReport>;
    /// Replaces all Baselines; what was learned for one is kept as long as the same points are made.
    fn set_baselines(&self, baselines: Vec<BaselineConfig>);
    /// How a Baseline stands; `None` when the engine does not follow it.
    fn baseline(&self, namespace: &str, name: &str) -> Option<BaselineReport>;
    /// Replaces all events; what was learned of one is remembered by its name.
    fn set_peaks(&self, peaks: Vec<PeakConfig>);
    /// How an event goes; `None` when the engine does not know it.
    fn peak(&self, name: &str) -> Option<PeakReport>;
    /// How much CPU a service uses, known by any of these names; `None` where nothing measures it.
    fn cpu_use(&self, entities: &[String]) -> Option<CpuUse>;
    /// Tells of a change to an object of this namespace.
    fn change(&self, change: Change, namespace: &str);
    /// Replaces everything that is wrong in itself now, such as a container that ends again and again.
    fn set_states(&self, states: Vec<State>);
    /// Replaces what runs where, and which addresses are whose.
    fn set_placements(&self, placements: Vec<Placement>);
    /// Makes an incident a part of another; both by fingerprint. What is over or unknown stays as it is.
    fn merge(&self, fingerprint: &str, into: &str);
    /// Keeps what a repair of an incident was planned on, as JSON text, beside its bundle.
    fn keep_objects(&self, fingerprint: &str, objects: String);
    /// Who is connected with a service, known by any of these names; `None` while no telemetry shows it.
    fn neighbours(&self, entities: &[String]) -> Option<Neighbours>;
    /// What a repair that takes these steps would do.
    fn what_if(&self, steps: &[Step]) -> Effect;
    /// Mean of a signal over a stretch of the data's time, microseconds since the Unix epoch; `None` before the data reaches
    /// its end, and where there is too little of it.
    fn measured(&self, entity: &str, signal: Signal, from_us: i64, until_us: i64) -> Option<f64>;
    /// Tells how many intervals of predicted effects held what was measured, of all repairs that are kept, and how many did not.
    fn set_effects(&self, held: u64, missed: u64);
    /// How far data reaches, microseconds since the Unix epoch; `None` before the first record.
    fn watermark(&self) -> Option<i64>;
}

/// Protocol that a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OTLP over gRPC or HTTP.
    Otlp,
    /// Fluent Forward.
    Forward,
}

/// Limits of one source; `None` leaves the receiver's own default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Records a second.
    pub max_lines_per_second: Option<u64>,
    /// Size of one request, bytes.
    pub max_request_bytes: Option<u64>,
}

/// Everything a gateway needs to receive from a LogSource.
pub struct SourceSettings {
    /// Credential that selects the source; `None` when only networks do.
    pub token: Option<String>,
    /// Networks whose senders are this source.
    pub trusted_networks: Vec<IpNet>,
    /// Protocol.
    pub protocol: Protocol,
    /// Steps that its records go through.
    pub steps: Pipeline,
    /// Limits.
    pub limits: SourceLimits,
    /// Whether its records are refused for now.
    pub suspended: bool,
}

impl fmt::Debug for SourceSettings {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SourceSettings")
            .field("protocol", &self.protocol)
            .field("limits", &self.limits)
            .field("suspended", &self.suspended)
            .finish_non_exhaustive()
    }
}

/// What a gateway saw of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceObservation {
    /// When the last record came, by the clock that controllers read, microseconds since the Unix epoch.
    pub last_record_us: Option<i64>,
    /// Whether records could not be read lately.
    pub rejected: bool,
    /// Whether a limit made it refuse records lately.
    pub limited: bool,
    /// Services seen in its records of the last hour.
    pub services: u32,
}

/// The receiving side.
pub trait Gateway: Send + Sync {
    /// Adds a source or replaces its settings.
    fn set_source(&self, source: SourceRef, settings: SourceSettings);
    /// Takes a source away; its credential is refused from then on.
    fn remove_source(&self, source: &SourceRef);
    /// What was seen of it.
    fn observed(&self, source: &SourceRef) -> SourceObservation;
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When, by the clock that controllers read, microseconds since the Unix epoch.
    pub time_us: i64,
    /// Namespace.
    pub namespace: String,
    /// Who did it: a controller or a person.
    pub actor: String,
    /// What was done, in CamelCase.
    pub action: String,
    /// To what, as `Kind/name`.
    pub subject: String,
    /// Details.
    pub detail: serde_json::Value,
}

/// The audit log. An entry may come twice after a crash or a conflict.
pub trait Audit: Send + Sync {
    /// Keeps an entry.
    fn record(&self, entry: AuditEntry);
    /// Whether an entry of this time, object, action and message was kept by a process before.
    fn was_kept(&self, entry: &AuditEntry) -> bool;
}

/// All ports.
#[derive(Clone)]
pub struct Ports {
    /// Engine.
    pub engine: Arc<dyn Engine>,
    /// Gateway.
    pub gateway: Arc<dyn Gateway>,
    /// Audit log.
    pub audit: Arc<dyn Audit>,
    /// What the tests of Runbooks name.
    pub bundles: Bundles,
}
