//! Incident: one problem, one cause, its evidence and what was done.

use causeway_actions::Decimal;
use causeway_remediate::{Phase, SymptomState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::escalation::Escalation;
use crate::impact::{Impact, Money};
use crate::reference::ObjectRef;
use crate::remediation::MeasuredEffect;

/// One problem that users feel: its symptom, its cause with the evidence, its impact, and what was done about it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    namespaced,
    status = "IncidentStatus",
    derive = "PartialEq",
    shortname = "cinc",
    category = "causeway",
    category = "causeway-ops",
    cel,
    doc = "One problem that users feel: its symptom, its cause with the evidence, its impact, and what was done about it. Written by Causeway; people may set acknowledge, silenceUntil and mergeInto.",
    printcolumn(name = "Severity", type_ = "string", json_path = ".status.severity"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.openedFor.service"),
    printcolumn(name = "Symptom", type_ = "string", json_path = ".status.symptom.state"),
    printcolumn(name = "Cause", type_ = "string", json_path = ".status.cause.kind"),
    printcolumn(name = "Entity", type_ = "string", json_path = ".status.cause.entity"),
    printcolumn(name = "Conf", type_ = "string", json_path = ".status.cause.confidence"),
    printcolumn(name = "Predicted", type_ = "boolean", json_path = ".status.predicted.is", priority = "1"),
    printcolumn(
        name = "Escalated",
        type_ = "string",
        json_path = ".status.escalated.reason",
        priority = "1"
    ),
    printcolumn(
        name = "Risk/h",
        type_ = "string",
        json_path = ".status.money.atRiskPerHour",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.fingerprint == oldSelf.fingerprint && self.openedFor == oldSelf.openedFor")
    .message("fingerprint and openedFor can't change"))]
pub struct IncidentSpec {
    /// Identity of the problem: equal for the same cause at the same symptom.
    #[schemars(length(min = 1, max = 128))]
    pub fingerprint: String,
    /// The symptom that it was opened for.
    pub opened_for: OpenedFor,
    /// For people: somebody looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// For people: no messages until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_until: Option<Time>,
    /// For people: name of the Incident that this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub merge_into: Option<String>,
}

/// The symptom that an incident was opened for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedFor {
    /// The service that users feel it at.
    #[schemars(length(min = 1, max = 253))]
    pub service: String,
    /// The signal, such as Latency, Errors, Traffic or the name of an SLO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub signal: Option<String>,
}

/// Somebody looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledge {
    /// Who.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
}

/// How bad it is. Ordered.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it in the day.
    #[default]
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum IncidentState {
    /// It has not hurt anybody yet.
    Predicted,
    /// It hurts.
    #[default]
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

/// What the symptom does, in data time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SymptomStatus {
    /// Firing, Clear (gone, with data flowing) or NoData.
    #[serde(default)]
    pub state: SymptomState,
    /// When this state began, in the time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Since when the symptom has been gone without a break, in the time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_since: Option<Time>,
    /// How far the data reaches that this verdict rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Time>,
    /// What the symptom is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub summary: Option<String>,
}

/// A prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// Whether the incident was opened before anybody was hurt.
    pub is: bool,
    /// Probability that it will hurt, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Decimal>,
    /// When it will hurt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// What became of the prediction; absent while its time runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<PredictionGrade>,
}

/// What became of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PredictionGrade {
    /// It happened in time.
    Hit,
    /// It did not happen, and nobody did anything about it.
    Miss,
    /// It did not happen after something was changed.
    Prevented,
    /// Too little was seen to tell.
    Unknown,
}

/// Why it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Identity of the cause, equal for the same class, entity and change.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub id: String,
    /// Class of the cause, such as BadRelease or Saturation.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// What it happened in, as Kind/namespace/name.
    #[schemars(length(min = 1, max = 512))]
    pub entity: String,
    /// What a repair would act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ObjectRef>,
    /// The change behind it: field, old and new value, by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub change: Option<String>,
    /// How sure, between 0 and 1.
    pub confidence: Decimal,
    /// Distance to the next candidate, between 0 and 1.
    pub margin: Decimal,
    /// Candidates that were less likely, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub runners_up: Vec<RunnerUp>,
    /// Whether the evidence does not single out one cause; then nothing acts.
    #[serde(default)]
    pub abstained: bool,
    /// Digest of the evidence; it changes when there is something new to go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub evidence_digest: Option<String>,
}

/// A cause that was less likely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerUp {
    /// Class of the cause.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// What it would have happened in.
    #[schemars(length(max = 512))]
    pub entity: String,
    /// How sure, between 0 and 1.
    pub confidence: Decimal,
}

/// One step on the way from the cause to the symptom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathStep {
    /// Where it comes from.
    #[schemars(length(max = 512))]
    pub from: String,
    /// Where it goes to.
    #[schemars(length(max = 512))]
    pub to: String,
    /// How they are connected, such as Calls or RunsOn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub relation: Option<String>,
    /// Ids of the evidence for this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub evidence: Vec<String>,
}

/// One sentence of the explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentence {
    /// The sentence.
    #[schemars(length(min = 1, max = 1024))]
    pub text: String,
    /// Ids of the evidence that it rests on.
    #[schemars(length(min = 1, max = 16), inner(length(max = 63)))]
    pub evidence: Vec<String>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem {
    /// Id that sentences cite.
    #[schemars(length(min = 1, max = 63))]
    pub id: String,
    /// What it is, such as LogPattern, Change, Baseline, Trace or Topology.
    #[schemars(length(min = 1, max = 63))]
    pub r#type: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub summary: Option<String>,
    /// Where it is kept.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reference: Option<String>,
    /// When it was seen, in the time of the data.
    pub at: Time,
}

/// An incident of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimilarIncident {
    /// Name of it.
    #[schemars(length(max = 253))]
    pub incident: String,
    /// How similar, between 0 and 1.
    pub similarity: Decimal,
    /// The runbook that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub resolved_by: Option<String>,
}

/// A repair of this incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationLink {
    /// Name of the Remediation.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub phase: Phase,
    /// What was measured of its predicted effect; the executor notes it in the Remediation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<MeasuredEffect>,
}

/// What was observed and decided. Written by the operator only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Predicted, Open, Mitigating, Monitoring, Resolved or Prevented.
    #[serde(default)]
    pub state: IncidentState,
    /// Info, Warning or Critical.
    #[serde(default)]
    pub severity: Severity,
    /// When the symptom began, in the time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Since when it has hurt, by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// That it was told anew, because nobody looked after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Escalation>,
    /// When the symptom was gone for good, in the time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// What the symptom does.
    #[serde(default)]
    pub symptom: SymptomStatus,
    /// The prediction, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
    /// Why it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The way from the cause to the symptom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub path: Vec<PathStep>,
    /// Who is hurt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// The explanation, each sentence with its evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub explanation: Vec<Sentence>,
    /// The evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub evidence: Vec<EvidenceItem>,
    /// Incidents of the past that looked like this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub similar: Vec<SimilarIncident>,
    /// Repairs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub remediations: Vec<RemediationLink>,
    /// Digest of the bundle with everything that the cause was decided from; `causeway bundle` fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub bundle: Option<String>,
    /// Name of the Incident that this one became a part of; then it is Resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub merged_into: Option<String>,
    /// Ready, Diagnosed, Mitigated, Resolved, Acknowledged, Silenced, Escalated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
