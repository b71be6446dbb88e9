//! MonitoredService: one service, whose it is and what it is worth.

use causeway_actions::Decimal;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::ObjectRef;

/// A service that people care about: its workloads, its owner, what it needs and what it earns.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "MonitoredService",
    plural = "monitoredservices",
    namespaced,
    status = "MonitoredServiceStatus",
    derive = "PartialEq",
    shortname = "msvc",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "A service that people care about: its workloads, its owner, what it needs and what it earns.",
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health"),
    printcolumn(name = "Incidents", type_ = "integer", json_path = ".status.openIncidents"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MonitoredServiceSpec {
    /// Who answers for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// How much it matters: Critical, Important or Standard.
    #[serde(default)]
    pub tier: Tier,
    /// Workloads that run the service; repairs act on these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub workloads: Vec<ObjectRef>,
    /// `service.name` in traces and logs. Without it: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub telemetry_name: Option<String>,
    /// Whether users reach the service directly, so that its golden signals are symptoms. Without it: found from traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<bool>,
    /// What the service needs. Optional; what traces show is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub dependencies: Vec<Dependency>,
    /// IANA name of the time zone that its users live by, such as `Europe/Amsterdam`: days and weeks of its signals begin
    /// there, also when the clock is changed. Without it: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// What an outage costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business: Option<Business>,
}

/// Who answers for a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Name of the team.
    #[schemars(length(max = 253))]
    pub team: String,
    /// Where the team is reached, such as a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub contact: Option<String>,
}

/// How much a service matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Convenience.
    #[default]
    Standard,
    /// Users notice an outage.
    Important,
    /// The business stops.
    Critical,
}

/// Something that a service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.service) != has(self.external)")
    .message("set exactly one of service and external"))]
pub struct Dependency {
    /// Another service by its telemetry name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service: Option<String>,
    /// Something outside of the cluster, such as `dynamodb:tax-rates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub external: Option<String>,
    /// Hard: without it the service fails. Soft: it degrades.
    #[serde(default)]
    pub criticality: Criticality,
}

/// What happens without a dependency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Criticality {
    /// The service fails.
    #[default]
    Hard,
    /// The service degrades.
    Soft,
}

/// What an outage costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Business {
    /// ISO 4217 code, such as EUR.
    #[schemars(regex(pattern = "^[A-Z]{3}$"), length(max = 3))]
    pub currency: String,
    /// Revenue in an hour that is lost when the service is down, as a decimal string.
    pub revenue_per_hour: Decimal,
    /// Whether an outage stops the whole journey of a customer.
    #[serde(default)]
    pub on_critical_path: bool,
}

/// How the service does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// Not enough data.
    #[default]
    Unknown,
    /// No open incident.
    Healthy,
    /// An open incident has its symptom here.
    Degraded,
}

/// What is known of the neighbours of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySummary {
    /// Services that call this one.
    pub upstreams: i32,
    /// Services and stores that this one calls.
    pub downstreams: i32,
    /// Edges that traces did not show.
    #[serde(default)]
    pub inferred_edges: i32,
}

/// What the operator sees of the service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MonitoredServiceStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Unknown, Healthy or Degraded.
    #[serde(default)]
    pub health: Health,
    /// Neighbours of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<TopologySummary>,
    /// Incidents with their symptom at this service that are not resolved.
    #[serde(default)]
    pub open_incidents: i32,
    /// Ready, WorkloadsFound, TopologyKnown, ObjectivesMet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
