//! Telling an incident anew when nobody looks after it: in a declared peak after some time, and when nobody decided about
//! its repair.

use std::sync::Arc;

use causeway_crds::escalation::{Escalation, EscalationReason};
use causeway_crds::incident::{IncidentState, IncidentStatus};
use causeway_crds::occurrence::escalation_due;
use causeway_crds::remediation_policy::OnExpire;
use causeway_crds::{ConditionType, Incident, Outcome, PeakEvent, Reason, Remediation};
use causeway_kubekit::{ObjectKey, Occurrence, Report, Requeue, Statement};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::mirrors::Mirrors;
use crate::ports::AuditEntry;
use crate::text::{bounded, stamp};

/// Whether an incident is to be told anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// That it is, now.
    pub(super) now: Option<Escalation>,
    /// When it would be, if nothing changes.
    pub(super) at: Option<Timestamp>,
}

/// Looks whether an incident, whose status is up to date but for this, is to be told anew. Once is enough. Nobody needs to be
/// told who has acknowledged or silenced it, and not while a repair is being made.
pub(super) fn look(
    object: &Incident,
    status: &IncidentStatus,
    runs: &[Arc<Remediation>],
    mirrors: &Mirrors,
    now: Timestamp,
) -> Answer {
    let is_silent = object.spec.silence_until.as_ref().is_some_and(|until| until.0 > now);
    let is_looked_after = object.spec.acknowledge.is_some() || is_silent;
    if status.state != IncidentState::Open || status.escalated.is_some() || is_looked_after {
        return Answer::default();
    }
    if let Some(run) = runs.last().filter(|run| nobody_decided(run, mirrors)) {
        let message =
            format!("Nobody decided about Remediation {} in time: {}", run.name_any(), run.spec.summary);
        return said(EscalationReason::ApprovalExpired, &message, now);
    }
    let Some(since) = &status.opened_at else { return Answer::default() };
    let events: Vec<PeakEvent> = mirrors.peaks.list().iter().map(|event| event.as_ref().clone()).collect();
    let namespace = object.namespace().unwrap_or_default();
    match escalation_due(&events, &namespace, since.0, now) {
        Some((due, event)) if due <= now => {
            let message =
                format!("Nobody has acknowledged it since {}, and PeakEvent {event} is on", since.0);
            said(EscalationReason::Unacknowledged, &message, now)
        }
        due => Answer { now: None, at: due.map(|(due, _)| due) },
    }
}

fn said(reason: EscalationReason, message: &str, now: Timestamp) -> Answer {
    Answer { now: Some(Escalation { at: stamp(now), reason, message: bounded(message, 512) }), at: None }
}

/// Whether a repair waited for people until it was too late, under a policy that wants that told.
fn nobody_decided(run: &Remediation, mirrors: &Mirrors) -> bool {
    let Some(status) = &run.status else { return false };
    let asked = status.timeline.iter().any(|entry| entry.event == "ApprovalRequested");
    let place = run.namespace().unwrap_or_default();
    let policy = || mirrors.policies.get(&ObjectKey::namespaced(place, &run.spec.policy_ref.name));
    status.outcome == Some(Outcome::Expired)
        && asked
        && run.spec.restores.is_none()
        && policy().is_some_and(|policy| policy.spec.approvals.on_expire == OnExpire::Escalate)
}

/// The escalation that the object does not show yet.
fn fresh<'a>(object: &Incident, status: &'a IncidentStatus) -> Option<&'a Escalation> {
    let is_known = object.status.as_ref().is_some_and(|status| status.escalated.is_some());
    status.escalated.as_ref().filter(|_| !is_known)
}

/// What the audit log keeps of a new escalation.
pub(super) fn entry(object: &Incident, status: &IncidentStatus, now: Timestamp) -> Option<AuditEntry> {
    let escalation = fresh(object, status)?;
    Some(AuditEntry {
        time_us: now.as_microsecond(),
        namespace: object.namespace().unwrap_or_default(),
        actor: "incident".to_owned(),
        action: "Escalate".to_owned(),
        subject: format!("Incident/{}", object.name_any()),
        detail: json!({"reason": escalation.reason, "message": escalation.message}),
    })
}

/// Not later than the escalation.
pub(super) fn in_time(requeue: Requeue, escalates_at: Option<Timestamp>) -> Requeue {
    match (requeue, escalates_at) {
        (Requeue::OnChange, Some(at)) => Requeue::At(at),
        (Requeue::At(soon), Some(at)) => Requeue::At(soon.min(at)),
        (requeue, _) => requeue,
    }
}

/// The report with the condition, and with an event the first time.
pub(super) fn report(
    mut report: Report<IncidentStatus>,
    object: &Incident,
    status: &IncidentStatus,
) -> Report<IncidentStatus> {
    if let Some(statement) = statement(object, status) {
        report = report.condition(statement);
    }
    if let Some(escalation) = fresh(object, status) {
        let name = ConditionType::Escalated.as_str();
        report = report.occurrence(Occurrence::warning(name, escalation.message.clone()));
    }
    report
}

/// The condition that says it; `None` where it never was.
fn statement(object: &Incident, status: &IncidentStatus) -> Option<Statement> {
    let escalation = status.escalated.as_ref()?;
    let name = ConditionType::Escalated.as_str();
    if let Some(acknowledge) = &object.spec.acknowledge {
        let message = format!("{} looks after it", acknowledge.by);
        return Some(Statement::new(name, false, Reason::AcknowledgedBy.as_str(), message));
    }
    let reason = match escalation.reason {
        EscalationReason::Unacknowledged => Reason::Unacknowledged,
        EscalationReason::ApprovalExpired => Reason::ApprovalExpired,
    };
    Some(Statement::new(name, true, reason.as_str(), escalation.message.clone()))
}
