//! Baseline: what is normal for a series, learned or given, and what is coming.

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::LocalRef;
pub use crate::series::{
    GoldenSignal, LogPatternSeries, LogQuerySeries, MetricSeries, QuerySeries, QueryValues, SeriesSpec,
    SeriesType, TraceSeries,
};

/// What is normal for one or more series of a service, and when a deviation counts.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "Baseline",
    plural = "baselines",
    namespaced,
    status = "BaselineStatus",
    derive = "PartialEq",
    shortname = "cbl",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "What is normal for one or more series of a service, learned or given, and when a deviation counts. Services have baselines of their golden signals without this; a Baseline adds to them.",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.serviceRef.name"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model.type"),
    printcolumn(name = "Series", type_ = "integer", json_path = ".status.seriesTracked"),
    printcolumn(name = "Learned%", type_ = "integer", json_path = ".status.learnedPercent"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Crosses", type_ = "string", json_path = ".status.forecast.crossesBy"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Detail",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='WithinBand')].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.forecast) || !has(self.forecast.raiseIf) || duration(self.forecast.raiseIf.leadTime) < duration(self.forecast.horizon)")
    .message("forecast.raiseIf.leadTime must be shorter than forecast.horizon"))]
pub struct BaselineSpec {
    /// The service that the series belongs to.
    pub service_ref: LocalRef,
    /// Which series.
    pub series: SeriesSpec,
    /// How normal is known.
    #[serde(default)]
    pub model: ModelSpec,
    /// How many bad points make a deviation, and how many good ones end it.
    #[serde(default)]
    pub window: WindowSpec,
    /// What a missing point means: Ignore or Violate. It never means recovered.
    #[serde(default)]
    pub missing_data: MissingData,
    /// Fewer requests than this in a point are too few to judge Latency and Errors, fewer occurrences too few to judge a
    /// learned count. Levels are always judged.
    #[serde(default = "twenty")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub minimum_events: i32,
    /// How much of the past is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingSpec>,
    /// Look ahead, and say so before a bound is crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastSpec>,
    /// Do not evaluate while true.
    #[serde(default)]
    pub suspend: bool,
}

fn twenty() -> i32 {
    20
}

/// How normal is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'Static' || has(self.upper) || has(self.lower)")
    .message("a Static model needs upper or lower"))]
#[x_kube(validation = Rule::new("!has(self.upper) || !has(self.lower) || double(self.lower) < double(self.upper)")
    .message("lower must be below upper"))]
pub struct ModelSpec {
    /// Static: the given bounds. Adaptive: recent values. Seasonal: time of day and week too. Auto: what fits the data.
    #[serde(default)]
    pub r#type: ModelType,
    /// Which side counts: Above, Below or Both.
    #[serde(default)]
    pub direction: Direction,
    /// Low, Medium or High.
    #[serde(default)]
    pub sensitivity: Sensitivity,
    /// Upper bound of a Static model, a decimal string: milliseconds for Latency, a share (0 to 1) for Errors, requests a
    /// second for Traffic, occurrences in a point for LogPattern and counters, else the unit of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<Decimal>,
    /// Lower bound of a Static model, a decimal string, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Decimal>,
}

/// Kind of model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ModelType {
    /// Chosen by what fits the data.
    #[default]
    Auto,
    /// Given bounds.
    Static,
    /// Learned from recent values.
    Adaptive,
    /// Learned by time of day and week.
    Seasonal,
}

/// Which deviations count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Above the band.
    #[default]
    Above,
    /// Below the band.
    Below,
    /// Either.
    Both,
}

/// How narrow the band is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Sensitivity {
    /// Fewer findings.
    Low,
    /// In between.
    #[default]
    Medium,
    /// More findings.
    High,
}

/// What a missing point means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MissingData {
    /// Nothing.
    #[default]
    Ignore,
    /// A bad point.
    Violate,
}

/// A sliding window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.violating * duration(self.resolution).getSeconds() <= duration(self.size).getSeconds()")
    .message("violating points do not fit into the window: violating * resolution must not exceed size (in h, m or s)"))]
pub struct WindowSpec {
    /// Length of the window, in h, m or s.
    #[serde(default = "five_minutes")]
    pub size: DurationText,
    /// Length of one point, in h, m or s: a multiple of 10s, at most 1h.
    #[serde(default = "one_minute")]
    pub resolution: DurationText,
    /// Bad points in the window that make a deviation.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub violating: i32,
    /// Good points in a row that end it.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub clearing: i32,
    /// How long to wait for late data, at most 1h. Gateways wait 10s; with more, points are made from what is stored by then.
    #[serde(default = "ten_seconds")]
    pub delay: DurationText,
}

impl Default for WindowSpec {
    fn default() -> Self {
        Self {
            size: five_minutes(),
            resolution: one_minute(),
            violating: 3,
            clearing: 5,
            delay: ten_seconds(),
        }
    }
}

fn three() -> i32 {
    3
}
fn five() -> i32 {
    5
}
fn five_minutes() -> DurationText {
    DurationText::from_secs(300)
}
fn one_minute() -> DurationText {
    DurationText::from_secs(60)
}
fn ten_seconds() -> DurationText {
    DurationText::from_secs(10)
}

/// How much of the past is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrainingSpec {
    /// So much of the past, as it is stored, is learned from at once. At most 92d.
    pub history: DurationText,
    /// Below this the model says Learning and raises nothing.
    pub minimum: DurationText,
}

/// Looking ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastSpec {
    /// How far, in h, m or s.
    pub horizon: DurationText,
    /// When to say something; without it when a Static bound will be crossed, the upper one if both count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise_if: Option<RaiseIf>,
}

/// When a forecast is worth a prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.above) != has(self.below)").message("set exactly one of above and below"))]
#[x_kube(validation = Rule::new("double(self.probability) > 0.0 && double(self.probability) < 1.0")
    .message("probability must be between 0 and 1"))]
pub struct RaiseIf {
    /// The series rises above this, a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Decimal>,
    /// The series falls below this, a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Decimal>,
    /// With at least this probability, between 0 and 1, a decimal string.
    pub probability: Decimal,
    /// At least this long before, in h, m or s.
    pub lead_time: DurationText,
}

/// What the series does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BaselineState {
    /// Too little history.
    #[default]
    Learning,
    /// Within the band.
    WithinBand,
    /// Outside of the band.
    Deviating,
    /// Data is missing.
    NoData,
    /// Not evaluated on request.
    Suspended,
}

/// The model in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelSummary {
    /// The type that was chosen.
    pub r#type: ModelType,
    /// Seasons that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub periods: Vec<DurationText>,
    /// When it was last fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_at: Option<Time>,
    /// How much of the past it has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_used: Option<DurationText>,
}

/// The crossing that is foretold next, and what became of earlier predictions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastSummary {
    /// The series, as `entity/signal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub series: Option<String>,
    /// By when it crosses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crosses_by: Option<Time>,
    /// With which probability, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Decimal>,
    /// Predictions that came true in time.
    #[serde(default)]
    pub hits: i32,
    /// Predictions that did not.
    #[serde(default)]
    pub misses: i32,
    /// Predictions that did not come true after something was changed.
    #[serde(default)]
    pub prevented: i32,
    /// Predictions of whose time too little was seen.
    #[serde(default)]
    pub unknown: i32,
    /// Crossings that nobody foretold.
    #[serde(default)]
    pub unforeseen: i32,
    /// Mean squared error of the stated probabilities: 0 is perfect, 0.25 what always saying a half gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brier: Option<Decimal>,
}

/// What the engine knows of the series.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BaselineStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The model in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// How much of the minimum history is there, in whole percent.
    #[serde(default)]
    pub learned_percent: i32,
    /// Series that are followed.
    #[serde(default)]
    pub series_tracked: i32,
    /// Learning, WithinBand, Deviating, NoData or Suspended.
    #[serde(default)]
    pub state: BaselineState,
    /// The forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastSummary>,
    /// Ready, DataFlowing, ModelReady, WithinBand, WithinLimits, ForecastHealthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
