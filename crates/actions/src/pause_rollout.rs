//! Holds a rollout that is under way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{TargetView, object_at, target_ref};

/// Pauses the rollout of a Deployment, so that no more instances get the new release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseRollout {}

impl Action for PauseRollout {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        set_paused(view, true)
    }
}

/// Sets or takes away `spec.paused`.
pub(crate) fn set_paused(view: &TargetView, wanted: bool) -> Result<Plan, PlanError> {
    let workload = view.workload()?;
    let target = target_ref(workload)?;
    if target.kind != "Deployment" {
        let action = if wanted { "PauseRollout" } else { "ResumeRollout" };
        return Err(PlanError::WrongKind { action, kind: target.kind });
    }
    let is_paused = workload.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    if is_paused == wanted {
        let state = if wanted { "is paused already" } else { "is not paused" };
        return Err(PlanError::NothingToDo(format!("the rollout {state}")));
    }
    let mut after = workload.clone();
    let spec = object_at(&mut after, &["spec"])?;
    if wanted {
        spec.insert("paused".into(), Value::Bool(true));
    } else {
        // The API server leaves a false away.
        spec.shift_remove("paused");
    }
    let (word, risk) = if wanted { ("Pause", Risk::Low) } else { ("Resume", Risk::Medium) };
    Plan::patches(&[(workload, after)], risk, format!("{word} the rollout of {target}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn pauses_what_is_not_paused_and_can_return() {
        let mut view = fixture::view();
        let plan = PauseRollout {}.plan(&view).unwrap();
        assert_eq!(plan.diff, "Deployment/shop/checkout\n  spec:\n+   paused: true\n");
        fixture::restores(&plan, &view);
        view.workload.as_mut().unwrap()["spec"]["paused"] = Value::Bool(true);
        assert_eq!(PauseRollout {}.plan(&view).unwrap_err().category(), "NothingToDo");
        view.workload.as_mut().unwrap()["kind"] = "StatefulSet".into();
        assert_eq!(PauseRollout {}.plan(&view).unwrap_err().category(), "WrongTargetKind");
    }
}
