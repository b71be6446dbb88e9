//! NotificationTarget: where people hear of incidents.

use causeway_actions::SecretKeyRef;
use causeway_remediate::DurationText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::incident::Severity;

/// Where people hear of incidents: Slack or a webhook.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "NotificationTarget",
    plural = "notificationtargets",
    namespaced,
    status = "NotificationTargetStatus",
    derive = "PartialEq",
    shortname = "ntgt",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "Where people hear of the incidents of a namespace: Slack or a webhook. One message for each incident, edited in place.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "LastError", type_ = "string", json_path = ".status.lastError"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Slack') == has(self.slack) && (self.type == 'Webhook') == has(self.webhook)")
    .message("exactly the member named by type must be set"))]
pub struct NotificationTargetSpec {
    /// Slack or Webhook.
    pub r#type: NotificationType,
    /// A Slack channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackTarget>,
    /// An HTTP endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTarget>,
    /// What is sent.
    #[serde(default)]
    pub send: SendFilter,
    /// How a flood is held back.
    #[serde(default)]
    pub flood: FloodControl,
    /// Send nothing while true.
    #[serde(default)]
    pub suspend: bool,
}

/// Kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NotificationType {
    /// A Slack channel.
    Slack,
    /// An HTTP endpoint.
    Webhook,
}

/// A Slack channel: by bot token (messages are edited in place) or by incoming webhook (they are repeated).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tokenSecretRef) != has(self.webhookSecretRef)")
    .message("set exactly one of tokenSecretRef and webhookSecretRef"))]
#[x_kube(validation = Rule::new("!has(self.tokenSecretRef) || has(self.channel)")
    .message("a bot token needs a channel"))]
pub struct SlackTarget {
    /// Channel, such as `#payments-incidents`; required with a bot token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 80))]
    pub channel: Option<String>,
    /// Secret key that holds a bot token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// Secret key that holds the URL of an incoming webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_ref: Option<SecretKeyRef>,
    /// Base URL of the Slack API, for a proxy. Without it: Slack's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/@?#]+(/[^@]*)?$')").message("must be an http or https URL without credentials"))]
    pub api_url: Option<String>,
}

/// An HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTarget {
    /// URL without credentials.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/@?#]+(/[^@?#]*)?$')").message("must be an http or https URL without credentials or query"))]
    pub url: String,
    /// Secret key that holds the key of the HMAC-SHA256 signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// CloudEvents: structured mode, JSON.
    #[serde(default)]
    pub format: WebhookFormat,
    /// How often and how long an undelivered message is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
}

/// Form of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WebhookFormat {
    /// CloudEvents 1.0, structured JSON.
    #[default]
    CloudEvents,
}

/// Retries of an undelivered message; then it is kept as a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Tries in total.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 50))]
    pub attempts: i32,
    /// Older messages are given up.
    #[serde(default = "day")]
    pub max_age: DurationText,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 8, max_age: day() }
    }
}

fn eight() -> i32 {
    8
}
fn day() -> DurationText {
    DurationText::from_secs(86_400)
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendFilter {
    /// Only incidents at least this severe: Info, Warning or Critical.
    #[serde(default)]
    pub min_severity: Severity,
    /// Predicted incidents too.
    #[serde(default = "yes")]
    pub predicted: bool,
    /// Say when an incident is over.
    #[serde(default = "yes")]
    pub resolved: bool,
    /// Nothing before an incident is escalated, see PeakEvent `escalateAfter` and RemediationPolicy `approvals.onExpire`: for
    /// those who are asked second.
    #[serde(default)]
    pub only_escalated: bool,
}

impl Default for SendFilter {
    fn default() -> Self {
        Self { min_severity: Severity::default(), predicted: true, resolved: true, only_escalated: false }
    }
}

fn yes() -> bool {
    true
}

/// How a flood is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FloodControl {
    /// New messages in an hour; edits of a message do not count.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_messages_per_hour: i32,
}

impl Default for FloodControl {
    fn default() -> Self {
        Self { max_messages_per_hour: 20 }
    }
}

fn twenty() -> i32 {
    20
}

/// Whether messages arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeliveryState {
    /// Nothing was sent yet.
    #[default]
    Idle,
    /// The last message arrived.
    Delivering,
    /// The last message did not arrive.
    Failing,
    /// Sends nothing on request.
    Suspended,
}

/// What the operator knows of the target. Numbers are metrics.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NotificationTargetStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Idle, Delivering, Failing or Suspended.
    #[serde(default)]
    pub state: DeliveryState,
    /// Why the last message did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub last_error: Option<String>,
    /// Ready, Deliverable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
