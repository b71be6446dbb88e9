//! What an Incident costs: who is hurt, and the money at risk, so that a reader can compute it again.

use causeway_actions::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is hurt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// Services that deviate.
    #[serde(default)]
    pub services: i32,
    /// Services that users reach directly and that deviate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub entry_points: Vec<String>,
    /// Share of requests that are affected, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_share: Option<Decimal>,
    /// Requests at the service since the symptom began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// Error budget that is used in an hour, as a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget_per_hour: Option<Decimal>,
}

/// Requests in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Those that failed or were too slow.
    pub affected: i64,
    /// All of them.
    pub all: i64,
}

/// An estimate with its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// Lower bound.
    pub low: Decimal,
    /// Upper bound.
    pub high: Decimal,
}

/// What it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Money {
    /// ISO 4217 code.
    #[schemars(length(max = 3))]
    pub currency: String,
    /// Revenue at risk in an hour: revenuePerHour times affectedShare.
    pub at_risk_per_hour: Decimal,
    /// The same with the bounds of the share: Wilson's interval, 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Revenue of an hour when nothing is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_per_hour: Option<Decimal>,
    /// Share of it that is affected: impact.requests.affected over impact.requests.all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_share: Option<Decimal>,
    /// For how long it has hurt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Lost so far: atRiskPerHour times seconds, over 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_so_far: Option<Decimal>,
    /// How it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub method: Option<String>,
    /// What the figures assume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 256)))]
    pub assumptions: Vec<String>,
}
