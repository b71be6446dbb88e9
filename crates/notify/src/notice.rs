//! What a notification says, independent of where it goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How bad an incident is. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it in the day.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// The name as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
        }
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IncidentState {
    /// It has not hurt anybody yet.
    Predicted,
    /// It hurts.
    Open,
    /// A repair is being made or verified.
    Mitigating,
    /// The symptom is gone; it is watched whether it stays gone.
    Monitoring,
    /// It is over.
    Resolved,
    /// It was predicted and never hurt anybody.
    Prevented,
}

impl IncidentState {
    /// The name as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predicted => "Predicted",
            Self::Open => "Open",
            Self::Mitigating => "Mitigating",
            Self::Monitoring => "Monitoring",
            Self::Resolved => "Resolved",
            Self::Prevented => "Prevented",
        }
    }

    /// True when nothing more is to come.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Resolved | Self::Prevented)
    }
}

/// A sentence of the explanation with the ids of what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The sentence.
    pub text: String,
    /// Ids of the evidence it cites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// Forecast behind an incident that has not happened yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Probability in [0, 1].
    pub probability: f64,
    /// When it would happen.
    pub deadline: Timestamp,
}

/// The repair, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemediationNotice {
    /// Name of the Remediation, in the namespace of its target.
    pub name: String,
    /// Its phase, for example `AwaitingApproval`.
    pub phase: String,
    /// What it does, in one sentence.
    pub action: String,
    /// What it would do to its target and neighbours, in one sentence; empty when that was not foretold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// Line diff of what it changes; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// Where to look next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What is there.
    pub label: String,
    /// An `http` or `https` URL; others are left out.
    pub url: String,
}

/// When things happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Begin of the incident.
    pub opened: Timestamp,
    /// Last change; not part of the comparison that decides whether a message is sent.
    pub updated: Timestamp,
    /// End of the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
}

/// One incident, as it is told to people and to other systems.
///
/// All texts may hold anything, also what an attacker wrote into a log line or a name: escaping is the notifier's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentNotice {
    /// Stable id; one message belongs to it for its whole life.
    pub id: String,
    /// Name of the Incident object.
    pub name: String,
    /// Namespace of the Incident object.
    pub namespace: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// One line that names the symptom.
    pub title: String,
    /// The service that shows the symptom.
    pub service: String,
    /// One sentence on the cause; `None` while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Confidence in the cause, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Sentences that explain the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Statement>,
    /// Who is hurt and how much, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// The repair, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<RemediationNotice>,
    /// One sentence on why it was escalated, if it was: such a notice is told anew, past filters and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<String>,
    /// Where to look next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The forecast, for an incident that was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Prediction>,
    /// When things happened.
    pub times: Times,
}
