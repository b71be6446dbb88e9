//! Removes one faulty pod at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mutation::{Mutation, PodMutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::evict_pod::{faulty_pod, removal};
use crate::view::{Reads, TargetView};

/// Deletes the pod that is the target, or of a workload the pod that is not ready (the one with the most restarts first).
/// Its controller makes another. No PodDisruptionBudget is asked: use EvictPod where the pod still serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletePod {}

impl Action for DeletePod {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let target = faulty_pod(view)?;
        Ok(removal(&target, Mutation::Delete(PodMutation { target: target.clone() }), "Delete"))
    }

    fn reads(&self) -> Vec<Reads> {
        vec![Reads::Pods]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn pins_the_pod_by_its_uid() {
        let pods = vec![fixture::pod("a", true, 0), fixture::pod("b", false, 1)];
        let plan = DeletePod {}.plan(&TargetView { pods, ..fixture::view() }).unwrap();
        assert!(matches!(&plan.mutations[..], [Mutation::Delete(pod)] if pod.target.uid == "uid-b"), "{plan:?}");
        assert_eq!(plan.diff, "Pod/shop/b\n- removed; its controller makes another\n");
        assert_eq!(DeletePod {}.plan(&fixture::view()).unwrap_err().category(), "NothingToDo");
    }
}
