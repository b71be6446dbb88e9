//! Processing steps that a LogSource runs before anything is stored.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepType {
    /// Replaces secrets by a mark.
    Mask,
    /// Removes records.
    Drop,
}

/// One step; steps run in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Mask') == has(self.mask) && (self.type == 'Drop') == has(self.drop)")
    .message("exactly the member named by type must be set"))]
pub struct StepSpec {
    /// Name of the step, unique within the source.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What the step does: Mask or Drop.
    pub r#type: StepType,
    /// Records that the step looks at, such as `severity == "DEBUG" && service != "checkout"`. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub r#match: Option<String>,
    /// Parameters of `type: Mask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskStep>,
    /// Parameters of `type: Drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropStep>,
}

/// Detectors for secrets that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MaskBuiltin {
    /// Payment card numbers that pass the check digit.
    CardNumber,
    /// E-mail addresses.
    Email,
    /// Tokens behind `Bearer`.
    BearerToken,
    /// Access keys of AWS.
    AwsKey,
}

/// Replaces what the detectors find, in the body and in every attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskStep {
    /// Detectors to run: CardNumber, Email, BearerToken, AwsKey.
    #[schemars(length(min = 1, max = 16))]
    pub builtins: Vec<MaskBuiltin>,
    /// Put in place of what was found.
    #[serde(default = "stars")]
    #[schemars(length(max = 32))]
    pub replace_with: String,
}

fn stars() -> String {
    "***".into()
}

/// Removes the records that match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DropStep {}
