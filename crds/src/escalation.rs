//! That an incident was told anew, because nobody looked after it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That an incident was told anew, because nobody looked after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escalation {
    /// When, by the clock.
    pub at: Time,
    /// Why.
    pub reason: EscalationReason,
    /// One sentence.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// Why an incident was escalated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EscalationReason {
    /// Nobody acknowledged it within the time that a declared peak allows.
    Unacknowledged,
    /// Nobody decided about its repair in time.
    ApprovalExpired,
}
