//! A group of findings that share a cause, and what may happen to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Windows of the grouping, microseconds of data time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// How long a group takes in new findings.
    pub merge_us: i64,
    /// How long a closed group opens again for the same cause.
    pub reopen_us: i64,
    /// How long a finding that closed still counts as anomalous, so that a chain does not break where it flaps.
    pub flap_us: i64,
    /// How long everything connected joins, because a cascade is still unfolding.
    pub settle_us: i64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        const MINUTE: i64 = 60_000_000;
        Self { merge_us: 90 * MINUTE, reopen_us: 30 * MINUTE, flap_us: 5 * MINUTE, settle_us: 150_000_000 }
    }
}

/// An anomaly of one series, as a detector opened it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Identity of the finding; opening it again updates it.
    pub id: String,
    /// Tenant. Findings of different ones never share a group, but chains lead through all of them.
    pub scope: String,
    /// Key of the entity, as in the topology.
    pub entity: String,
    /// Signal, for example `latency p99`.
    pub signal: String,
    /// Whether it may open an Incident (golden signal of a monitored or entry service, SLO burn, state detector).
    pub symptom: bool,
    /// Whether it is a drop of traffic, which callees of a failing entity show.
    pub traffic_drop: bool,
    /// Strength; larger is worse. Only compared with findings of the same signal.
    pub severity: f64,
    /// When it opened, microseconds since the Unix epoch (data time).
    pub opened_us: i64,
    /// When it closed.
    pub closed_us: Option<i64>,
    /// Value when normal.
    pub baseline: Option<f64>,
    /// Value observed.
    pub observed: Option<f64>,
    /// Unit of both.
    pub unit: String,
    /// A sentence for people.
    pub note: String,
    /// A query that shows it.
    pub query: Option<String>,
}

/// State of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupState {
    /// Not over yet.
    Open,
    /// Closed at this time.
    Closed(i64),
    /// Became a part of another group.
    MergedInto(u64),
}

/// Findings that share a cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Number within this grouper.
    pub id: u64,
    /// Tenant.
    pub scope: String,
    /// Identity across restarts: a hash of what it was opened for, by which signal, and when; 16 hexadecimal digits.
    pub fingerprint: String,
    /// Entity of the first symptom.
    pub opened_for: String,
    /// Signal of the first symptom.
    pub signal: String,
    /// When the first symptom opened, microseconds since the Unix epoch.
    pub opened_us: i64,
    /// Last change.
    pub updated_us: i64,
    /// When its newest symptom opened.
    pub latest_us: i64,
    /// State.
    pub state: GroupState,
    /// How often it opened again.
    pub reopened: u32,
    /// Entities at which the chains of anomalous dependencies end.
    pub roots: BTreeSet<String>,
    /// All entities with findings.
    pub entities: BTreeSet<String>,
    /// Findings, in order of their ids.
    pub findings: BTreeSet<String>,
    /// The cause that the ranking named.
    pub cause: Option<String>,
}

/// What happened to a group in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupEvent {
    /// A new group: make an Incident.
    Opened(u64),
    /// New findings.
    Updated(u64),
    /// Symptoms came back within the reopen window.
    Reopened(u64),
    /// The first is now a part of the second.
    Merged(u64, u64),
}
