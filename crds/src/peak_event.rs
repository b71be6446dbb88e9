//! PeakEvent: a time that is known to be unlike others, such as a sale, a holiday or a nightly job.

use causeway_actions::Decimal;
use causeway_remediate::{Autonomy, DurationText, FreezeMode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time that is known to be unlike others: when it is, what it does to signals, what it earns, and how far repairs may go.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "PeakEvent",
    plural = "peakevents",
    status = "PeakEventStatus",
    derive = "PartialEq",
    shortname = "peak",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "A time that is known to be unlike others, such as a sale, a holiday or a nightly job: when it is, what it does to signals, what it earns, and how far repairs may go meanwhile.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Starts", type_ = "string", json_path = ".status.starts"),
    printcolumn(name = "Ends", type_ = "string", json_path = ".status.ends"),
    printcolumn(name = "Expected", type_ = "string", json_path = ".spec.expected[*].multiplier"),
    printcolumn(name = "Observed", type_ = "string", json_path = ".status.observed[*].multiplier"),
    printcolumn(name = "Services", type_ = "integer", json_path = ".status.services"),
    printcolumn(
        name = "Capacity",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='CapacitySufficient')].status"
    ),
    printcolumn(name = "Autonomy", type_ = "string", json_path = ".spec.maxAutonomy"),
    printcolumn(name = "Freeze", type_ = "string", json_path = ".status.freeze.state"),
    printcolumn(name = "Changed", type_ = "integer", json_path = ".status.freeze.changes"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Short", type_ = "string", json_path = ".status.bottlenecks[0]", priority = "1")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.warmUp) <= duration('168h') && duration(self.coolDown) <= duration('168h')")
    .message("warmUp and coolDown must be at most 168h"))]
#[x_kube(validation = Rule::new("self.repeat != 'Daily' || timestamp(self.window.end + 'Z') - timestamp(self.window.start + 'Z') < duration('24h')")
    .message("a window that repeats Daily must be shorter than a day"))]
#[x_kube(validation = Rule::new("self.repeat != 'Weekly' || timestamp(self.window.end + 'Z') - timestamp(self.window.start + 'Z') < duration('168h')")
    .message("a window that repeats Weekly must be shorter than a week"))]
pub struct PeakEventSpec {
    /// When it is.
    pub window: PeakWindow,
    /// Never, Daily, Weekly or Yearly: the same local time on another day. Holidays whose date moves are declared one by one.
    #[serde(default)]
    pub repeat: Repeat,
    /// Name under which its effects are remembered, so that the event of next year knows those of this year. Without it: the
    /// name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub remember_as: Option<String>,
    /// How long before the start the effect builds up, in h, m or s; at most 168h.
    #[serde(default)]
    pub warm_up: DurationText,
    /// How long after the end it wears off, in h, m or s; at most 168h.
    #[serde(default)]
    pub cool_down: DurationText,
    /// Namespaces of the services that it is about. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// Which MonitoredServices of these namespaces, by label. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,
    /// What the event does to signals, relative to an ordinary day. A volume that is not listed is learned while the event
    /// lasts, and known the next time; Latency and Errors that are not listed stay as on an ordinary day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub expected: Vec<Expected>,
    /// What the services earn meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business: Option<PeakBusiness>,
    /// What has to be there before it begins. It is looked at whenever RequestRate is expected or remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// No policy goes further than this from the begin of the warm-up to the end of the cool-down: Observe, Suggest, Approve
    /// or Auto. It lowers what policies grant and never raises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_autonomy: Option<Autonomy>,
    /// Keeps changes of what runs out of the namespaces that it is about, for the same time as `maxAutonomy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_freeze: Option<ChangeFreeze>,
    /// An Incident of these namespaces that hurts for so long while the event is on, without anybody who acknowledges or
    /// silences it and without a repair on its way, is escalated: `5m`. It is told anew, past filters and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_after: Option<DurationText>,
    /// Take no notice of the event while true.
    #[serde(default)]
    pub suspend: bool,
}

/// When an event is: local times of a time zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("timestamp(self.start + 'Z') < timestamp(self.end + 'Z')")
    .message("end must be after start"))]
#[x_kube(validation = Rule::new("timestamp(self.end + 'Z') - timestamp(self.start + 'Z') <= duration('720h')")
    .message("the window must be at most 30 days"))]
pub struct PeakWindow {
    /// Begin, as local time such as `2026-11-27T06:00:00`.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"), length(max = 19))]
    pub start: String,
    /// End, as local time; not part of the window.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"), length(max = 19))]
    pub end: String,
    /// IANA name of the time zone, such as `Europe/Amsterdam`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Whether an event comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Repeat {
    /// Once.
    #[default]
    Never,
    /// Every day, such as a nightly job.
    Daily,
    /// The same day of every week.
    Weekly,
    /// The same date of every year.
    Yearly,
}

/// A kind of signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PeakSignal {
    /// Requests that services serve.
    RequestRate,
    /// Counts of log patterns.
    LogVolume,
    /// How long requests take.
    Latency,
    /// A metric by name.
    Metric,
}

/// What an event does to a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.signal == 'Metric') == has(self.metric)")
    .message("metric is the name of the metric, exactly when signal is Metric"))]
#[x_kube(validation = Rule::new("double(self.multiplier) > 0.0 && double(self.multiplier) <= 100.0")
    .message("multiplier must be above 0 and at most 100"))]
pub struct Expected {
    /// RequestRate, LogVolume, Latency or Metric.
    pub signal: PeakSignal,
    /// Name of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub metric: Option<String>,
    /// How many times an ordinary day's value, a decimal string: `7` is seven times.
    pub multiplier: Decimal,
}

/// What services earn during an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.revenuePerHour) >= 0.0")
    .message("revenuePerHour must not be negative"))]
pub struct PeakBusiness {
    /// ISO 4217 code, such as EUR.
    #[schemars(regex(pattern = "^[A-Z]{3}$"), length(max = 3))]
    pub currency: String,
    /// Revenue of all selected services in an hour, as a decimal string. They share it as their own `business` tells, in equal
    /// parts where none has one.
    pub revenue_per_hour: Decimal,
    /// How revenue changes during the event. Before the first of these `revenuePerHour` holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 96))]
    pub curve: Vec<CurvePoint>,
}

/// What has to be there before an event begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// So much more than the expected load the services must be able to grow to, in percent.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub min_headroom_percent: i32,
}

/// A time in which what runs is not to be changed: pod templates of workloads, and ConfigMaps. Replicas, restarts and repairs
/// that put back what ran before are no such changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeFreeze {
    /// Warn: changes pass, and whoever makes them is told. Deny: they are refused.
    #[serde(default)]
    pub mode: FreezeMode,
    /// Annotations that let changes of an object pass, such as `causeway.dev/emergency`; the value is free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 317)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub except: Vec<String>,
}

/// Revenue from some time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.revenuePerHour) >= 0.0")
    .message("revenuePerHour must not be negative"))]
pub struct CurvePoint {
    /// How long after the begin of the window.
    pub after: DurationText,
    /// Revenue in an hour from then on, as a decimal string.
    pub revenue_per_hour: Decimal,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PeakPhase {
    /// It is to come.
    #[default]
    Planned,
    /// Its effect builds up.
    Armed,
    /// It is on.
    Active,
    /// Its effect wears off.
    CoolingDown,
    /// It is over and does not come again.
    Completed,
}

/// What an event did to a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// RequestRate, LogVolume, Latency or Metric.
    pub signal: PeakSignal,
    /// Name of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub metric: Option<String>,
    /// How many times an ordinary day's value, a decimal string.
    pub multiplier: Decimal,
}

/// Where a change freeze stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FreezeState {
    /// It is to come.
    #[default]
    Planned,
    /// Changes are held back now.
    Holding,
    /// It is over.
    Over,
}

/// Where the change freeze of an event stands, and what was changed in spite of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreezeStatus {
    /// Planned, Holding or Over. The admission rules go by it.
    #[serde(default)]
    pub state: FreezeState,
    /// Namespaces in which it holds: those of the services, and those that are named if no service is selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    pub namespaces: Vec<String>,
    /// Releases and changes of configuration that were seen meanwhile.
    #[serde(default)]
    pub changes: i32,
    /// The newest of them, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub latest: Vec<FrozenChange>,
}

/// A change while a freeze held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenChange {
    /// When it was seen.
    pub at: Time,
    /// What was changed, as Kind/namespace/name.
    #[schemars(length(max = 512))]
    pub object: String,
    /// Who changed it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
}

/// What the operator knows of the event.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PeakEventStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Planned, Armed, Active, CoolingDown or Completed.
    #[serde(default)]
    pub phase: PeakPhase,
    /// Begin of the occurrence that the phase is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Time>,
    /// End of that occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Time>,
    /// MonitoredServices that it is about.
    #[serde(default)]
    pub services: i32,
    /// What it did to signals, by the median of their series. Later events that are remembered by the same name start from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub observed: Vec<Observed>,
    /// Services that end before the expected load, and what to raise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 256)))]
    pub bottlenecks: Vec<String>,
    /// The change freeze, where one is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezeStatus>,
    /// Ready, Armed, CapacitySufficient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
