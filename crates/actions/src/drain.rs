//! Moves all pods away from a node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mutation::{DrainMutation, Mutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::cordon::{Cordon, is_cordoned};
use crate::view::{TargetView, target_ref};

/// Cordons a node and evicts its pods but those of DaemonSets and static ones, within what PodDisruptionBudgets allow.
/// Taking it back makes the node schedulable again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// With more pods than this on the node nothing is evicted.
    #[schemars(range(min = 1, max = 500))]
    pub max_pods: i32,
    /// The node must be empty after so many minutes; otherwise the step has failed.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 60))]
    pub within_minutes: i32,
}

fn fifteen() -> i32 {
    15
}

impl Action for Drain {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let node = view.node.as_ref().ok_or(PlanError::Missing { what: "Node" })?;
        let target = target_ref(node)?;
        for (what, value, max) in
            [("maxPods", self.max_pods, 500), ("withinMinutes", self.within_minutes, 60)]
        {
            if !(1..=max).contains(&value) {
                return Err(PlanError::OutOfBounds { what, value: value.into(), min: 1, max: max.into() });
            }
        }
        if is_cordoned(node) {
            return Err(PlanError::Unsafe("somebody has cordoned the node already and may be at it".into()));
        }
        let mut plan = Cordon {}.plan(view)?;
        plan.diff.push_str(&format!("- its pods, at most {}, are evicted\n", self.max_pods));
        plan.summary = format!("Move all pods away from {target}");
        plan.risk = Risk::Medium;
        plan.mutations.push(Mutation::Drain(DrainMutation {
            target,
            max_pods: self.max_pods,
            within_minutes: self.within_minutes,
        }));
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::Value;

    #[test]
    fn cordons_first_and_its_inverse_is_uncordon() {
        let mut view = fixture::node_view();
        let drain = Drain { max_pods: 40, within_minutes: 15 };
        let plan = drain.plan(&view).unwrap();
        assert!(matches!(&plan.mutations[..], [Mutation::JsonPatch(_), Mutation::Drain(d)] if d.max_pods == 40));
        assert!(plan.diff.ends_with("- its pods, at most 40, are evicted\n"), "{}", plan.diff);
        fixture::restores(&plan, &view);
        assert_eq!(Drain { max_pods: 0, ..drain.clone() }.plan(&view).unwrap_err().category(), "OutOfBounds");
        assert_eq!(Drain { within_minutes: 61, ..drain.clone() }.plan(&view).unwrap_err().category(), "OutOfBounds");
        view.node.as_mut().unwrap()["spec"]["unschedulable"] = Value::Bool(true);
        assert_eq!(drain.plan(&view).unwrap_err().category(), "Unsafe");
    }
}
