//! Remediation: one plan, its proof and its run.

use causeway_actions::{ActionKind, Decimal, Inverse, Mutation, Risk, TargetRef};
use causeway_remediate::{DurationText, Outcome, Phase, PredictedEffect, SignalMeasure, SymptomState, Via};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::LocalRef;
use crate::runbook::Verify;

/// One planned repair: what would be changed, how it is taken back, how success is seen, and what came of it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Remediation",
    plural = "remediations",
    namespaced,
    status = "RemediationStatus",
    derive = "PartialEq",
    shortname = "crem",
    category = "causeway",
    category = "causeway-ops",
    cel,
    doc = "One planned repair: what would be changed, how it is taken back, how success is seen, and what came of it. The spec is written by the operator once and never changes; the status is written by the executor only.",
    printcolumn(name = "Incident", type_ = "string", json_path = ".spec.incidentRef.name"),
    printcolumn(name = "Runbook", type_ = "string", json_path = ".spec.runbookRef.name"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targets[0].name"),
    printcolumn(name = "Via", type_ = "string", json_path = ".spec.via", priority = "1"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("the spec of a Remediation can't change: make a new one"))]
#[x_kube(validation = Rule::new("self.mutations.all(m, self.targets.exists(t, (has(m.jsonPatch) && m.jsonPatch.target.uid == t.uid) || (has(m.scale) && m.scale.target.uid == t.uid) || (has(m.webhook) && m.webhook.target.uid == t.uid) || (has(m.delete) && m.delete.target.uid == t.uid) || (has(m.evict) && m.evict.target.uid == t.uid) || (has(m.drain) && m.drain.target.uid == t.uid) || (has(m.createJob) && m.createJob.target.uid == t.uid) || (has(m.wait) && m.wait.target.uid == t.uid) || (has(m.gitChange) && m.gitChange.target.uid == t.uid) || (has(m.awaitFields) && m.awaitFields.target.uid == t.uid) || (has(m.flagChange) && m.flagChange.target.uid == t.uid)))")
    .message("every mutation must act on one of the targets"))]
pub struct RemediationSpec {
    /// The incident that it repairs.
    pub incident_ref: IncidentRef,
    /// The runbook that it follows, as it was.
    pub runbook_ref: DigestRef,
    /// The policy that allows it.
    pub policy_ref: LocalRef,
    /// The cause that it acts on.
    pub cause: CauseRef,
    /// Actions of the runbook, in order.
    #[schemars(length(min = 1, max = 8))]
    pub actions: Vec<ActionKind>,
    /// Objects that are touched, by uid.
    #[schemars(length(min = 1, max = 8))]
    pub targets: Vec<TargetRef>,
    /// Shared dependencies that are touched; one repair at a time for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub shared_dependencies: Vec<String>,
    /// By which way: Patch, Webhook or Git.
    #[serde(default)]
    pub via: Via,
    /// One sentence.
    #[schemars(length(min = 1, max = 1024))]
    pub summary: String,
    /// What the reader has to know besides the difference, such as a source that will overwrite the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 512)))]
    pub notes: Vec<String>,
    /// How much can go wrong.
    #[serde(default)]
    pub risk: Risk,
    /// When the plan was made.
    pub planned_at: Time,
    /// Digest over mutations and inverse; an Approval names it.
    #[schemars(length(min = 1, max = 128))]
    pub plan_digest: String,
    /// The change for people.
    #[schemars(length(min = 1, max = 16384))]
    pub diff: String,
    /// What is done, in this order.
    #[schemars(length(min = 1, max = 16))]
    pub mutations: Vec<Mutation>,
    /// How it is taken back.
    pub inverse: Inverse,
    /// How success is seen.
    pub verify: Verify,
    /// What it would do to its target and neighbours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_effect: Option<PredictedEffect>,
    /// How long the change stays after it has helped; then a Remediation that `restores` this one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_for: Option<DurationText>,
    /// The Remediation that this one takes back, because its lease is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<LocalRef>,
    /// After this moment nothing is begun any more.
    pub expires_at: Time,
}

/// The incident that a remediation repairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentRef {
    /// Name of the Incident.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Its fingerprint.
    #[schemars(length(min = 1, max = 128))]
    pub fingerprint: String,
}

/// An object as it was at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Digest of its spec at the time.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
}

/// The cause that a remediation acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CauseRef {
    /// Identity of the cause.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Class of the cause.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// What it happened in.
    #[schemars(length(min = 1, max = 512))]
    pub entity: String,
    /// How sure, between 0 and 1.
    pub confidence: Decimal,
    /// Distance to the next candidate, between 0 and 1.
    pub margin: Decimal,
    /// Digest of the evidence that the plan was made on.
    #[schemars(length(min = 1, max = 128))]
    pub evidence_digest: String,
}

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// What, such as Planned, Approved, Applied or Verified.
    #[schemars(length(min = 1, max = 63))]
    pub event: String,
    /// Who, where it was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// Why or with which result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What a server-side dry-run of the plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Digest of the difference that the server would make; an Approval names it.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// The difference for people.
    #[schemars(length(max = 16384))]
    pub diff: String,
    /// When it was run.
    pub at: Time,
}

/// Whether a step goes forth or back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepDirection {
    /// A mutation of the plan.
    #[default]
    Apply,
    /// A mutation of the inverse.
    Undo,
}

/// The step that is being made: written before the mutation, so that a crash is resolved by looking at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimStatus {
    /// Index into the mutations, or into those of the inverse.
    #[schemars(range(min = 0, max = 15))]
    pub step: i32,
    /// Apply or Undo.
    #[serde(default)]
    pub direction: StepDirection,
    /// resourceVersion of the target at that moment.
    #[schemars(length(max = 128))]
    pub resource_version: String,
    /// generation of the target at that moment, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// When.
    pub at: Time,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// It happened.
    Done,
    /// It did not happen.
    Failed,
    /// It is not known whether it happened.
    Unknown,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Index into the mutations, or into those of the inverse.
    #[schemars(range(min = 0, max = 15))]
    pub step: i32,
    /// Apply or Undo.
    #[serde(default)]
    pub direction: StepDirection,
    /// Done, Failed or Unknown.
    pub state: StepState,
    /// When.
    pub at: Time,
    /// Details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// The watch over the symptom after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationStatus {
    /// When the last change was made, by the clock.
    pub started_at: Time,
    /// How far the data reached at that moment; hold and deadline count from here.
    pub data_from: Time,
    /// When it must be decided, in the time of the data.
    pub deadline: Time,
    /// What the symptom does.
    #[serde(default)]
    pub symptom: SymptomState,
    /// Since when it has been gone without a break, in the time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_since: Option<Time>,
}

/// What was measured of the predicted effect, while the change was in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredEffect {
    /// End of the measurement, in the time of the data.
    pub at: Time,
    /// Intervals that held their outcome.
    pub held: i32,
    /// Signals that could be measured.
    pub of: i32,
    /// Each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub signals: Vec<SignalMeasure>,
}

impl MeasuredEffect {
    /// Counts what was measured.
    #[must_use]
    pub fn of(signals: Vec<SignalMeasure>, at: Time) -> Self {
        let held = signals.iter().filter(|measure| measure.held).count();
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Self { at, held: count(held), of: count(signals.len()), signals }
    }
}

/// What came of the plan. Written by the executor only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemediationStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Planned, AwaitingApproval, Applying, Verifying, Succeeded, RolledBack, Failed, Refused or Expired.
    #[serde(default)]
    pub phase: Phase,
    /// What came of it, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it is in this phase, as one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// Why it is in this phase, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When the first step was claimed; without it nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The story, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub timeline: Vec<TimelineEntry>,
    /// What a server-side dry-run of the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRun>,
    /// Approvals that were used for it; each counts once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)))]
    pub approvals: Vec<String>,
    /// The step that is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimStatus>,
    /// Results of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub results: Vec<StepResult>,
    /// The watch over the symptom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationStatus>,
    /// What was measured of the predicted effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<MeasuredEffect>,
    /// Ready, Planned, Authorized, Applied, Verified, RolledBack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
