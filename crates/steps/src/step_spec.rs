//! One declared step: a name, a condition, and the member that its type names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DropSpec, MaskSpec, MatchSpec};

/// Type of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepType {
    /// Replaces secrets and personal data in texts.
    Mask,
    /// Removes records.
    Drop,
}

impl StepType {
    /// The name in a custom resource.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mask => "Mask",
            Self::Drop => "Drop",
        }
    }
}

/// One step. `type` and the member of that name are set, no other member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(self.type == 'Mask') == has(self.mask)",
        "message": "set mask exactly when type is Mask"
    },
    {
        "rule": "(self.type == 'Drop') == has(self.drop)",
        "message": "set drop exactly when type is Drop"
    },
    {
        "rule": "self.type != 'Drop' || has(self.match)",
        "message": "a Drop step needs a match, or it would remove every record"
    }
]))]
pub struct StepSpec {
    /// Name, unique among the steps; counters carry it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What the step does.
    #[serde(rename = "type")]
    pub step_type: StepType,
    /// Records that the step is for; all when absent. Every condition that is given must hold.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<MatchSpec>,
    /// Parameters of a Mask step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskSpec>,
    /// Parameters of a Drop step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropSpec>,
}
