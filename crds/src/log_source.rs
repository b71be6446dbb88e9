//! LogSource: where logs, metrics and traces come in.

use causeway_remediate::DurationText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::incident::Severity;
use crate::reference::TokenAuth;
use crate::step::StepSpec;

/// A sender of telemetry: how it proves who it is, what is done to its records first, and its limits.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "LogSource",
    plural = "logsources",
    namespaced,
    status = "LogSourceStatus",
    derive = "PartialEq",
    shortname = "lsrc",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "A sender of logs, metrics or traces: its credential, the steps its records go through before they are stored, and its limits.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Loss", type_ = "string", json_path = ".status.loss"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'OTLP') == has(self.otlp) && (self.type == 'FluentBit') == has(self.fluentBit)")
    .message("exactly the member named by type must be set"))]
pub struct LogSourceSpec {
    /// Protocol of the sender: OTLP or FluentBit.
    pub r#type: LogSourceType,
    /// OpenTelemetry protocol over gRPC and HTTP: logs, metrics and traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpSource>,
    /// Fluent Bit or Fluentd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fluent_bit: Option<FluentBitSource>,
    /// Steps that each record goes through, in this order, before it is stored anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<StepSpec>,
    /// What the sender may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<SourceLimits>,
    /// When a silent sender is an event of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// Refuse the sender's data while true.
    #[serde(default)]
    pub suspend: bool,
}

/// Protocol of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LogSourceType {
    /// OpenTelemetry protocol.
    OTLP,
    /// Fluent Bit or Fluentd.
    FluentBit,
}

/// OTLP over gRPC and HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtlpSource {
    /// The bearer token that the sender shows.
    pub auth: TokenAuth,
}

/// Fluent Bit or Fluentd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.auth) || (has(self.trustedNetworks) && size(self.trustedNetworks) > 0)")
    .message("auth or trustedNetworks must say who may send"))]
pub struct FluentBitSource {
    /// Forward: the Fluent Forward protocol over TCP, with acknowledgements.
    #[serde(default)]
    pub protocol: FluentProtocol,
    /// The shared key of the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<TokenAuth>,
    /// Networks (CIDR, such as 127.0.0.0/8) whose senders are this source without a shared key, for clients that have
    /// none. The narrowest network of all LogSources holds; a sender from one must not be set to use a shared key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 43)))]
    pub trusted_networks: Vec<String>,
}

/// Output of Fluent Bit that is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FluentProtocol {
    /// Fluent Forward over TCP.
    #[default]
    Forward,
}

/// What a sender may use at most. More is refused with an answer that tells it to come back later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceLimits {
    /// Records in a second, averaged over a few seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_lines_per_second: Option<i64>,
    /// Bytes of one request after decompression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub max_request_bytes: Option<i64>,
}

/// When silence is worth an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Length of time without a record.
    pub after: DurationText,
    /// Severity of the event: Info, Warning or Critical.
    #[serde(default = "warning")]
    pub severity: Severity,
}

fn warning() -> Severity {
    Severity::Warning
}

/// Whether records arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceState {
    /// Nothing has arrived yet.
    #[default]
    Waiting,
    /// Records arrive.
    Flowing,
    /// Records arrived, and do no longer.
    Silent,
    /// Records arrive faster than the limits allow.
    Limited,
    /// Refused on request.
    Suspended,
}

/// Whether records of the sender were lost. Numbers are metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceLoss {
    /// Every record was stored, or removed by a step.
    #[default]
    None,
    /// The sender was told to send again.
    Rejected,
    /// Records could not be read.
    Dropped,
}

/// What the operator sees of the sender.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LogSourceStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Waiting, Flowing, Silent, Limited or Suspended.
    #[serde(default)]
    pub state: SourceState,
    /// None, Rejected or Dropped.
    #[serde(default)]
    pub loss: SourceLoss,
    /// Services seen in the records of the last hour.
    #[serde(default)]
    pub services: i32,
    /// Ready, Connected, Ingesting, WithinLimits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl LogSourceSpec {
    /// The Secret key that selects this source; `None` when it has none, or the union is broken.
    pub fn credential(&self) -> Option<&causeway_actions::SecretKeyRef> {
        match self.r#type {
            LogSourceType::OTLP => self.otlp.as_ref().map(|source| &source.auth.token_secret_ref),
            LogSourceType::FluentBit => {
                let auth = self.fluent_bit.as_ref().and_then(|source| source.auth.as_ref());
                auth.map(|auth| &auth.token_secret_ref)
            }
        }
    }

    /// Networks whose senders are this source without a credential.
    pub fn trusted_networks(&self) -> &[String] {
        self.fluent_bit.as_ref().map_or(&[], |source| &source.trusted_networks)
    }
}
