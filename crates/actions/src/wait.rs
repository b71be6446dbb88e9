//! Rests between two steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inverse::Inverse;
use crate::mutation::{Mutation, WaitMutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{TargetView, target_ref};

/// Waits before the next step, by the clock. Guards are asked again before the next step is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// How long, in seconds.
    #[schemars(range(min = 1, max = 1800))]
    pub seconds: i32,
}

impl Action for Wait {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let target = target_ref(view.subject()?)?;
        let seconds = self.seconds;
        if !(1..=1800).contains(&seconds) {
            return Err(PlanError::OutOfBounds { what: "seconds", value: seconds.into(), min: 1, max: 1800 });
        }
        Ok(Plan {
            mutations: vec![Mutation::Wait(WaitMutation { target, seconds })],
            inverse: Inverse::NotNeeded,
            diff: format!("wait {seconds} s\n"),
            risk: Risk::Low,
            summary: format!("Wait {seconds} s"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::registry::{ActionSpec, Scale};
    use crate::sequence::plan_sequence;

    #[test]
    fn stands_between_steps_and_never_alone() {
        let view = fixture::view();
        let wait = ActionSpec::Wait(Wait { seconds: 60 });
        let grow = ActionSpec::Scale(Scale { replicas: Some(5), factor: None, min: 1, max: 9 });
        let plan = plan_sequence(&[wait.clone(), grow], &view).unwrap();
        assert_eq!(plan.mutations.len(), 2);
        assert!(matches!(plan.inverse, Inverse::Mutations(_)));
        assert_eq!(plan_sequence(&[wait], &view).unwrap_err().category(), "NothingToDo");
        assert_eq!(Wait { seconds: 0 }.plan(&view).unwrap_err().category(), "OutOfBounds");
        let nothing = TargetView::empty("r", view.now);
        assert_eq!(Wait { seconds: 5 }.plan(&nothing).unwrap_err().category(), "TargetMissing");
    }
}
