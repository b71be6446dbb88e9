//! ClusterGuardrail: ceilings for every policy.

use causeway_actions::ActionKind;
use causeway_remediate::Autonomy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ceilings for every RemediationPolicy. Several add up: the strictest counts. Without any, Suggest is the ceiling.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "ClusterGuardrail",
    plural = "clusterguardrails",
    status = "ClusterGuardrailStatus",
    derive = "PartialEq",
    shortname = "cgr",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "Ceilings for every RemediationPolicy of the cluster. Several add up: the strictest counts. Without any, Suggest is the ceiling.",
    printcolumn(name = "Max", type_ = "string", json_path = ".spec.maxAutonomy"),
    printcolumn(name = "Protected", type_ = "string", json_path = ".spec.protectedNamespaces"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterGuardrailSpec {
    /// No policy goes further than this: Observe, Suggest, Approve or Auto.
    #[serde(default)]
    pub max_autonomy: Autonomy,
    /// Namespaces in which nothing is ever changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub protected_namespaces: Vec<String>,
    /// Actions that may be used. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_actions: Vec<ActionKind>,
    /// How much may be done in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ClusterLimits>,
}

/// How much may be done in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterLimits {
    /// Remediations that change something, in any hour.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 10_000))]
    pub actions_per_hour: i32,
    /// Remediations that run at the same time.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub concurrent_per_cluster: i32,
}

fn thirty() -> i32 {
    30
}
fn three() -> i32 {
    3
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self { actions_per_hour: 30, concurrent_per_cluster: 3 }
    }
}

/// What the operator knows of the guardrail.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterGuardrailStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
