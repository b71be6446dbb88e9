//! Replaces all instances of a workload, one by one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inverse::Inverse;
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{TargetView, object_at, target_ref};

/// The annotation that `kubectl rollout restart` writes too.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Restarts a Deployment, StatefulSet or DaemonSet by a rolling update, within the limits of its own update strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRestart {}

impl Action for RolloutRestart {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let workload = view.workload()?;
        let target = target_ref(workload)?;
        if !matches!(target.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet") {
            return Err(PlanError::WrongKind { action: "RolloutRestart", kind: target.kind });
        }
        refuse_paused(workload)?;
        if workload.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
            return Err(PlanError::Unsafe(
                "the update strategy is OnDelete, a restart would not happen".into(),
            ));
        }
        let mut after = workload.clone();
        object_at(&mut after, &["spec", "template", "metadata", "annotations"])?
            .insert(RESTARTED_AT.into(), Value::from(view.now.to_string()));
        let plan =
            Plan::patches(&[(workload, after)], Risk::Low, format!("Restart {target} by a rolling update"))?;
        Ok(Plan { inverse: Inverse::NotNeeded, ..plan })
    }
}

/// Refuses a Deployment whose rollout is paused: the change would lie there unnoticed until somebody resumes it.
pub(crate) fn refuse_paused(workload: &Value) -> Result<(), PlanError> {
    match workload.pointer("/spec/paused").and_then(Value::as_bool) {
        Some(true) => Err(PlanError::Unsafe("the rollout is paused".into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::mutation::Mutation;

    #[test]
    fn writes_the_annotation_of_kubectl_and_needs_no_inverse() {
        let view = fixture::view();
        let plan = RolloutRestart {}.plan(&view).unwrap();
        assert_eq!(plan.inverse, Inverse::NotNeeded);
        assert!(
            plan.diff.contains("+         kubectl.kubernetes.io/restartedAt: \"2026-11-27T20:00:00Z\""),
            "{}",
            plan.diff
        );
        let live = fixture::apply(&plan.mutations, &view);
        assert_eq!(
            live["Deployment"]["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT],
            "2026-11-27T20:00:00Z"
        );
        assert!(matches!(plan.mutations[..], [Mutation::JsonPatch(_)]));
    }

    #[test]
    fn equal_views_give_equal_digests_and_another_time_another() {
        let view = fixture::view();
        let digest = |view: &TargetView| RolloutRestart {}.plan(view).unwrap().digest();
        assert_eq!(digest(&view), digest(&view.clone()));
        assert_ne!(
            digest(&view),
            digest(&TargetView { now: "2026-11-27T20:00:01Z".parse().unwrap(), ..view })
        );
    }

    #[test]
    fn refuses_paused_on_delete_and_other_kinds() {
        for (pointer, value, category) in [
            ("/spec/paused", serde_json::json!(true), "Unsafe"),
            ("/spec/updateStrategy", serde_json::json!({"type": "OnDelete"}), "Unsafe"),
            ("/kind", serde_json::json!("Job"), "WrongTargetKind"),
            ("/metadata/uid", serde_json::json!(""), "TargetMalformed"),
        ] {
            let mut view = fixture::view();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            view.workload.as_mut().unwrap().pointer_mut(parent).unwrap()[key] = value;
            assert_eq!(RolloutRestart {}.plan(&view).unwrap_err().category(), category, "{pointer}");
        }
        let nothing = TargetView::empty("r", view_time());
        assert_eq!(RolloutRestart {}.plan(&nothing).unwrap_err().category(), "TargetMissing");
    }

    fn view_time() -> jiff::Timestamp {
        "2026-11-27T20:00:00Z".parse().unwrap()
    }
}
