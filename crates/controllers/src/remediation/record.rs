//! Writes decisions and what came of them into the status.

use std::time::Duration;

use causeway_crds::remediation::{
    ClaimStatus, DryRun, MeasuredEffect, StepDirection, StepResult, TimelineEntry, VerificationStatus,
};
use causeway_crds::view::remediation_view;
use causeway_crds::{ConditionType, Outcome, Phase, Remediation, RemediationStatus};
use causeway_kubekit::{Occurrence, Progress, Report, Requeue, Statement, Truth};
use causeway_remediate::{Claim, Decision, Direction, Reason, StepState};
use jiff::Timestamp;
use serde_json::Value;

use super::{Deed, World};
use crate::EXECUTOR;
use crate::text::{bounded, stamp};

/// Entries of the timeline at most; the oldest but the first give way.
const TIMELINE: usize = 64;
/// How often a limit of an hour is looked at again.
const LIMIT_AGAIN: Duration = Duration::from_secs(60);

/// The claim of a status that has no result yet.
pub(super) fn claim_of(status: &RemediationStatus) -> Option<Claim> {
    let claim = status.claim.as_ref()?;
    Some(Claim {
        step: usize::try_from(claim.step).ok()?,
        direction: claim.direction.into(),
        resource_version: claim.resource_version.clone(),
        generation: claim.generation,
    })
}

/// The status after a decision was carried out.
pub(super) fn next(
    object: &Remediation,
    mut status: RemediationStatus,
    world: &World,
    decision: &Decision,
    deed: &Deed,
    now: Timestamp,
) -> RemediationStatus {
    if status.timeline.is_empty() {
        let planned = object.spec.planned_at.0;
        note(&mut status, planned, "Planned", None, &object.spec.summary);
        if let Some(effect) = &object.spec.predicted_effect {
            note(&mut status, planned, "Foretold", None, &effect.summary);
        }
    }
    match decision {
        Decision::Wait { reason, message, .. } => wait(&mut status, world, *reason, message),
        Decision::DryRun => rehearsed(&mut status, deed, now),
        Decision::RequestApproval { needed, have, .. } => {
            if status.phase != Phase::AwaitingApproval {
                let text = format!("{needed} must agree");
                note(&mut status, now, "ApprovalRequested", Some(EXECUTOR), &text);
            }
            status.phase = Phase::AwaitingApproval;
            why(&mut status, Reason::AwaitingApproval, &format!("{have} of {needed} Approvals"));
        }
        Decision::Claim { step, direction, approvals } => {
            claim(&mut status, world, *step, *direction, approvals, now);
        }
        Decision::Mutate { step, direction } | Decision::Find { step, direction, .. } => match deed {
            Deed::Step(state, message) => {
                result(&mut status, *step, *direction, *state, message, now);
            }
            Deed::Later(_, message) => {
                let text = format!("step {step}, {}: {message}", name_of(*direction));
                why(&mut status, Reason::Progressing, &text);
            }
            _ => {}
        },
        Decision::RecordResult { step, direction, state, message, .. } => {
            result(&mut status, *step, *direction, *state, message, now);
        }
        Decision::Verify { started_at, data_from, deadline } => {
            status.phase = Phase::Verifying;
            status.verification = Some(VerificationStatus {
                started_at: stamp(*started_at),
                data_from: stamp(*data_from),
                deadline: stamp(*deadline),
                symptom: world.observed.symptom.map(|symptom| symptom.state).unwrap_or_default(),
                clear_since: None,
            });
            why(&mut status, Reason::SymptomFiring, "Every step is made; the symptom is watched");
            note(
                &mut status,
                now,
                "Verifying",
                Some(EXECUTOR),
                "the symptom is watched in the time of the data",
            );
        }
        Decision::Finish { phase, outcome, reason, message } => {
            finish(&mut status, *phase, *outcome, reason.as_str(), message, now);
        }
    }
    status
}

/// Notes what was measured of the predicted effect.
pub(super) fn measured(status: &mut RemediationStatus, effect: MeasuredEffect, now: Timestamp) {
    let text = match effect.of {
        0 => "nothing of the predicted effect could be measured".to_owned(),
        of => format!("{} of {of} predicted intervals held what was measured", effect.held),
    };
    note(status, now, "Measured", None, &text);
    status.effect = Some(effect);
}

fn wait(status: &mut RemediationStatus, world: &World, reason: Reason, message: &str) {
    why(status, reason, message);
    if let (Some(watch), Some(symptom)) = (&mut status.verification, world.observed.symptom) {
        watch.symptom = symptom.state;
        watch.clear_since = symptom.clear_since.map(stamp);
    }
}

fn rehearsed(status: &mut RemediationStatus, deed: &Deed, now: Timestamp) {
    match deed {
        Deed::DryRun(Ok(rehearsal)) => {
            status.dry_run = Some(DryRun {
                digest: rehearsal.digest.clone(),
                diff: rehearsal.diff.clone(),
                at: stamp(now),
            });
            why(status, Reason::Progressing, "The plan was rehearsed");
            note(status, now, "DryRun", Some(EXECUTOR), "rehearsed");
        }
        Deed::DryRun(Err(message)) => {
            let message = format!("the rehearsal was refused: {message}");
            finish(status, Phase::Refused, Outcome::Refused, "DryRunRefused", &message, now);
        }
        _ => {}
    }
}

fn claim(
    status: &mut RemediationStatus,
    world: &World,
    step: usize,
    direction: Direction,
    approvals: &[String],
    now: Timestamp,
) {
    let target = world.view.mutation(step, direction).map(causeway_actions::Mutation::target);
    let live = target.and_then(|target| world.observed.live.get(&target.uid));
    let metadata = live.and_then(|object| object.get("metadata"));
    let version = metadata.and_then(|m| m.get("resourceVersion")).and_then(Value::as_str);
    status.claim = Some(ClaimStatus {
        step: index(step),
        direction: direction.into(),
        resource_version: version.unwrap_or_default().to_owned(),
        generation: metadata.and_then(|m| m.get("generation")).and_then(Value::as_i64),
        at: stamp(now),
    });
    status.phase = Phase::Applying;
    if direction == Direction::Apply {
        status.began_at.get_or_insert_with(|| stamp(now));
    }
    for approval in approvals {
        if !status.approvals.contains(approval) && status.approvals.len() < 8 {
            status.approvals.push(approval.clone());
            let by = world.observed.approvals.iter().find(|a| a.name == *approval);
            let by = by.map(|approval| approval.approver.clone());
            note(status, now, "Approved", by.as_deref(), &format!("Approval {approval}"));
        }
    }
    let what = target.map(ToString::to_string).unwrap_or_default();
    let text = format!("step {step}, {}, of {what}", name_of(direction));
    why(status, Reason::Progressing, &text);
    note(status, now, "Claimed", Some(EXECUTOR), &text);
}

fn result(
    status: &mut RemediationStatus,
    step: usize,
    direction: Direction,
    state: StepState,
    message: &str,
    now: Timestamp,
) {
    let event = match (direction, state) {
        (Direction::Apply, StepState::Done) => "Applied",
        (Direction::Undo, StepState::Done) => "Undone",
        (_, StepState::Failed) => "StepFailed",
        (_, StepState::Unknown) => "OutcomeUnknown",
    };
    status.results.push(StepResult {
        step: index(step),
        direction: StepDirection::from(direction),
        state: state.into(),
        at: stamp(now),
        message: Some(bounded(message, 1024)),
    });
    let text = format!("step {step}, {}: {message}", name_of(direction));
    why(status, Reason::Progressing, &text);
    note(status, now, event, Some(EXECUTOR), &text);
}

fn finish(
    status: &mut RemediationStatus,
    phase: Phase,
    outcome: Outcome,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    status.phase = phase;
    status.outcome = Some(outcome);
    status.reason = Some(bounded(reason, 63));
    status.message = Some(bounded(message, 1024));
    status.finished_at = Some(stamp(now));
    note(status, now, phase.as_str(), Some(EXECUTOR), message);
}

fn index(step: usize) -> i32 {
    i32::try_from(step).unwrap_or(i32::MAX)
}

fn why(status: &mut RemediationStatus, reason: Reason, message: &str) {
    status.reason = Some(reason.as_str().to_owned());
    status.message = Some(bounded(message, 1024));
}

fn note(status: &mut RemediationStatus, at: Timestamp, event: &str, by: Option<&str>, message: &str) {
    if status.timeline.len() >= TIMELINE {
        status.timeline.remove(1);
    }
    status.timeline.push(TimelineEntry {
        at: stamp(at),
        event: bounded(event, 63),
        by: by.map(|by| bounded(by, 253)),
        message: (!message.is_empty()).then(|| bounded(message, 1024)),
    });
}

/// Status, conditions and the next look.
pub(super) fn report(
    object: &Remediation,
    status: RemediationStatus,
    done: Option<(&Decision, &Deed, Timestamp)>,
) -> Report<RemediationStatus> {
    let reason = status.reason.clone().unwrap_or_else(|| "Progressing".to_owned());
    let message = status.message.clone().unwrap_or_default();
    let progress = if status.phase.is_final() {
        Progress::ready(reason, if message.is_empty() { "Over".to_owned() } else { message })
    } else {
        let message = if message.is_empty() { "In progress".to_owned() } else { message };
        Progress::reconciling(reason, message)
    };
    let requeue = match done {
        _ if status.phase.is_final() => Requeue::OnChange,
        Some((Decision::Wait { until, reason, .. }, _, now)) => {
            let again = (*reason == Reason::RateLimited).then(|| now.checked_add(LIMIT_AGAIN).ok()).flatten();
            [*until, again].into_iter().flatten().min().map_or(Requeue::OnChange, Requeue::At)
        }
        Some((Decision::RequestApproval { until, .. }, _, _)) => Requeue::At(*until),
        Some((_, Deed::Later(at, _), _)) => Requeue::At(*at),
        Some(_) => Requeue::Now,
        None => Requeue::OnChange,
    };
    let phase_before = object.status.as_ref().map(|status| status.phase);
    let mut probe = object.clone();
    probe.status = Some(status.clone());
    let mut report = Report::new(status.clone(), progress).requeue(requeue);
    for condition in conditions(&probe, &status) {
        report = report.condition(condition);
    }
    if phase_before != Some(status.phase) {
        let note = status.message.clone().unwrap_or_default();
        let fine = !matches!(status.phase, Phase::Failed | Phase::Refused | Phase::Expired);
        let reason = status.phase.as_str();
        let occurrence =
            if fine { Occurrence::normal(reason, note) } else { Occurrence::warning(reason, note) };
        report = report.occurrence(occurrence);
    }
    report
}

fn conditions(object: &Remediation, status: &RemediationStatus) -> Vec<Statement> {
    let progress = remediation_view(object).progress;
    let reason = status.reason.clone().unwrap_or_else(|| "Progressing".to_owned());
    let message =
        status.message.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "Waiting".to_owned());
    let over = status.phase.is_final();
    let state = |truth: Truth, holds: &str| match truth {
        // What holds does not change with later reasons.
        Truth::True => ("Done".to_owned(), holds.to_owned()),
        Truth::False | Truth::Unknown => (reason.clone(), message.clone()),
    };
    let statement = |name: ConditionType, truth: Truth, holds: &str| {
        let (reason, message) = state(truth, holds);
        Statement::new(name.as_str(), truth, reason, message)
    };
    let pending = if over { Truth::False } else { Truth::Unknown };
    let begun = status.began_at.is_some();
    let made = (0..object.spec.mutations.len())
        .all(|step| progress.result(step, Direction::Apply) == Some(StepState::Done));
    let mut all = vec![
        Statement::new(ConditionType::Planned.as_str(), true, "Planned", object.spec.summary.clone()),
        statement(
            ConditionType::Authorized,
            if begun { Truth::True } else { pending },
            "Every guard let it pass",
        ),
        statement(ConditionType::Applied, if made { Truth::True } else { pending }, "Every step is made"),
        statement(
            ConditionType::Verified,
            if status.outcome == Some(Outcome::Verified) { Truth::True } else { pending },
            "The symptom went and stayed away, with data flowing",
        ),
    ];
    if progress.is_undoing() {
        let back = if status.phase == Phase::RolledBack { Truth::True } else { pending };
        all.push(statement(ConditionType::RolledBack, back, "Everything is taken back"));
    }
    all
}

fn name_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Apply => "Apply",
        Direction::Undo => "Undo",
    }
}
