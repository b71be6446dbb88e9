//! Series that a Baseline follows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a series comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SeriesType {
    /// Counts of a log template.
    LogPattern,
    /// A metric.
    Metric,
    /// A golden signal from traces.
    Trace,
    /// Log records that meet a condition, or a number in them.
    LogQuery,
    /// A statement over all that is stored.
    Query,
}

/// Which series. A union: `type` and the member of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'LogPattern') == has(self.logPattern) && (self.type == 'Metric') == has(self.metric) && (self.type == 'Trace') == has(self.trace) && (self.type == 'LogQuery') == has(self.logQuery) && (self.type == 'Query') == has(self.query)")
    .message("exactly the member named by type must be set"))]
pub struct SeriesSpec {
    /// LogPattern, Metric, Trace, LogQuery or Query.
    pub r#type: SeriesType,
    /// Counts of log records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_pattern: Option<LogPatternSeries>,
    /// A metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricSeries>,
    /// A golden signal from traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSeries>,
    /// Log records that meet a condition, or a number in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_query: Option<LogQuerySeries>,
    /// A statement over all that is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<QuerySeries>,
}

/// Counts of the log templates that contain a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogPatternSeries {
    /// Text that the template contains.
    #[schemars(length(min = 1, max = 512))]
    pub contains: String,
    /// Attributes of the record or its resource: each set of their values is a series, whatever the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 253)))]
    pub group_by: Vec<String>,
    /// The series is not how many there are but a number in them, as a level: the text around it, with `<number>`, or
    /// `<duration>` for one with its unit, where it stands, and `<*>` for anything else that varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub number: Option<String>,
    /// At most this many series are followed.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub max_series: i32,
}

/// A metric of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricSeries {
    /// Name of the metric as it is sent.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Attributes of the metric: each set of their values is a series, all others are added up. Without: every set of all
    /// attributes is a series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 253)))]
    pub group_by: Vec<String>,
    /// At most this many series are followed.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub max_series: i32,
}

/// Log records of the namespace that meet a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogQuerySeries {
    /// The condition, such as `service == "checkout" && status >= 500`.
    #[schemars(length(min = 1, max = 1024))]
    pub query: String,
    /// The series is not how many there are but the number in this attribute, as a level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub value: Option<String>,
    /// Attributes of the record or its resource: each set of their values is a series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 253)))]
    pub group_by: Vec<String>,
    /// At most this many series are followed.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub max_series: i32,
}

/// A statement over what is stored in the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuerySeries {
    /// One SELECT with the columns `time` and `value`; each set of values of its other columns is a series. It says which time
    /// it reads: `WHERE time >= $from AND time < $to`.
    #[schemars(length(min = 1, max = 2048))]
    pub sql: String,
    /// Levels or Counts.
    #[serde(default)]
    pub values: QueryValues,
    /// At most this many series are followed.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub max_series: i32,
}

impl Default for QuerySeries {
    fn default() -> Self {
        Self { sql: String::new(), values: QueryValues::default(), max_series: fifty() }
    }
}

/// How the values of a statement combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum QueryValues {
    /// A point is the mean; one without a row has no value.
    #[default]
    Levels,
    /// A point is the sum; one without a row is a zero.
    Counts,
}

fn fifty() -> i32 {
    50
}

/// A golden signal from the spans of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraceSeries {
    /// Latency, Errors or Traffic.
    pub signal: GoldenSignal,
}

/// The signals that every service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GoldenSignal {
    /// How long requests take.
    Latency,
    /// The share of requests that fail.
    Errors,
    /// Requests in a second.
    Traffic,
    /// How full the service is.
    Saturation,
}
