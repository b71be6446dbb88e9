//! Which Approvals count.

use std::collections::BTreeMap;

use crate::guard::Context;
use crate::view::{ApprovalView, later};
use crate::vocabulary::ApprovalDecision;

/// The Approvals that count for this plan now, one for each person: by approver.
///
/// An Approval counts if it names this Remediation and both digests, is younger than the admission policies that vouch for
/// its author, has not expired and was not used elsewhere. One that this Remediation already used keeps counting.
pub fn counting<'a>(context: &Context<'a>) -> BTreeMap<&'a str, &'a ApprovalView> {
    let mut by_person: BTreeMap<&str, &ApprovalView> = BTreeMap::new();
    for approval in context.observed.approvals.iter().filter(|approval| counts(context, approval)) {
        let kept = by_person.entry(approval.approver.as_str()).or_insert(approval);
        if (approval.created_at, &approval.name) < (kept.created_at, &kept.name) {
            *kept = approval;
        }
    }
    by_person
}

fn counts(context: &Context<'_>, approval: &ApprovalView) -> bool {
    let (view, observed) = (context.view, context.observed);
    let (Some(policy), Some(admission_since)) = (context.policy(), observed.admission_since) else {
        return false;
    };
    let held_until = later(approval.created_at, policy.approvals_expire_after);
    let until = approval.expires_at.map_or(held_until, |expires| expires.min(held_until));
    let ours = view.progress.approvals_used.contains(&approval.name);
    let elsewhere = observed
        .others
        .iter()
        .any(|other| other.namespace == view.namespace && other.approvals_used.contains(&approval.name));
    approval.decision == ApprovalDecision::Approve
        && approval.remediation == view.name
        && approval.plan_digest == view.plan_digest
        && approval.dry_run_digest.is_some()
        && approval.dry_run_digest == view.progress.dry_run_digest
        && approval.created_at >= admission_since
        && !approval.approver.is_empty()
        && (ours || context.now < until)
        && !elsewhere
}

/// An Approval of this Remediation that says no. It counts whatever digests it names.
pub fn rejected<'a>(context: &Context<'a>) -> Option<&'a ApprovalView> {
    context
        .observed
        .approvals
        .iter()
        .find(|a| a.decision == ApprovalDecision::Reject && a.remediation == context.view.name)
}
