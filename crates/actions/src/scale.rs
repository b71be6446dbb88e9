//! Adds or removes replicas of a workload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::factor::Factor;
use crate::diff;
use crate::inverse::Inverse;
use crate::mutation::{Mutation, ScaleMutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::set_hpa_bounds;
use crate::view::{TargetView, integer, object_at, target_ref};

/// Changes the number of replicas of a Deployment or StatefulSet. Where a HorizontalPodAutoscaler governs it, its bounds
/// are changed instead, so that the two do not fight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The wanted number of replicas. Set this or factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<i32>,
    /// Multiplies the present number and rounds up, such as "1.5". Between 0.1 and 10. Set this or replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Factor>,
    /// Never go below. At least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
    /// Never go above. At most 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
}

fn one() -> i32 {
    1
}

impl Scale {
    /// The number of replicas that `current` leads to, within the bounds.
    fn wanted(&self, current: i32) -> Result<i32, PlanError> {
        let (min, max) = (self.min, self.max);
        if !(1..=1000).contains(&min) || !(1..=1000).contains(&max) || min > max {
            return Err(PlanError::BadParameters("bounds must satisfy 1 <= min <= max <= 1000"));
        }
        let wanted = match (self.replicas, &self.factor) {
            (Some(replicas), None) if (min..=max).contains(&replicas) => replicas,
            (Some(replicas), None) => {
                return Err(PlanError::OutOfBounds {
                    what: "replicas",
                    value: replicas.into(),
                    min: min.into(),
                    max: max.into(),
                });
            }
            (None, Some(factor)) => multiplied(current, factor)?.clamp(min, max),
            _ => return Err(PlanError::BadParameters("set exactly one of replicas and factor")),
        };
        let grows = self.factor.as_ref().is_some_and(|factor| factor.value().is_ok_and(|n| n > 1.0));
        if wanted == current || (grows && wanted < current) {
            return Err(PlanError::NothingToDo(format!("{current} replicas, the bounds are {min} to {max}")));
        }
        Ok(wanted)
    }
}

/// `value * factor`, rounded up.
///
/// # Errors
/// A factor outside of 0.1 to 10.
pub(crate) fn multiplied(value: i32, factor: &Factor) -> Result<i32, PlanError> {
    let number = factor.value()?;
    if !(0.1..=10.0).contains(&number) {
        return Err(PlanError::BadParameters("a factor must be between 0.1 and 10"));
    }
    // The small term keeps 10 * 1.1 at 11 although the product is a hair above it.
    Ok((f64::from(value) * number - 1e-9).ceil().min(1e6) as i32)
}

impl Action for Scale {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let workload = view.workload()?;
        let target = target_ref(workload)?;
        if !matches!(target.kind.as_str(), "Deployment" | "StatefulSet") {
            return Err(PlanError::WrongKind { action: "Scale", kind: target.kind });
        }
        let current = integer(workload, "/spec/replicas").unwrap_or(1);
        let wanted = self.wanted(current)?;
        let risk = if wanted < current { Risk::Medium } else { Risk::Low };
        if let Some(hpa) = view.hpa.as_ref().filter(|hpa| set_hpa_bounds::governs(hpa, &target)) {
            return through_hpa(hpa, current, wanted, risk);
        }
        let mut after = workload.clone();
        object_at(&mut after, &["spec"])?.insert("replicas".into(), Value::from(wanted));
        let step = |from, to| Mutation::Scale(ScaleMutation { target: target.clone(), from, to });
        Ok(Plan {
            mutations: vec![step(current, wanted)],
            inverse: Inverse::Mutations(vec![step(wanted, current)]),
            diff: diff::render(&target, workload, &after),
            risk,
            summary: format!("Scale {target} from {current} to {wanted} replicas"),
        })
    }
}

/// Moves the autoscaler's bounds so that it arrives at `wanted` by itself.
fn through_hpa(hpa: &Value, current: i32, wanted: i32, risk: Risk) -> Result<Plan, PlanError> {
    let name = target_ref(hpa)?;
    let mut after = hpa.clone();
    let spec = object_at(&mut after, &["spec"])?;
    let bound = |key: &str| {
        hpa.pointer(&format!("/spec/{key}")).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
    };
    if wanted > current {
        if bound("minReplicas").unwrap_or(1) < wanted {
            spec.insert("minReplicas".into(), Value::from(wanted));
        }
        if bound("maxReplicas").unwrap_or(1) < wanted {
            spec.insert("maxReplicas".into(), Value::from(wanted));
        }
    } else {
        if bound("minReplicas").unwrap_or(1) > wanted {
            spec.insert("minReplicas".into(), Value::from(wanted));
        }
        spec.insert("maxReplicas".into(), Value::from(wanted));
    }
    let summary = format!("Move the bounds of {name}, which governs the replicas, to reach {wanted}");
    Plan::patches(&[(hpa, after)], risk, summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn scale(factor: &str, max: i32) -> Scale {
        Scale { replicas: None, factor: Some(Factor::parse(factor).unwrap()), min: 1, max }
    }

    #[test]
    fn multiplies_rounds_up_and_stays_within_bounds() {
        for (replicas, factor, max, want) in
            [(3, "1.5", 10, 5), (10, "1.1", 20, 11), (8, "2", 10, 10), (4, "0.5", 10, 2)]
        {
            let mut view = fixture::view();
            *view.workload.as_mut().unwrap().pointer_mut("/spec/replicas").unwrap() = Value::from(replicas);
            let plan = scale(factor, max).plan(&view).unwrap();
            let Mutation::Scale(step) = &plan.mutations[0] else { panic!("{plan:?}") };
            assert_eq!((step.from, step.to), (replicas, want));
            fixture::restores(&plan, &view);
        }
    }

    #[test]
    fn refuses_what_is_out_of_bounds() {
        let view = fixture::view();
        for (spec, category) in [
            (Scale { replicas: Some(50), factor: None, min: 1, max: 10 }, "OutOfBounds"),
            (Scale { replicas: Some(0), factor: None, min: 1, max: 10 }, "OutOfBounds"),
            (Scale { replicas: None, factor: None, min: 1, max: 10 }, "BadParameters"),
            (Scale { replicas: Some(2), factor: None, min: 5, max: 4 }, "BadParameters"),
            (Scale { replicas: Some(2), factor: None, min: 0, max: 4000 }, "BadParameters"),
            (scale("11", 10), "BadParameters"),
            (scale("0", 10), "BadParameters"),
            (scale("1.5", 3), "NothingToDo"),
            (scale("1.5", 2), "NothingToDo"),
        ] {
            assert_eq!(spec.plan(&view).unwrap_err().category(), category, "{spec:?}");
        }
    }

    #[test]
    fn moves_the_bounds_of_the_autoscaler_that_governs() {
        let view = TargetView { hpa: Some(fixture::hpa(2, 4)), ..fixture::view() };
        let plan = scale("2", 10).plan(&view).unwrap();
        assert_eq!(
            plan.diff,
            "HorizontalPodAutoscaler/shop/checkout\n  spec:\n-   minReplicas: 2\n+   minReplicas: 6\n-   maxReplicas: 4\n+   maxReplicas: 6\n"
        );
        fixture::restores(&plan, &view);
    }

    proptest::proptest! {
        #[test]
        fn what_is_planned_is_within_bounds_and_restored(
            current in 0i32..60, tenths in 0i32..120, replicas in proptest::option::of(-5i32..60),
            min in -2i32..20, max in -2i32..40, bounds in proptest::option::of((1i32..20, 1i32..40)),
        ) {
            let factor = replicas.is_none().then(|| Factor::from(crate::Decimal::from_f64(f64::from(tenths) / 10.0, 1)));
            let mut view = fixture::view();
            *view.workload.as_mut().unwrap().pointer_mut("/spec/replicas").unwrap() = Value::from(current);
            view.hpa = bounds.map(|(low, high)| fixture::hpa(low, high.max(low)));
            if let Ok(plan) = (Scale { replicas, factor, min, max }).plan(&view) {
                fixture::restores(&plan, &view);
                for mutation in &plan.mutations {
                    if let Mutation::Scale(step) = mutation {
                        proptest::prop_assert!(step.from == current && (min..=max).contains(&step.to));
                    }
                }
                let after = fixture::apply(&plan.mutations, &view);
                if let Some(hpa) = after.get("HorizontalPodAutoscaler") {
                    let bound = |key: &str| hpa["spec"][key].as_i64().unwrap();
                    proptest::prop_assert!(bound("minReplicas") <= bound("maxReplicas"));
                }
            }
        }
    }
}
