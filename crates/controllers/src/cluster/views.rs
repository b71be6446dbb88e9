//! Pods, nodes and autoscalers, trimmed to what is looked at: a mirror of thousands of pods has to stay small.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use serde::{Deserialize, Serialize};

macro_rules! view {
    ($name:ident, $scope:ty, $kind:literal, $plural:literal) => {
        impl Resource for $name {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> Cow<'_, str> {
                "".into()
            }
            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

view!(PodView, NamespaceResourceScope, "Pod", "pods");
view!(NodeView, ClusterResourceScope, "Node", "nodes");

/// What is kept of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodView {
    #[serde(default)]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: PodSpecView,
    #[serde(default)]
    pub(crate) status: PodStatusView,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpecView {
    #[serde(default)]
    pub(crate) node_name: String,
    #[serde(default)]
    pub(crate) host_network: bool,
    #[serde(default)]
    pub(crate) containers: Vec<ContainerSpecView>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ContainerSpecView {
    #[serde(default)]
    pub(crate) resources: ResourcesView,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ResourcesView {
    #[serde(default)]
    pub(crate) requests: CpuView,
}

/// CPU as a quantity of Kubernetes; empty when none is named.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CpuView {
    #[serde(default)]
    pub(crate) cpu: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodStatusView {
    #[serde(default)]
    pub(crate) phase: String,
    #[serde(default, rename = "podIPs")]
    pub(crate) pod_ips: Vec<PodIpView>,
    #[serde(default)]
    pub(crate) conditions: Vec<ConditionView>,
    #[serde(default)]
    pub(crate) init_container_statuses: Vec<ContainerView>,
    #[serde(default)]
    pub(crate) container_statuses: Vec<ContainerView>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PodIpView {
    #[serde(default)]
    pub(crate) ip: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerView {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) ready: bool,
    #[serde(default)]
    pub(crate) restart_count: i32,
    #[serde(default)]
    pub(crate) state: ContainerStateView,
    #[serde(default)]
    pub(crate) last_state: ContainerStateView,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ContainerStateView {
    #[serde(default)]
    pub(crate) waiting: Option<ReasonView>,
    #[serde(default)]
    pub(crate) terminated: Option<ReasonView>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReasonView {
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) exit_code: i32,
}

/// What is kept of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    #[serde(default)]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: NodeSpecView,
    #[serde(default)]
    pub(crate) status: NodeStatusView,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NodeSpecView {
    #[serde(default)]
    pub(crate) unschedulable: bool,
    #[serde(default)]
    pub(crate) taints: Vec<TaintView>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TaintView {
    #[serde(default)]
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) effect: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NodeStatusView {
    #[serde(default)]
    pub(crate) allocatable: CpuView,
    #[serde(default)]
    pub(crate) conditions: Vec<ConditionView>,
}

/// A condition of a pod or a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConditionView {
    #[serde(default)]
    pub(crate) r#type: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// The condition of that type.
pub(crate) fn condition<'a>(conditions: &'a [ConditionView], name: &str) -> Option<&'a ConditionView> {
    conditions.iter().find(|condition| condition.r#type == name)
}
