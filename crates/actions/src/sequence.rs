//! Several actions as one plan.

use serde_json::Value;

use crate::inverse::Inverse;
use crate::mutation::Mutation;
use crate::plan::{Plan, PlanError, Risk};
use crate::registry::ActionSpec;
use crate::view::{TargetView, object_at};

/// Plans the actions in order, each on what the ones before it leave, and joins them: all mutations forth, all inverses
/// backwards, the highest risk.
///
/// # Errors
/// The first action that can't be planned; [`PlanError::BadParameters`] without any action.
pub fn plan_sequence(actions: &[ActionSpec], view: &TargetView) -> Result<Plan, PlanError> {
    let mut world = view.clone();
    let mut joined: Option<Plan> = None;
    for action in actions {
        let plan = action.plan(&world)?;
        for mutation in &plan.mutations {
            apply(mutation, &mut world)?;
        }
        joined = Some(match joined {
            None => plan,
            Some(before) => join(before, plan),
        });
    }
    let plan = joined.ok_or(PlanError::BadParameters("a runbook needs at least one step"))?;
    if plan.mutations.iter().all(|mutation| matches!(mutation, Mutation::Wait(_))) {
        return Err(PlanError::NothingToDo("a rest changes nothing".into()));
    }
    Ok(plan)
}

fn join(before: Plan, after: Plan) -> Plan {
    let inverse = match (before.inverse, after.inverse) {
        (Inverse::None, _) | (_, Inverse::None) => Inverse::None,
        (Inverse::NotNeeded, other) | (other, Inverse::NotNeeded) => other,
        (Inverse::Mutations(first), Inverse::Mutations(second)) => {
            Inverse::Mutations(second.into_iter().chain(first).collect())
        }
    };
    Plan {
        mutations: before.mutations.into_iter().chain(after.mutations).collect(),
        inverse,
        diff: before.diff + &after.diff,
        risk: Risk::max(before.risk, after.risk),
        summary: format!("{}; {}", before.summary, after.summary),
    }
}

/// Carries a mutation out on the view's copy of its target.
fn apply(mutation: &Mutation, view: &mut TargetView) -> Result<(), PlanError> {
    let uid = mutation.target().uid.as_str();
    let has_uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid);
    for object in view.objects_mut().filter(|object| has_uid(object)) {
        match mutation {
            Mutation::JsonPatch(patch) => {
                let malformed = PlanError::Malformed { what: "state for the next step" };
                let operations = patch.operations().map_err(|_| malformed.clone())?;
                json_patch::patch(object, &operations).map_err(|_| malformed)?;
            }
            Mutation::Scale(scale) => {
                object_at(object, &["spec"])?.insert("replicas".into(), Value::from(scale.to));
            }
            // They change no object that a later step plans on.
            Mutation::Webhook(_)
            | Mutation::Delete(_)
            | Mutation::Evict(_)
            | Mutation::Drain(_)
            | Mutation::CreateJob(_)
            | Mutation::Wait(_)
            | Mutation::GitChange(_)
            | Mutation::AwaitFields(_)
            | Mutation::FlagChange(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::registry::{RolloutRestart, RolloutUndo, Scale};

    fn scale(replicas: i32) -> ActionSpec {
        ActionSpec::Scale(Scale { replicas: Some(replicas), factor: None, min: 1, max: 20 })
    }

    #[test]
    fn each_step_sees_what_the_one_before_leaves() {
        let view = fixture::view();
        let plan =
            plan_sequence(&[scale(5), scale(9), ActionSpec::RolloutUndo(RolloutUndo::default())], &view)
                .unwrap();
        assert_eq!(plan.mutations.len(), 3);
        assert_eq!(plan.risk, Risk::Medium);
        fixture::restores(&plan, &view);
    }

    #[test]
    fn the_weakest_inverse_counts() {
        let view = fixture::view();
        let restart = ActionSpec::RolloutRestart(RolloutRestart {});
        let both = plan_sequence(&[restart.clone(), scale(5)], &view).unwrap();
        assert!(matches!(&both.inverse, Inverse::Mutations(back) if back.len() == 1));
        assert_eq!(plan_sequence(&[restart], &view).unwrap().inverse, Inverse::NotNeeded);
    }

    #[test]
    fn one_step_that_can_not_be_planned_refuses_all() {
        let view = fixture::view();
        assert_eq!(plan_sequence(&[scale(5), scale(5)], &view).unwrap_err().category(), "NothingToDo");
        assert_eq!(plan_sequence(&[], &view).unwrap_err().category(), "BadParameters");
    }
}
