//! What an action returns, and the trait that it implements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diff;
use crate::inverse::Inverse;
use crate::mutation::{JsonPatch, Mutation};
use crate::view::{Reads, TargetView, target_ref};

/// How much can go wrong.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Risk {
    /// Capacity is added or instances are replaced within the rollout's own limits.
    #[default]
    Low,
    /// The version or the configuration in use changes, or capacity is taken away.
    Medium,
    /// The effect is not known to Causeway.
    High,
}

impl Risk {
    /// The name as it stands in specs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// What would be done, how it is taken back, and what a person reads before approving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Applied in this order, one claim each. Never empty.
    pub mutations: Vec<Mutation>,
    /// How the whole plan is taken back.
    pub inverse: Inverse,
    /// The change as an indented YAML-like diff.
    pub diff: String,
    /// Risk with these parameters on this target.
    pub risk: Risk,
    /// One sentence.
    pub summary: String,
}

/// An action that can be planned.
pub trait Action {
    /// Risk before the target is known.
    const RISK: Risk;
    /// Whether its plans can be taken back.
    const REVERSIBLE: bool;

    /// Plans the action. Pure: equal views give equal plans.
    ///
    /// # Errors
    /// The reason why it can't or must not be done.
    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError>;

    /// What the view must show besides what every view shows.
    fn reads(&self) -> Vec<Reads> {
        Vec::new()
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The view lacks an object that the action needs.
    #[error("the {what} of the target is not there")]
    Missing {
        /// Which object.
        what: &'static str,
    },
    /// A live object has not the shape that its kind promises.
    #[error("the live object has no usable {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// The action is not defined for this kind of object.
    #[error("{action} can't act on a {kind}")]
    WrongKind {
        /// The action.
        action: &'static str,
        /// The kind that was found.
        kind: String,
    },
    /// A parameter, or what it leads to, is outside of its bounds.
    #[error("{what} would be {value}, allowed is {min} to {max}")]
    OutOfBounds {
        /// What is bounded.
        what: &'static str,
        /// The value.
        value: i64,
        /// Lowest allowed value.
        min: i64,
        /// Highest allowed value.
        max: i64,
    },
    /// Parameters contradict each other.
    #[error("{0}")]
    BadParameters(&'static str),
    /// A value names a parameter that has no value.
    #[error("the parameter {0} has no value")]
    NoParameter(String),
    /// The target is already in the wanted state.
    #[error("nothing to do: {0}")]
    NothingToDo(String),
    /// There is no older state to go back to.
    #[error("no earlier {what} is known")]
    NoHistory {
        /// Of what.
        what: &'static str,
    },
    /// Doing it could do harm that can't be taken back.
    #[error("refused: {0}")]
    Unsafe(String),
}

impl PlanError {
    /// A stable word for metrics, events and reasons.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "TargetMissing",
            Self::Malformed { .. } => "TargetMalformed",
            Self::WrongKind { .. } => "WrongTargetKind",
            Self::OutOfBounds { .. } => "OutOfBounds",
            Self::BadParameters(_) | Self::NoParameter(_) => "BadParameters",
            Self::NothingToDo(_) => "NothingToDo",
            Self::NoHistory { .. } => "NoHistory",
            Self::Unsafe(_) => "Unsafe",
        }
    }
}

impl Plan {
    /// Digest of what would be done and how it is taken back; the text for readers is not part of it.
    pub fn digest(&self) -> String {
        crate::digest::plan_digest(&self.mutations, &self.inverse)
    }

    /// A plan of JSON Patches that lead from each `before` to its `after`, in order; the inverse runs backwards.
    ///
    /// # Errors
    /// An object without identity, or no difference at all.
    pub(crate) fn patches(
        changes: &[(&Value, Value)],
        risk: Risk,
        summary: String,
    ) -> Result<Self, PlanError> {
        let (mut mutations, mut back, mut text) = (Vec::new(), Vec::new(), String::new());
        for (before, after) in changes {
            let target = target_ref(before)?;
            let operations = diff::operations(before, after);
            if operations.is_empty() {
                continue;
            }
            text.push_str(&diff::render(&target, before, after));
            let patch = |operations: Vec<Value>| {
                Mutation::JsonPatch(JsonPatch {
                    target: target.clone(),
                    patch: Value::Array(operations).to_string(),
                })
            };
            mutations.push(patch(operations));
            back.push(patch(diff::operations(after, before)));
        }
        if mutations.is_empty() {
            return Err(PlanError::NothingToDo("the target already has these values".into()));
        }
        back.reverse();
        Ok(Self { mutations, inverse: Inverse::Mutations(back), diff: text, risk, summary })
    }
}
