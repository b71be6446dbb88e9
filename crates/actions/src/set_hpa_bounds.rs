//! Moves the bounds of a HorizontalPodAutoscaler.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::factor::Factor;
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::reference::TargetRef;
use crate::registry::scale::multiplied;
use crate::view::{TargetView, integer, object_at, target_ref};

/// Changes minReplicas or maxReplicas of the HorizontalPodAutoscaler that governs the workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetHPABounds {
    /// The wanted maxReplicas. Set at most one of maxReplicas and maxReplicasFactor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
    /// Multiplies the present maxReplicas and rounds up, such as "1.5". Between 0.1 and 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas_factor: Option<Factor>,
    /// The wanted minReplicas. Set at most one of minReplicas and minReplicasFactor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,
    /// Multiplies the present minReplicas and rounds up, such as "2". Between 0.1 and 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas_factor: Option<Factor>,
    /// Neither bound ever goes above this. At most 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub cap: i32,
}

/// Whether `hpa` scales the workload `target`.
pub(crate) fn governs(hpa: &Value, target: &TargetRef) -> bool {
    let field = |key: &str| hpa.pointer(&format!("/spec/scaleTargetRef/{key}")).and_then(Value::as_str);
    let namespace = hpa.pointer("/metadata/namespace").and_then(Value::as_str);
    field("kind") == Some(target.kind.as_str())
        && field("name") == Some(target.name.as_str())
        && namespace == Some(target.namespace.as_str())
}

impl SetHPABounds {
    /// One bound: what is asked for, or `current` when nothing is.
    fn bound(&self, fixed: Option<i32>, factor: Option<&Factor>, current: i32) -> Result<i32, PlanError> {
        match (fixed, factor) {
            (None, None) => Ok(current),
            (Some(value), None) if (1..=self.cap).contains(&value) => Ok(value),
            (Some(value), None) => Err(PlanError::OutOfBounds {
                what: "the replica bound",
                value: value.into(),
                min: 1,
                max: self.cap.into(),
            }),
            (None, Some(factor)) => Ok(multiplied(current, factor)?.clamp(1, self.cap.max(current))),
            (Some(_), Some(_)) => {
                Err(PlanError::BadParameters("set a bound by value or by factor, not both"))
            }
        }
    }
}

impl Action for SetHPABounds {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let hpa = view.hpa.as_ref().ok_or(PlanError::Missing { what: "HorizontalPodAutoscaler" })?;
        let name = target_ref(hpa)?;
        if name.kind != "HorizontalPodAutoscaler" {
            return Err(PlanError::WrongKind { action: "SetHPABounds", kind: name.kind });
        }
        if !(1..=1000).contains(&self.cap) {
            return Err(PlanError::BadParameters("cap must be between 1 and 1000"));
        }
        let old_max =
            integer(hpa, "/spec/maxReplicas").ok_or(PlanError::Malformed { what: "spec.maxReplicas" })?;
        let old_min = integer(hpa, "/spec/minReplicas").unwrap_or(1);
        let max = self.bound(self.max_replicas, self.max_replicas_factor.as_ref(), old_max)?;
        let min = self.bound(self.min_replicas, self.min_replicas_factor.as_ref(), old_min)?;
        if (max, min) == (old_max, old_min) {
            return Err(PlanError::NothingToDo(format!(
                "bounds are {old_min} to {old_max}, cap is {}",
                self.cap
            )));
        }
        if min > max {
            return Err(PlanError::OutOfBounds {
                what: "minReplicas",
                value: min.into(),
                min: 1,
                max: max.into(),
            });
        }
        let mut after = hpa.clone();
        let spec = object_at(&mut after, &["spec"])?;
        if min != old_min {
            spec.insert("minReplicas".into(), Value::from(min));
        }
        if max != old_max {
            spec.insert("maxReplicas".into(), Value::from(max));
        }
        let risk = if max < old_max || min < old_min { Risk::Medium } else { Risk::Low };
        let summary = format!("Set the bounds of {name} from {old_min}..{old_max} to {min}..{max}");
        Plan::patches(&[(hpa, after)], risk, summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn raise(factor: &str, cap: i32) -> SetHPABounds {
        SetHPABounds { max_replicas_factor: Some(Factor::parse(factor).unwrap()), cap, ..Default::default() }
    }

    #[test]
    fn raises_the_ceiling() {
        let view = TargetView { hpa: Some(fixture::hpa(2, 20)), ..fixture::view() };
        let plan = raise("1.5", 60).plan(&view).unwrap();
        assert_eq!(
            plan.diff,
            "HorizontalPodAutoscaler/shop/checkout\n  spec:\n-   maxReplicas: 20\n+   maxReplicas: 30\n"
        );
        assert_eq!(plan.risk, Risk::Low);
        fixture::restores(&plan, &view);
    }

    #[test]
    fn refuses_what_is_out_of_bounds() {
        let view = TargetView { hpa: Some(fixture::hpa(2, 20)), ..fixture::view() };
        let fixed =
            |min, max| SetHPABounds { min_replicas: min, max_replicas: max, cap: 60, ..Default::default() };
        for (spec, category) in [
            (raise("1.5", 20), "NothingToDo"),
            (raise("20", 60), "BadParameters"),
            (raise("1.5", 4000), "BadParameters"),
            (fixed(None, Some(61)), "OutOfBounds"),
            (fixed(Some(30), None), "OutOfBounds"),
            (fixed(None, Some(0)), "OutOfBounds"),
            (fixed(None, None), "NothingToDo"),
        ] {
            assert_eq!(spec.plan(&view).unwrap_err().category(), category, "{spec:?}");
        }
        assert_eq!(raise("1.5", 60).plan(&fixture::view()).unwrap_err().category(), "TargetMissing");
    }

    #[test]
    fn never_lowers_a_bound_that_is_already_above_the_cap() {
        let view = TargetView { hpa: Some(fixture::hpa(2, 80)), ..fixture::view() };
        assert_eq!(raise("1.5", 60).plan(&view).unwrap_err().category(), "NothingToDo");
    }
}
