//! What a Remediation says besides mutations and inverse, held against its sources: the executor takes nobody's word for it.

use causeway_actions::Plan;
use causeway_crds::incident::Cause;
use causeway_crds::{RemediationSpec, Runbook};
use causeway_remediate::DurationText;

use crate::plan::plan_diff;

/// What it must agree with.
pub(super) struct Sources<'a> {
    pub(super) runbook: &'a Runbook,
    /// Made anew from what is live.
    pub(super) plan: &'a Plan,
    /// How long the change stays, by the policy.
    pub(super) lease: Option<DurationText>,
    /// What the Incident names now.
    pub(super) cause: Option<&'a Cause>,
    /// Services on the target, and what they need.
    pub(super) shared: Vec<String>,
}

/// The first thing in which a spec differs from its sources.
pub(super) fn differs(spec: &RemediationSpec, sources: &Sources<'_>) -> Option<String> {
    let Sources { runbook, plan, lease, cause, shared } = sources;
    let actions = runbook.spec.steps.iter().map(|step| step.action.kind());
    let is_other = |now: &&&Cause| {
        now.id != spec.cause.id || now.kind != spec.cause.kind || now.entity != spec.cause.entity
    };
    if !actions.eq(spec.actions.iter().copied()) {
        Some("spec.actions are not those of the Runbook".to_owned())
    } else if spec.verify != runbook.spec.verify {
        Some("spec.verify is not that of the Runbook".to_owned())
    } else if spec.diff != plan_diff(plan) {
        Some("spec.diff does not show what would be changed".to_owned())
    } else if spec.lease_for != *lease {
        Some("spec.leaseFor is not that of the policy".to_owned())
    } else if spec.shared_dependencies != *shared {
        Some("spec.sharedDependencies are not those of the services on the target".to_owned())
    } else {
        let now = cause.as_ref().filter(is_other)?;
        Some(format!("the Incident names another cause now: {} of {}", now.kind, now.entity))
    }
}
