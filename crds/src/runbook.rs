//! Runbook: a typed repair for a class of causes.

use causeway_actions::{ActionSpec, Decimal, Risk};
use causeway_remediate::DurationText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::CauseKind;

/// A repair for a class of causes: typed steps, how its success is seen, and how it is taken back.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Runbook",
    plural = "runbooks",
    namespaced,
    status = "RunbookStatus",
    derive = "PartialEq",
    shortname = "rbk",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "A repair for a class of causes: typed steps (no shell), how its success is seen, and how it is taken back. A RemediationPolicy decides whether and when it may be used.",
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.steps[0].type"),
    printcolumn(name = "Causes", type_ = "string", json_path = ".spec.appliesTo.causes", priority = "1"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".spec.risk"),
    printcolumn(name = "Rollback", type_ = "string", json_path = ".spec.rollback"),
    printcolumn(name = "Runs", type_ = "integer", json_path = ".status.record.runs"),
    printcolumn(name = "Verified", type_ = "integer", json_path = ".status.record.verified"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.steps.all(s, self.steps.exists_one(t, t.name == s.name))")
    .message("names of steps must be unique"))]
#[x_kube(validation = Rule::new("self.rollback != 'None' || self.risk != 'Low'")
    .message("rollback: None needs risk Medium or High"))]
#[x_kube(validation = Rule::new("self.rollback == 'None' || !self.steps.exists(s, s.type == 'CallWebhook' || s.type == 'RunJob')")
    .message("CallWebhook and RunJob can't be taken back: set rollback: None"))]
#[x_kube(validation = Rule::new("!has(self.parameters) || self.parameters.all(p, self.parameters.exists_one(q, q.name == p.name))")
    .message("names of parameters must be unique"))]
#[x_kube(validation = Rule::new("!has(self.tests) || self.tests.all(p, self.tests.exists_one(q, q.name == p.name))")
    .message("names of tests must be unique"))]
pub struct RunbookSpec {
    /// One sentence for the person who approves.
    #[schemars(length(min = 1, max = 512))]
    pub summary: String,
    /// When the runbook may be chosen.
    pub applies_to: AppliesTo,
    /// Numbers that steps and preconditions name as `params.NAME`; a policy may set others within the bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub parameters: Vec<Parameter>,
    /// What must hold of the target, its autoscaler, the cause and the cluster, besides appliesTo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub preconditions: Vec<PreconditionSpec>,
    /// What is done, in this order. All of it is planned before anything is changed.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<RunbookStep>,
    /// How success is seen.
    pub verify: Verify,
    /// Inverse: what was changed is taken back when it did not help. None: it can't be; always needs an approval.
    #[serde(default)]
    pub rollback: Rollback,
    /// How much can go wrong: Low, Medium or High.
    #[serde(default)]
    pub risk: Risk,
    /// Never choose it while true.
    #[serde(default)]
    pub suspend: bool,
    /// What the runbook does on recorded incidents; run by `causeway test`, without a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tests: Vec<RunbookTest>,
}

/// A number that a policy may choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.minimum) <= double(self.default) && double(self.default) <= double(self.maximum)")
    .message("minimum, default and maximum must be in this order"))]
pub struct Parameter {
    /// Name: a letter, then letters and digits.
    #[schemars(length(min = 1, max = 31), regex(pattern = "^[a-zA-Z][a-zA-Z0-9]*$"))]
    pub name: String,
    /// Value when the policy sets none.
    pub default: Decimal,
    /// Least value.
    pub minimum: Decimal,
    /// Greatest value.
    pub maximum: Decimal,
}

/// Something that must hold before the runbook is planned, and again before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreconditionSpec {
    /// Name, unique within the runbook.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// CEL over `target`, `hpa`, `cause` (kind, entity, confidence, margin), `cluster` (runningRepairs) and `params`. What
    /// can't be evaluated does not hold.
    #[schemars(length(min = 1, max = 512))]
    pub expr: String,
    /// Told when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
}

/// One test: a recorded incident and what the runbook is to make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunbookTest {
    /// Name, unique within the runbook.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The recorded incident.
    pub bundle: BundleRef,
    /// What is to come of it.
    pub expect: Expectation,
}

/// A bundle that `causeway bundle` wrote, with the objects that planning looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleRef {
    /// Digest of the file, `sha256:` and 64 hexadecimal digits.
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// What is to come of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.selected ? !has(self.reason) : !has(self.diffContains)")
    .message("reason is for a runbook that is not selected, diffContains for one that is"))]
pub struct Expectation {
    /// Whether the runbook is chosen and can be planned.
    pub selected: bool,
    /// Why it is not: OtherCause, OtherTarget, NoClearCause, a word of the plan such as NothingToDo or NoHistory, or the
    /// name of a precondition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub reason: Option<String>,
    /// Texts that the planned difference has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub diff_contains: Vec<String>,
}

/// When a runbook may be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliesTo {
    /// Classes of causes that it repairs.
    #[schemars(length(min = 1, max = 16))]
    pub causes: Vec<CauseKind>,
    /// Kinds of objects that it acts on.
    #[schemars(length(min = 1, max = 16))]
    pub targets: Vec<GroupKind>,
}

/// A kind of objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupKind {
    /// API group, such as `apps`; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind, such as `Deployment`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
}

/// One step: a name, and an action as `type` and the member of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunbookStep {
    /// Name of the step, unique within the runbook.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The action.
    #[serde(flatten)]
    pub action: ActionSpec,
}

/// How success is seen: the symptom of the incident is gone and stays gone while data is flowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.within.matches('[dw]') && !self.hold.matches('[dw]') && duration(self.hold) > duration('0s') && duration(self.within) > duration('0s')")
    .message("within and hold must be above 0; write both in h, m or s"))]
pub struct Verify {
    /// The symptom must be gone this long after the change. In h, m or s of data.
    pub within: DurationText,
    /// How long it must stay gone. In h, m or s of data.
    pub hold: DurationText,
}

/// How a runbook is taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Rollback {
    /// By the inverse of its mutations.
    #[default]
    Inverse,
    /// Not at all.
    None,
}

/// What came of the runbook so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Remediations that changed something.
    pub runs: i32,
    /// After which the symptom was gone and stayed gone.
    pub verified: i32,
    /// Taken back.
    pub rolled_back: i32,
    /// Of which it is not known whether they helped.
    #[serde(default)]
    pub inconclusive: i32,
    /// After which things were worse.
    pub harmful: i32,
}

/// What the operator knows of the runbook.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RunbookStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the spec that Remediations name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
    /// What came of it so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RunRecord>,
    /// Ready, Compiled, TestsPassed, PermissionsSufficient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
