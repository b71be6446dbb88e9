//! Asks one faulty pod to leave, within what its PodDisruptionBudget allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inverse::Inverse;
use crate::mutation::{Mutation, PodMutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::reference::TargetRef;
use crate::view::{Reads, TargetView, target_ref};

/// Evicts the pod that is the target, or of a workload the pod that is not ready (the one with the most restarts first).
/// The controller of the pod makes another. A PodDisruptionBudget may hold it up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvictPod {}

impl Action for EvictPod {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let target = faulty_pod(view)?;
        Ok(removal(&target, Mutation::Evict(PodMutation { target: target.clone() }), "Evict"))
    }

    fn reads(&self) -> Vec<Reads> {
        vec![Reads::Pods]
    }
}

/// The plan that removes one pod: nothing has to be restored, because its controller makes another.
pub(crate) fn removal(target: &TargetRef, mutation: Mutation, word: &str) -> Plan {
    Plan {
        mutations: vec![mutation],
        inverse: Inverse::NotNeeded,
        diff: format!("{target}\n- removed; its controller makes another\n"),
        risk: Risk::Low,
        summary: format!("{word} {target}, so that its controller makes another"),
    }
}

/// The pod that is acted on.
pub(crate) fn faulty_pod(view: &TargetView) -> Result<TargetRef, PlanError> {
    let pod = match &view.workload {
        None => view.pods.first().ok_or(PlanError::Missing { what: "pod" })?,
        Some(_) => {
            let mut candidates: Vec<&Value> =
                view.pods.iter().filter(|pod| !is_leaving(pod) && !is_ready(pod)).collect();
            candidates.sort_by_key(|pod| (std::cmp::Reverse(restarts(pod)), name(pod)));
            *candidates
                .first()
                .ok_or_else(|| PlanError::NothingToDo("every pod of the workload is ready".into()))?
        }
    };
    if is_leaving(pod) {
        return Err(PlanError::NothingToDo("the pod is being removed already".into()));
    }
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled = owners
        .is_some_and(|o| o.iter().any(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true)));
    if !controlled {
        return Err(PlanError::Unsafe("the pod has no controller that would make another".into()));
    }
    target_ref(pod)
}

fn is_leaving(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// Whether the pod serves, by its condition Ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|list| {
        list.iter().any(|c| {
            c.get("type").and_then(Value::as_str) == Some("Ready")
                && c.get("status").and_then(Value::as_str) == Some("True")
        })
    })
}

fn restarts(pod: &Value) -> i64 {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let counts = statuses.into_iter().flatten().filter_map(|s| s.get("restartCount").and_then(Value::as_i64));
    counts.max().unwrap_or(0)
}

fn name(pod: &Value) -> &str {
    pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn takes_the_pod_that_is_worst() {
        let pods = vec![
            fixture::pod("a", true, 9),
            fixture::pod("b", false, 2),
            fixture::pod("c", false, 5),
            fixture::pod("d", false, 5),
        ];
        let view = TargetView { pods, ..fixture::view() };
        let plan = EvictPod {}.plan(&view).unwrap();
        assert_eq!(plan.summary, "Evict Pod/shop/c, so that its controller makes another");
        assert_eq!(plan.inverse, Inverse::NotNeeded);
        let reversed = TargetView { pods: view.pods.iter().rev().cloned().collect(), ..view };
        assert_eq!(EvictPod {}.plan(&reversed).unwrap().digest(), plan.digest());
    }

    #[test]
    fn leaves_healthy_bare_and_leaving_pods_alone() {
        let plan = |pods: Vec<Value>| EvictPod {}.plan(&TargetView { pods, ..fixture::view() });
        assert_eq!(plan(vec![fixture::pod("a", true, 0)]).unwrap_err().category(), "NothingToDo");
        let mut bare = fixture::pod("a", false, 0);
        bare["metadata"]["ownerReferences"] = Value::Array(Vec::new());
        assert_eq!(plan(vec![bare]).unwrap_err().category(), "Unsafe");
        let mut leaving = fixture::pod("a", false, 0);
        leaving["metadata"]["deletionTimestamp"] = "2026-11-27T20:00:00Z".into();
        assert_eq!(plan(vec![leaving]).unwrap_err().category(), "NothingToDo");
        let named = TargetView { workload: None, pods: vec![fixture::pod("a", true, 0)], ..fixture::view() };
        assert!(EvictPod {}.plan(&named).is_ok(), "a pod that is the target is known to be faulty");
        assert_eq!(EvictPod {}.reads(), [Reads::Pods]);
    }
}
