//! Lets a paused rollout go on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::pause_rollout::set_paused;
use crate::view::TargetView;

/// Resumes the rollout of a Deployment that somebody paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumeRollout {}

impl Action for ResumeRollout {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        set_paused(view, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::Value;

    #[test]
    fn resumes_what_is_paused_and_can_return() {
        let mut view = fixture::view();
        assert_eq!(ResumeRollout {}.plan(&view).unwrap_err().category(), "NothingToDo");
        view.workload.as_mut().unwrap()["spec"]["paused"] = Value::Bool(true);
        let plan = ResumeRollout {}.plan(&view).unwrap();
        assert_eq!(plan.diff, "Deployment/shop/checkout\n  spec:\n-   paused: true\n");
        assert_eq!(plan.risk, Risk::Medium);
        fixture::restores(&plan, &view);
    }
}
