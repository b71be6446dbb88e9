//! From custom resources to what the pure tier looks at.

use causeway_actions::{canonical_json, sha256_hex};
use causeway_remediate::{
    ApprovalView, CauseView, Claim, Direction, EarnRule, GuardrailView, Limits, OtherRun, PauseView,
    PolicyView, Progress, RemediationView, RunbookView, StepResult, StepState, SymptomView, Verification,
    VerifyRule, WindowView,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use serde::Serialize;

use crate::remediation::{
    ClaimStatus, StepDirection, StepResult as StepResultStatus, StepState as StepStateStatus,
};
use crate::remediation_policy::Window;
use crate::{
    Approval, ClusterGuardrail, Incident, Pause, Remediation, RemediationPolicy, RemediationStatus, Runbook,
};

/// Digest of a spec, as Remediations name it: SHA-256 over its canonical JSON.
///
/// # Errors
/// A spec that has no JSON form; none of ours is.
pub fn spec_digest<T: Serialize>(spec: &T) -> Result<String, serde_json::Error> {
    Ok(sha256_hex(canonical_json(&serde_json::to_value(spec)?).as_bytes()))
}

/// A Remediation as the state machine looks at it.
pub fn remediation_view(remediation: &Remediation) -> RemediationView {
    let spec = &remediation.spec;
    let namespace = remediation.namespace().unwrap_or_default();
    RemediationView {
        name: remediation.name_any(),
        incident: incident_key(remediation),
        namespace,
        policy: spec.policy_ref.name.clone(),
        runbook: spec.runbook_ref.name.clone(),
        cause_id: spec.cause.id.clone(),
        evidence_digest: spec.cause.evidence_digest.clone(),
        confidence: spec.cause.confidence.to_f64(),
        margin: spec.cause.margin.to_f64(),
        actions: spec.actions.clone(),
        targets: spec.targets.clone(),
        shared_dependencies: spec.shared_dependencies.clone(),
        expires_at: spec.expires_at.0,
        plan_digest: spec.plan_digest.clone(),
        mutations: spec.mutations.clone(),
        inverse: spec.inverse.clone(),
        verify: VerifyRule { within: spec.verify.within.get(), hold: spec.verify.hold.get() },
        restores: spec.restores.as_ref().map(|restored| restored.name.clone()),
        predicted_effect: spec.predicted_effect.clone(),
        progress: remediation.status.as_ref().map(progress).unwrap_or_default(),
    }
}

/// The Incident of a Remediation as namespace/name.
fn incident_key(remediation: &Remediation) -> String {
    let reference = &remediation.spec.incident_ref;
    let namespace = reference.namespace.clone().or_else(|| remediation.namespace()).unwrap_or_default();
    format!("{namespace}/{}", reference.name)
}

fn progress(status: &RemediationStatus) -> Progress {
    Progress {
        phase: status.phase,
        dry_run_digest: status.dry_run.as_ref().map(|run| run.digest.clone()),
        approvals_used: status.approvals.clone(),
        claim: status.claim.as_ref().map(claim),
        results: status.results.iter().map(result).collect(),
        verification: status.verification.as_ref().map(|watch| Verification {
            started_at: watch.started_at.0,
            data_from: watch.data_from.0,
            deadline: watch.deadline.0,
        }),
    }
}

fn claim(status: &ClaimStatus) -> Claim {
    Claim {
        // A negative index can't be written; it would name a step that no plan has.
        step: usize::try_from(status.step).unwrap_or(usize::MAX),
        direction: status.direction.into(),
        resource_version: status.resource_version.clone(),
        generation: status.generation,
    }
}

fn result(status: &StepResultStatus) -> StepResult {
    StepResult {
        step: usize::try_from(status.step).unwrap_or(usize::MAX),
        direction: status.direction.into(),
        state: status.state.into(),
    }
}

impl From<StepDirection> for Direction {
    fn from(direction: StepDirection) -> Self {
        match direction {
            StepDirection::Apply => Self::Apply,
            StepDirection::Undo => Self::Undo,
        }
    }
}

impl From<Direction> for StepDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Apply => Self::Apply,
            Direction::Undo => Self::Undo,
        }
    }
}

impl From<StepStateStatus> for StepState {
    fn from(state: StepStateStatus) -> Self {
        match state {
            StepStateStatus::Done => Self::Done,
            StepStateStatus::Failed => Self::Failed,
            StepStateStatus::Unknown => Self::Unknown,
        }
    }
}

impl From<StepState> for StepStateStatus {
    fn from(state: StepState) -> Self {
        match state {
            StepState::Done => Self::Done,
            StepState::Failed => Self::Failed,
            StepState::Unknown => Self::Unknown,
        }
    }
}

/// A Remediation as another one looks at it.
pub fn other_run(remediation: &Remediation) -> OtherRun {
    let view = remediation_view(remediation);
    let status = remediation.status.as_ref();
    OtherRun {
        name: view.name,
        namespace: view.namespace,
        incident: view.incident,
        policy: view.policy,
        runbook: view.runbook,
        cause_id: view.cause_id,
        evidence_digest: view.evidence_digest,
        actions: view.actions,
        targets: view.targets,
        shared_dependencies: view.shared_dependencies,
        restores: view.restores,
        approvals_used: view.progress.approvals_used,
        phase: view.progress.phase,
        outcome: status.and_then(|status| status.outcome),
        began_at: status.and_then(|status| status.began_at.as_ref()).map(|time| time.0),
        finished_at: status.and_then(|status| status.finished_at.as_ref()).map(|time| time.0),
    }
}

/// A policy with its defaults filled in.
pub fn policy_view(policy: &RemediationPolicy) -> PolicyView {
    let spec = &policy.spec;
    let limits = spec.limits.clone().unwrap_or_default();
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    PolicyView {
        name: policy.name_any(),
        runbooks: spec
            .runbooks
            .iter()
            .map(|runbook| (runbook.name.clone(), runbook.autonomy.unwrap_or(spec.autonomy)))
            .collect(),
        suspended: spec.suspend,
        min_confidence: spec.require.min_confidence.to_f64(),
        min_margin: spec.require.min_margin.to_f64(),
        limits: Limits {
            actions_per_hour: count(limits.actions_per_hour),
            concurrent: count(limits.concurrent),
            attempts_per_incident: count(limits.attempts_per_incident),
            cooldown: limits.cooldown.get(),
            max_targets_percent: u32::try_from(limits.max_targets_percent).unwrap_or(0),
            keep_available_percent: u32::try_from(limits.keep_available_percent).unwrap_or(100),
        },
        approvals_needed: count(spec.approvals.count).max(1),
        approvals_expire_after: spec.approvals.expire_after.get(),
        windows: spec.windows.iter().map(window_view).collect(),
        earn: spec.earn.as_ref().map(|earn| EarnRule {
            to: earn.to,
            verified_runs: count(earn.verified_runs).max(1),
            max_harmful: count(earn.max_harmful),
        }),
        unreconciled: spec.apply.unreconciled,
        what_if: spec.require.what_if,
    }
}

/// A window. Its zone is looked up in the time zone database of the machine.
pub fn window_view(window: &Window) -> WindowView {
    WindowView {
        name: window.name.clone(),
        schedule: window.schedule.clone(),
        zone: TimeZone::get(&window.time_zone).ok(),
        autonomy: window.autonomy,
    }
}

/// A guardrail.
pub fn guardrail_view(guardrail: &ClusterGuardrail) -> GuardrailView {
    let spec = &guardrail.spec;
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    GuardrailView {
        max_autonomy: spec.max_autonomy,
        protected_namespaces: spec.protected_namespaces.clone(),
        allowed_actions: spec.allowed_actions.clone(),
        actions_per_hour: spec.limits.as_ref().map(|limits| count(limits.actions_per_hour)),
        concurrent_per_cluster: spec.limits.as_ref().map(|limits| count(limits.concurrent_per_cluster)),
    }
}

/// A Pause.
pub fn pause_view(pause: &Pause) -> PauseView {
    PauseView { name: pause.name_any(), namespaces: pause.spec.namespaces.clone() }
}

/// An Approval; `created_at` is when it was observed first, by our own clock.
pub fn approval_view(approval: &Approval, created_at: Timestamp) -> ApprovalView {
    let spec = &approval.spec;
    ApprovalView {
        name: approval.name_any(),
        remediation: spec.remediation_ref.name.clone(),
        plan_digest: spec.remediation_ref.plan_digest.clone(),
        dry_run_digest: spec.dry_run_digest.clone(),
        decision: spec.decision,
        approver: spec.approver.clone(),
        created_at,
        expires_at: spec.expires_at.as_ref().map(|time| time.0),
    }
}

/// The symptom of an incident; `None` before its first status.
pub fn symptom_view(incident: &Incident) -> Option<SymptomView> {
    let symptom = &incident.status.as_ref()?.symptom;
    Some(SymptomView {
        state: symptom.state,
        clear_since: symptom.clear_since.as_ref().map(|time| time.0),
        watermark: symptom.watermark.as_ref().map(|time| time.0),
    })
}

/// A runbook as a choice looks at it.
pub fn runbook_view(runbook: &Runbook) -> RunbookView {
    let spec = &runbook.spec;
    RunbookView {
        name: runbook.name_any(),
        causes: spec.applies_to.causes.iter().map(|cause| cause.as_str().to_owned()).collect(),
        targets: spec.applies_to.targets.iter().map(|t| (t.group.clone(), t.kind.clone())).collect(),
        actions: spec.steps.iter().map(|step| step.action.kind()).collect(),
        suspended: spec.suspend,
    }
}

/// The diagnosis of an incident; `None` if there is no cause, or none that names a target.
pub fn cause_view(incident: &Incident) -> Option<CauseView> {
    let cause = incident.status.as_ref()?.cause.as_ref()?;
    let target = cause.target.as_ref()?;
    let namespace = incident.namespace().unwrap_or_default();
    let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
    Some(CauseView {
        incident: format!("{namespace}/{}", incident.name_any()),
        id: cause.id.clone(),
        kind: cause.kind.clone(),
        confidence: cause.confidence.to_f64(),
        margin: cause.margin.to_f64(),
        abstained: cause.abstained,
        evidence_digest: cause.evidence_digest.clone().unwrap_or_default(),
        target_group: group.to_owned(),
        target_kind: target.kind.clone(),
        target_namespace: target.namespace.clone().unwrap_or(namespace),
        target_name: target.name.clone(),
    })
}
