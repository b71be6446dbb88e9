//! The result of a ranking: suspects with their terms and the evidence that a person can check.

use serde::{Deserialize, Serialize};

/// What kind of cause the evidence speaks for. Runbooks are chosen by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseClass {
    /// A release or rollout just before, and the entity's own behaviour changed.
    BadRelease,
    /// A configuration change just before, and the entity's own behaviour changed.
    BadConfig,
    /// CPU, memory, disk or a pool is exhausted.
    Saturation,
    /// More requests than usual reach it.
    Overload,
    /// Restarts, or the host it runs on.
    FaultyInstance,
    /// The link to it lost time, its own work did not.
    NetworkDelay,
    /// A dependency without telemetry of its own stopped answering.
    DependencyDown,
    /// It raises errors that it did not raise before.
    CodeException,
    /// It leaves out work that it always did, without an error.
    CodeReturn,
    /// It became slow by itself, for no reason that the data names.
    SlowItself,
    /// It fails requests by itself, for no reason that the data names.
    FailsItself,
    /// Containers start and end again.
    CrashLoop,
    /// A container needs more memory than it may have.
    OutOfMemory,
    /// A certificate runs out.
    CertificateExpiry,
    /// A rollout does not go on.
    StuckRollout,
    /// A disk is full, or will be soon.
    DiskFull,
    /// Requests wait for a connection although there is CPU left.
    ConnectionPool,
    /// Messages come faster than they are worked off.
    QueueGrowth,
    /// A node runs out of memory, disk or process ids.
    NodePressure,
    /// The evidence does not say.
    #[default]
    Unknown,
}

impl CauseClass {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CauseClass::BadRelease => "bad_release",
            CauseClass::BadConfig => "bad_config",
            CauseClass::Saturation => "saturation",
            CauseClass::Overload => "overload",
            CauseClass::FaultyInstance => "faulty_instance",
            CauseClass::NetworkDelay => "network_delay",
            CauseClass::DependencyDown => "dependency_down",
            CauseClass::CodeException => "code_exception",
            CauseClass::CodeReturn => "code_return",
            CauseClass::SlowItself => "slow_itself",
            CauseClass::FailsItself => "fails_itself",
            CauseClass::CrashLoop => "crash_loop",
            CauseClass::OutOfMemory => "out_of_memory",
            CauseClass::CertificateExpiry => "certificate_expiry",
            CauseClass::StuckRollout => "stuck_rollout",
            CauseClass::DiskFull => "disk_full",
            CauseClass::ConnectionPool => "connection_pool",
            CauseClass::QueueGrowth => "queue_growth",
            CauseClass::NodePressure => "node_pressure",
            CauseClass::Unknown => "unknown",
        }
    }
}

/// Where a piece of evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// A metric series.
    Metric,
    /// Spans.
    Trace,
    /// Log lines.
    Log,
    /// The path to the symptom, and what was explained away.
    Topology,
    /// A change event.
    Change,
    /// What Kubernetes, or a value with a meaning of its own, says of an object.
    State,
}

/// One observation that supports a suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where from.
    pub kind: EvidenceKind,
    /// What it is about.
    pub entity: String,
    /// Metric and statistic, operation, template or changed object.
    pub signal: String,
    /// Value when normal, in `unit`.
    pub baseline: Option<f64>,
    /// Value in the incident, in `unit`.
    pub observed: Option<f64>,
    /// Unit of both, for example `s`, `pct`, `ms`, `share`; may be empty.
    pub unit: String,
    /// When, microseconds since the Unix epoch.
    pub at_us: Option<i64>,
    /// A sentence; for logs the line itself.
    pub note: String,
}

/// One part of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Name of the term, for example `latency_share`.
    pub name: String,
    /// Strength of the evidence, 0 to about 1.
    pub value: f64,
    /// What it adds to the score.
    pub points: f64,
}

/// A candidate cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Name exactly as in the data.
    pub entity: String,
    /// Score; larger is more likely, 0 means no evidence.
    pub score: f64,
    /// Probability that this one is the cause, among all suspects and "none of them"; 0 to 1.
    pub probability: f64,
    /// Parts of the score, largest first; only those that count.
    pub terms: Vec<Term>,
    /// What kind of cause the evidence speaks for.
    pub class: CauseClass,
    /// Evidence; filled for the first five.
    pub evidence: Vec<Evidence>,
    /// Entities from this one up to the symptom; empty when no path is known.
    pub path: Vec<String>,
    /// Position in [`crate::case::Case::changes`] of the change that explains it.
    pub change: Option<usize>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Suspects, best first; every entity of the case once.
    pub ranked: Vec<Suspect>,
    /// Probability that the first suspect is the cause, 0 to 1.
    pub confidence: f64,
    /// Distance in probability to the second suspect, 0 to 1.
    pub margin: f64,
    /// Whether no cause is named: the evidence is too weak. The ranking is there all the same.
    pub abstained: bool,
    /// The symptom in numbers, where its series is known.
    pub symptom: Option<Evidence>,
}
