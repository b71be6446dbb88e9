//! Makes the plan of a runbook, the same way when it is planned and when it is made anew before it is carried out.

use causeway_actions::{ActionSpec, Inverse, Plan, PlanError, TargetView, plan_sequence};
use causeway_crds::Runbook;
use causeway_crds::runbook::Rollback;

/// The plan of all steps.
///
/// # Errors
/// The first step that can't be planned.
pub(crate) fn of(runbook: &Runbook, view: &TargetView) -> Result<Plan, PlanError> {
    let actions: Vec<ActionSpec> = runbook.spec.steps.iter().map(|step| step.action.clone()).collect();
    let mut plan = plan_sequence(&actions, view)?;
    if runbook.spec.rollback == Rollback::None {
        plan.inverse = Inverse::None;
    }
    Ok(plan)
}
