//! How a plan is taken back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mutation::{Mutation, UnionMismatch, schema_of_union};

/// How a plan is taken back.
///
/// A union: `type`, and `mutations` for the type of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InverseUnion", into = "InverseUnion")]
pub enum Inverse {
    /// These mutations, in this order, restore what was there.
    Mutations(Vec<Mutation>),
    /// Nothing to restore: the action leaves no lasting change (a restart).
    NotNeeded,
    /// The action can't be taken back; autonomy is capped at Approve.
    None,
}

/// Whether and how a plan can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InverseType {
    /// By mutations.
    Mutations,
    /// Nothing to restore.
    NotNeeded,
    /// Not at all.
    None,
}

const INVERSE_RULE: &str = "(self.type == 'Mutations') == has(self.mutations)";

/// An inverse as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Inverse", extend("x-kubernetes-validations" = [
    {"rule": INVERSE_RULE, "message": "mutations must be set for type Mutations, and only then"}]))]
pub struct InverseUnion {
    /// Mutations: taken back by these. NotNeeded: leaves nothing behind. None: can't be taken back.
    pub r#type: InverseType,
    /// Applied in this order to restore the old state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub mutations: Option<Vec<Mutation>>,
}

impl TryFrom<InverseUnion> for Inverse {
    type Error = UnionMismatch;
    fn try_from(union: InverseUnion) -> Result<Self, UnionMismatch> {
        match (union.r#type, union.mutations) {
            (InverseType::Mutations, Some(mutations)) => Ok(Self::Mutations(mutations)),
            (InverseType::NotNeeded, None) => Ok(Self::NotNeeded),
            (InverseType::None, None) => Ok(Self::None),
            _ => Err(UnionMismatch),
        }
    }
}

impl From<Inverse> for InverseUnion {
    fn from(inverse: Inverse) -> Self {
        match inverse {
            Inverse::Mutations(mutations) => {
                Self { r#type: InverseType::Mutations, mutations: Some(mutations) }
            }
            Inverse::NotNeeded => Self { r#type: InverseType::NotNeeded, mutations: None },
            Inverse::None => Self { r#type: InverseType::None, mutations: None },
        }
    }
}

schema_of_union!(Inverse => InverseUnion, "Inverse");
