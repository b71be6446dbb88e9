//! Approval: what a person decided about a plan that they saw.

use causeway_remediate::ApprovalDecision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The decision of one person about one plan. It names the digests of what the person saw and counts once.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    namespaced,
    status = "ApprovalStatus",
    derive = "PartialEq",
    shortname = "cappr",
    category = "causeway",
    category = "causeway-ops",
    cel,
    doc = "The decision of one person about one plan. It names the digests of what the person saw, can't be changed, and counts once. Needs the verb approve on the Remediation; the approver must be the user who creates it.",
    printcolumn(name = "Remediation", type_ = "string", json_path = ".spec.remediationRef.name"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(
        name = "Counts",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("the spec of an Approval can't change: make a new one"))]
#[x_kube(validation = Rule::new("self.decision == 'Reject' || has(self.dryRunDigest)")
    .message("approving needs dryRunDigest, the digest of the difference that was shown"))]
pub struct ApprovalSpec {
    /// The plan that was decided about.
    pub remediation_ref: PlanRef,
    /// Approve or Reject.
    pub decision: ApprovalDecision,
    /// Who decided: the name of the user who creates this object.
    #[schemars(length(min = 1, max = 253))]
    pub approver: String,
    /// Digest of the difference that was shown, from the Remediation's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub dry_run_digest: Option<String>,
    /// Not used after this moment. Without it: the policy's expireAfter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
}

/// A plan by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRef {
    /// Name of the Remediation.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its planDigest.
    #[schemars(length(min = 1, max = 128))]
    pub plan_digest: String,
}

/// Whether the decision counts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
