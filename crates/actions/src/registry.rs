//! The list of actions. One line here and one file make an action.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decimal::Decimal;
use crate::factor::PARAMETER;
use crate::mutation::UnionMismatch;
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{Reads, TargetView};

/// Expands the list of actions to their modules, the union that specs carry, and the dispatch.
macro_rules! registry {
    ($($file:literal $module:ident :: $action:ident as $member:literal),+ $(,)?) => {
        $(#[path = $file] pub mod $module;)+
        $(pub use $module::$action;)+

        /// Which action: the value of `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum ActionKind {
            $(#[doc = concat!("See [`", stringify!($action), "`].")] $action,)+
        }

        impl ActionKind {
            /// Every action there is.
            pub const ALL: &[Self] = &[$(Self::$action),+];

            /// The name as it stands in `type`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$action => stringify!($action),)+ }
            }
        }

        /// One typed action with its parameters.
        ///
        /// A union: `type` and the member of that name.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "ActionUnion", into = "ActionUnion")]
        pub enum ActionSpec {
            $(#[doc = concat!("See [`", stringify!($action), "`].")] $action($action),)+
        }

        const UNION_RULE: &str =
            concat!("true", $(" && (self.type == '", stringify!($action), "') == has(self.", $member, ")"),+);

        /// An action as it is written: `type` and the member of that name.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[schemars(rename = "ActionSpec", extend("x-kubernetes-validations" = [
            {"rule": UNION_RULE, "message": "exactly the member named by type must be set"}]))]
        pub struct ActionUnion {
            /// Which action this is.
            pub r#type: ActionKind,
            $(
                #[doc = concat!("Parameters of `type: ", stringify!($action), "`.")]
                #[serde(rename = $member, default, skip_serializing_if = "Option::is_none")]
                pub $module: Option<$action>,
            )+
        }

        impl TryFrom<ActionUnion> for ActionSpec {
            type Error = UnionMismatch;
            fn try_from(mut union: ActionUnion) -> Result<Self, UnionMismatch> {
                let kind = union.r#type;
                let found = match kind {
                    $(ActionKind::$action => union.$module.take().map(Self::$action),)+
                };
                let nothing_else = true $(&& union.$module.is_none())+;
                found.filter(|_| nothing_else).ok_or(UnionMismatch)
            }
        }

        impl From<ActionSpec> for ActionUnion {
            fn from(spec: ActionSpec) -> Self {
                let mut union = Self { r#type: spec.kind(), $($module: None,)+ };
                match spec {
                    $(ActionSpec::$action(action) => union.$module = Some(action),)+
                }
                union
            }
        }

        impl ActionSpec {
            /// Which action this is.
            pub fn kind(&self) -> ActionKind {
                match self { $(Self::$action(_) => ActionKind::$action,)+ }
            }

            /// Plans the action against what is live now. Changes nothing.
            ///
            /// # Errors
            /// The reason why the action can't or must not be done on this target.
            pub fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
                match self { $(Self::$action(action) => action.plan(view),)+ }
            }

            /// What the view must show for it besides what every view shows.
            pub fn reads(&self) -> Vec<Reads> {
                match self { $(Self::$action(action) => action.reads(),)+ }
            }

            /// The risk that the action has before its parameters are known.
            pub fn risk(&self) -> Risk {
                match self { $(Self::$action(_) => <$action as Action>::RISK,)+ }
            }

            /// Whether a plan of this action comes with a way back (mutations, or nothing to restore).
            pub fn reversible(&self) -> bool {
                match self { $(Self::$action(_) => <$action as Action>::REVERSIBLE,)+ }
            }
        }
    };
}

registry! {
    "scale.rs" scale::Scale as "scale",
    "rollout_restart.rs" rollout_restart::RolloutRestart as "rolloutRestart",
    "rollout_undo.rs" rollout_undo::RolloutUndo as "rolloutUndo",
    "revert_config_map.rs" revert_config_map::RevertConfigMap as "revertConfigMap",
    "set_hpa_bounds.rs" set_hpa_bounds::SetHPABounds as "setHPABounds",
    "call_webhook.rs" call_webhook::CallWebhook as "callWebhook",
    "pause_rollout.rs" pause_rollout::PauseRollout as "pauseRollout",
    "resume_rollout.rs" resume_rollout::ResumeRollout as "resumeRollout",
    "patch_resources.rs" patch_resources::PatchResources as "patchResources",
    "revert_secret_reference.rs" revert_secret_reference::RevertSecretReference as "revertSecretReference",
    "delete_pod.rs" delete_pod::DeletePod as "deletePod",
    "evict_pod.rs" evict_pod::EvictPod as "evictPod",
    "cordon.rs" cordon::Cordon as "cordon",
    "drain.rs" drain::Drain as "drain",
    "run_job.rs" run_job::RunJob as "runJob",
    "set_feature_flag.rs" set_feature_flag::SetFeatureFlag as "setFeatureFlag",
    "wait.rs" wait::Wait as "wait",
}

crate::mutation::schema_of_union!(ActionSpec => ActionUnion, "ActionSpec");

impl ActionSpec {
    /// The action with every value `params.NAME` replaced by the value of that parameter.
    ///
    /// # Errors
    /// [`PlanError::NoParameter`] for a parameter without a value; [`PlanError::BadParameters`] if a field can't take it.
    pub fn with_parameters(&self, values: &BTreeMap<String, Decimal>) -> Result<Self, PlanError> {
        let unfit = |_| PlanError::BadParameters("a parameter stands where no number can");
        let mut written = serde_json::to_value(self).map_err(unfit)?;
        substitute(&mut written, values)?;
        serde_json::from_value(written).map_err(unfit)
    }
}

fn substitute(value: &mut Value, values: &BTreeMap<String, Decimal>) -> Result<(), PlanError> {
    match value {
        Value::String(text) => {
            let Some(name) = text.strip_prefix(PARAMETER) else { return Ok(()) };
            let found = values.get(name).ok_or_else(|| PlanError::NoParameter(name.to_owned()))?;
            *text = found.as_str().to_owned();
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, values)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| substitute(field, values)),
        _ => Ok(()),
    }
}

impl std::fmt::Display for ActionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
