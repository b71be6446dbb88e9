//! SLO: an objective, its error budget and how fast it burns.

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::baseline::GoldenSignal;
use crate::reference::LocalRef;

/// An objective for a service: the indicator, the target, and the burn rates that count.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "SLO",
    plural = "slos",
    namespaced,
    status = "SLOStatus",
    derive = "PartialEq",
    shortname = "cslo",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "An objective for a service: the indicator, the target in percent, and the burn rates that open an incident. Field meanings are those of OpenSLO.",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.serviceRef.name"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Budget%", type_ = "integer", json_path = ".status.budgetRemainingPercent"),
    printcolumn(name = "Exhausts", type_ = "string", json_path = ".status.exhaustsAt"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Detail",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='BurnRateHealthy')].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.target) > 0.0 && double(self.target) < 100.0")
    .message("target is a percentage between 0 and 100, both excluded"))]
#[x_kube(validation = Rule::new("(self.budgeting == 'Timeslices') == has(self.timeslices)")
    .message("timeslices belongs to budgeting: Timeslices, and only there"))]
pub struct SLOSpec {
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// The service that promises this.
    pub service_ref: LocalRef,
    /// What is measured.
    pub indicator: Indicator,
    /// The period that the target holds for.
    #[serde(default)]
    pub window: ObjectiveWindow,
    /// Occurrences: by events. Timeslices: by stretches of time.
    #[serde(default)]
    pub budgeting: Budgeting,
    /// How stretches of time are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeslices: Option<Timeslices>,
    /// Percent of good events or stretches, such as "99.9".
    pub target: Decimal,
    /// Burn rates that count. Without any: 14.4 over 1h and 5m, 6 over 6h and 30m, 1 over 72h and 6h.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub burn: Vec<BurnWindow>,
    /// Fewer bad events (or stretches of time) than this in a long window do not count, unless half of all fail for six
    /// hours.
    #[serde(default = "twenty")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub minimum_bad_events: i32,
    /// Say when the budget will be gone.
    #[serde(default)]
    pub predict_exhaustion: bool,
    /// Whether a burning budget also makes Ready false, for those who gate a deploy on it.
    #[serde(default)]
    pub health_gate: bool,
    /// Do not evaluate while true.
    #[serde(default)]
    pub suspend: bool,
}

fn twenty() -> i32 {
    20
}

/// Form of an indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IndicatorType {
    /// Good or bad events in all events.
    Ratio,
    /// Requests that take less time than a limit.
    Threshold,
}

/// What is measured. A union: `type` and the member of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Ratio') == has(self.ratio) && (self.type == 'Threshold') == has(self.threshold)")
    .message("exactly the member named by type must be set"))]
pub struct Indicator {
    /// Ratio or Threshold.
    pub r#type: IndicatorType,
    /// Good or bad events in all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioIndicator>,
    /// A signal that must stay below a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<ThresholdIndicator>,
}

/// Good or bad events in all events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.good) != has(self.bad)").message("set exactly one of good and bad"))]
pub struct RatioIndicator {
    /// Events that are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<EventSource>,
    /// Events that are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<EventSource>,
    /// All events.
    pub total: EventSource,
}

/// A signal that must stay below a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.signal) ? 1 : 0) + (has(self.metric) ? 1 : 0) + (has(self.logs) ? 1 : 0) == 1")
    .message("set exactly one of signal, metric and logs"))]
pub struct ThresholdIndicator {
    /// A golden signal of the service: Latency. Every request is an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<GoldenSignal>,
    /// A metric that is a level. Every value of it is an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricCount>,
    /// A number in log records. Every record that has it is an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogNumber>,
    /// Events below this limit are good: a decimal string, in milliseconds for Latency, else in the unit of the values.
    pub below: Decimal,
}

/// A number in log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogNumber {
    /// Which records: a condition such as `service == "checkout" && has(duration_ms)`.
    #[schemars(length(min = 1, max = 1024))]
    pub query: String,
    /// The attribute that has the number.
    #[schemars(length(min = 1, max = 253))]
    pub value: String,
}

/// Where events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventSourceType {
    /// A golden signal of the service.
    Signal,
    /// Log records.
    Logs,
    /// A counter.
    Metric,
}

/// Where events are counted. A union: `type` and the member of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Signal') == has(self.signal) && (self.type == 'Logs') == has(self.logs) && (self.type == 'Metric') == has(self.metric)")
    .message("exactly the member named by type must be set"))]
pub struct EventSource {
    /// Signal, Logs or Metric.
    pub r#type: EventSourceType,
    /// A golden signal of the service: Traffic (all requests) or Errors (failed requests).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<GoldenSignal>,
    /// Log records that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogCount>,
    /// A counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricCount>,
}

/// Log records that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogCount {
    /// The condition, such as `service == "checkout" && status >= 500`.
    #[schemars(length(min = 1, max = 1024))]
    pub query: String,
}

/// A counter by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricCount {
    /// Name of the counter as it is sent.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Which of its series count, by their attributes, as Prometheus writes it: `code=~"5..",method!="GET"`. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub labels: Option<String>,
}

/// The period that a target holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectiveWindow {
    /// Length, such as 28d; 1h to 366d.
    pub duration: DurationText,
    /// Rolling: the last stretch of this length.
    #[serde(default)]
    pub r#type: WindowType,
}

impl Default for ObjectiveWindow {
    fn default() -> Self {
        Self { duration: DurationText::from_secs(28 * 86_400), r#type: WindowType::Rolling }
    }
}

/// How the period moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowType {
    /// With the time.
    #[default]
    Rolling,
}

/// What the budget is counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Budgeting {
    /// Events.
    #[default]
    Occurrences,
    /// Stretches of time.
    Timeslices,
}

/// How a stretch of time is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeslices {
    /// Length of a stretch: a multiple of 10s, at most 24h.
    pub size: DurationText,
    /// Percent of good events that make it a good stretch, a decimal string.
    pub target: Decimal,
}

/// A burn rate that counts when it holds over a long and a short window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.long.matches('[dw]') && !self.short.matches('[dw]') && duration(self.long) > duration(self.short)")
    .message("long must be longer than short; write both in h, m or s (72h, not 3d)"))]
#[x_kube(validation = Rule::new("double(self.rate) > 0.0").message("rate must be above 0"))]
pub struct BurnWindow {
    /// Page: wake somebody. Ticket: look at it in the day.
    #[serde(default)]
    pub severity: BurnSeverity,
    /// Multiple of the rate that uses the budget up exactly at the end of the period, a decimal string.
    pub rate: Decimal,
    /// The long window, in h, m or s.
    pub long: DurationText,
    /// The short window, in h, m or s.
    pub short: DurationText,
}

/// What a burn means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BurnSeverity {
    /// Wake somebody.
    #[default]
    Page,
    /// Look at it in the day.
    Ticket,
}

/// Where the budget stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SLOState {
    /// Too little history.
    #[default]
    Learning,
    /// Within budget.
    Healthy,
    /// A ticket window burns.
    Burning,
    /// A page window burns.
    BurningFast,
    /// The budget is gone.
    Exhausted,
    /// Not evaluated on request.
    Suspended,
}

/// What the engine knows of the objective.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SLOStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Learning, Healthy, Burning, BurningFast, Exhausted or Suspended.
    #[serde(default)]
    pub state: SLOState,
    /// Budget that is left, in whole percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_remaining_percent: Option<i32>,
    /// When the budget is gone at the present rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausts_at: Option<Time>,
    /// Ready, HistorySufficient, BudgetHealthy, BurnRateHealthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
