//! Approval: says whether it counts, and if not, why.

use causeway_crds::approval::ApprovalStatus;
use causeway_crds::{Approval, ApprovalDecision, Reason, Remediation};
use causeway_kubekit::{ObjectKey, Progress, Report, Requeue};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::mirrors::Mirrors;
use crate::observing::Observer;

pub(crate) struct Approvals(pub(crate) Mirrors);

impl Observer for Approvals {
    type Kind = Approval;
    const NAME: &'static str = "approval";

    fn report(&self, object: &Approval, now: Timestamp) -> Report<ApprovalStatus> {
        let namespace = object.namespace().unwrap_or_default();
        let name = &object.spec.remediation_ref.name;
        let run = self.0.remediations.get(&ObjectKey::namespaced(&namespace, name));
        let until = run.as_deref().and_then(|run| self.until(object, run));
        let progress = progress(object, run.as_deref(), until, now);
        let report = Report::new(ApprovalStatus::default(), progress);
        report.requeue(until.filter(|until| *until > now).map_or(Requeue::OnChange, Requeue::At))
    }
}

impl Approvals {
    /// How long it counts when nobody uses it.
    fn until(&self, object: &Approval, run: &Remediation) -> Option<Timestamp> {
        let key = ObjectKey::namespaced(run.namespace().unwrap_or_default(), &run.spec.policy_ref.name);
        let policy = self.0.policies.get(&key)?;
        let created = object.metadata.creation_timestamp.as_ref()?.0;
        let held = created.checked_add(policy.spec.approvals.expire_after.get()).ok()?;
        Some(object.spec.expires_at.as_ref().map_or(held, |given| given.0.min(held)))
    }
}

fn progress(
    object: &Approval,
    run: Option<&Remediation>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Progress {
    let stalled =
        |reason: Reason, message: String| Progress::Stalled { reason: reason.as_str().to_owned(), message };
    let spec = &object.spec;
    let name = &spec.remediation_ref.name;
    let Some(run) = run else {
        let message = format!("Remediation {name} does not exist in this namespace");
        return Progress::Retrying { reason: Reason::DependencyMissing.as_str().to_owned(), message };
    };
    if spec.decision == ApprovalDecision::Reject {
        return Progress::ready(Reason::Valid.as_str(), format!("{name} is not carried out"));
    }
    let status = run.status.as_ref();
    if status.is_some_and(|status| status.approvals.contains(&object.name_any())) {
        return Progress::ready(Reason::Used.as_str(), format!("{name} was begun with it"));
    }
    if spec.remediation_ref.plan_digest != run.spec.plan_digest {
        return stalled(
            Reason::Stale,
            format!("It names another planDigest than {name} has: look at the plan, and approve it anew"),
        );
    }
    if let Some(status) = status.filter(|status| status.phase.is_final()) {
        return stalled(Reason::Expired, format!("{name} ended as {} without it", status.phase));
    }
    let Some(shown) = status.and_then(|status| status.dry_run.as_ref()) else {
        return Progress::reconciling(
            Reason::Waiting.as_str(),
            format!("{name} was not rehearsed yet: no dryRunDigest can be compared"),
        );
    };
    if spec.dry_run_digest.as_deref() != Some(shown.digest.as_str()) {
        return stalled(
            Reason::Stale,
            format!(
                "It names another dryRunDigest than {name} shows: look at the difference, and approve it anew"
            ),
        );
    }
    match until {
        Some(until) if until <= now => {
            stalled(Reason::Expired, format!("It counted until {until}: approve {name} anew"))
        }
        Some(until) => Progress::ready(Reason::Valid.as_str(), format!("Counts for {name} until {until}")),
        None => Progress::reconciling(
            Reason::Waiting.as_str(),
            format!(
                "RemediationPolicy {} says how long it counts, and does not exist",
                run.spec.policy_ref.name
            ),
        ),
    }
}
