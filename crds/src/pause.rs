//! Pause: while it exists, nothing acts.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// While this object exists, nothing is changed: in the whole cluster, or in the namespaces that it names.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Pause",
    plural = "pauses",
    derive = "PartialEq",
    shortname = "cpause",
    category = "causeway",
    category = "causeway-ops",
    cel,
    doc = "The kill switch. While an object of this kind exists, Causeway changes nothing: in the whole cluster, or in the namespaces that it names. Delete it to go on.",
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".spec.namespaces"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PauseSpec {
    /// Namespaces that are paused. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// Who paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// Why, for the people who find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reason: Option<String>,
}

impl PauseSpec {
    /// Whether `namespace` is paused.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|paused| paused == namespace)
    }
}
