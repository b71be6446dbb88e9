//! Chooses a repair for an incident and writes its plan as a Remediation.

use std::sync::Arc;

use causeway_actions::view::target_ref;
use causeway_actions::{ActionKind, Inverse, Plan, TargetRef, TargetView};
use causeway_crds::reference::LocalRef;
use causeway_crds::remediation::{CauseRef, DigestRef, IncidentRef};
use causeway_crds::view::{cause_view, other_run, policy_view, runbook_view, spec_digest};
use causeway_crds::{Incident, Reason, Remediation, RemediationPolicy, RemediationSpec, Runbook};
use causeway_kubekit::ObjectKey;
use causeway_remediate::{
    CauseView, Choice, DurationText, OtherRun, PLAN_LIFETIME, PredictedEffect, Rejection, choose_runbook,
    ownership,
};
use jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::core::{Selector, SelectorExt};
use kube::{Client, Resource, ResourceExt};
use serde_json::Value;

use crate::error::{ControllerError, Doing};
use crate::mirrors::Mirrors;
use crate::plan::{self, Around};
use crate::ports::Ports;
use crate::rehearsal::Snapshot;
use crate::services::{entities_of, services_on, shared_dependencies};
use crate::target_view::{self, Target};
use crate::text::{bounded, in_seconds, stamp};
use crate::what_if;

/// What came of looking for a repair.
#[derive(Debug, Clone)]
pub(super) enum Repair {
    /// Not looked for: the reason and a sentence.
    None(Reason, String),
    /// Written.
    Planned(Arc<Remediation>),
}

/// Looks for a repair of `incident`, whose status is up to date, and writes its plan.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn plan_repair(
    client: &Client,
    mirrors: &Mirrors,
    ports: &Ports,
    incident: &Incident,
    now: Timestamp,
) -> Result<Repair, ControllerError> {
    let Some(cause) = cause_view(incident) else {
        let entity = incident.status.as_ref().and_then(|status| status.cause.as_ref()).map(|c| &c.entity);
        let message = format!(
            "No Deployment is known for {}: name one in a MonitoredService, spec.workloads",
            entity.map_or("the cause", String::as_str)
        );
        return Ok(Repair::None(Reason::WorkloadMissing, message));
    };
    let target = target_of(incident, &cause);
    let history: Vec<OtherRun> = mirrors.remediations.list().iter().map(|run| other_run(run)).collect();
    let policies = policies_for(mirrors, &target);
    let runbooks = mirrors.runbooks.list_in(&target.namespace);
    // A runbook that can't be planned on this target is passed over, and the next one is tried.
    let mut refused: Vec<(String, String)> = Vec::new();
    loop {
        let candidates: Vec<_> = runbooks
            .iter()
            .filter(|runbook| !refused.iter().any(|(name, _)| *name == runbook.name_any()))
            .map(|runbook| runbook_view(runbook))
            .collect();
        let views: Vec<_> = policies.iter().map(|policy| policy_view(policy)).collect();
        let choice = match choose_runbook(&cause, &candidates, &views, &history) {
            Ok(choice) => choice,
            Err(rejections) => return Ok(nothing(&rejections, &refused, &target.namespace)),
        };
        let Some(runbook) = runbooks.iter().find(|runbook| runbook.name_any() == choice.runbook) else {
            return Ok(Repair::None(Reason::NoRunbook, "the chosen Runbook is gone".to_owned()));
        };
        let name = next_name(mirrors, incident, &target.namespace);
        let policy = policies.iter().find(|policy| policy.name_any() == choice.policy);
        let git = policy.and_then(|policy| policy.spec.git_ops.as_ref());
        let view = target_view::read(client, &target, &runbook.spec, git, &name, in_seconds(now)).await?;
        let Some(subject) = target_view::subject(&view, &target) else {
            return Ok(Repair::None(
                Reason::WorkloadMissing,
                format!("{target} does not exist: nothing can be changed"),
            ));
        };
        let running = history.iter().filter(|run| run.is_running()).count();
        match prepare(incident, &cause, runbook, policy.map(AsRef::as_ref), subject, &view, running) {
            Ok(mut prepared) => {
                let actions: Vec<ActionKind> =
                    runbook.spec.steps.iter().map(|step| step.action.kind()).collect();
                let entity = service_of(mirrors);
                let effect = what_if::foretell(&*ports.engine, &prepared.plan, &actions, &view, &entity);
                prepared.predicted_effect = Some(effect);
                let snapshot = Snapshot { target: target.clone(), view: view.clone() };
                let text = snapshot.to_text().doing(|| format!("writing what {name} was planned on"))?;
                ports.engine.keep_objects(&incident.spec.fingerprint, text);
                let on = services_on(mirrors, &target.kind, &target.namespace, &target.name);
                let shared = shared_dependencies(&on);
                let object = remediation(incident, &cause, &choice, runbook, prepared, shared, &name, now)?;
                return write(client, mirrors, object).await.map(Repair::Planned);
            }
            Err(why) => refused.push((choice.runbook, why)),
        }
    }
}

/// A plan that may be written down.
struct Prepared {
    subject: TargetRef,
    plan: Plan,
    /// Values that their source will overwrite.
    notes: Vec<String>,
    /// How long the change stays.
    lease_for: Option<DurationText>,
    /// What it would do.
    predicted_effect: Option<PredictedEffect>,
}

/// Names the service in telemetry that runs as a workload of a kind, namespace and name.
pub(super) fn service_of(mirrors: &Mirrors) -> impl Fn(&str, &str, &str) -> String + '_ {
    |kind, namespace, name| entities_of(mirrors, kind, namespace, name).into_iter().next().unwrap_or_default()
}

/// Makes the plan, and looks at who keeps the fields that it changes.
fn prepare(
    incident: &Incident,
    cause: &CauseView,
    runbook: &Runbook,
    policy: Option<&RemediationPolicy>,
    subject: &Value,
    view: &TargetView,
    running: usize,
) -> Result<Prepared, String> {
    let entity = incident.status.as_ref().and_then(|status| status.cause.as_ref()).map(|c| c.entity.clone());
    let around = Around {
        kind: cause.kind.clone(),
        entity: entity.unwrap_or_default(),
        confidence: cause.confidence,
        margin: cause.margin,
        running,
    };
    let listed = policy.and_then(|policy| policy.spec.listed(&runbook.name_any()));
    let subject = target_ref(subject).map_err(|error| error.to_string())?;
    let git = policy.and_then(|policy| policy.spec.git_ops.as_ref());
    let plan = plan::of(runbook, listed, git, view, &around).map_err(|refusal| refusal.to_string())?;
    let unreconciled = policy.map(|policy| policy.spec.apply.unreconciled).unwrap_or_default();
    let mut notes = ownership(&plan.mutations, |mutation| plan::live(view, mutation), unreconciled)
        .map_err(|(reason, message)| format!("{reason}: {message}"))?;
    notes.extend(plan::without_lease(policy, &plan));
    let lease_for = plan::lease(policy, &plan);
    Ok(Prepared { subject, plan, notes, lease_for, predicted_effect: None })
}

fn target_of(incident: &Incident, cause: &CauseView) -> Target {
    let api_version = incident
        .status
        .as_ref()
        .and_then(|status| status.cause.as_ref()?.target.as_ref())
        .map(|target| target.api_version.clone())
        .unwrap_or_default();
    Target {
        api_version,
        kind: cause.target_kind.clone(),
        namespace: cause.target_namespace.clone(),
        name: cause.target_name.clone(),
    }
}

/// Policies of the target's namespace whose selector takes one of the services on the target.
fn policies_for(mirrors: &Mirrors, target: &Target) -> Vec<Arc<RemediationPolicy>> {
    let services = services_on(mirrors, &target.kind, &target.namespace, &target.name);
    let takes = |policy: &Arc<RemediationPolicy>| {
        let Some(selector) = policy.spec.service_selector.clone() else { return true };
        let Ok(selector) = Selector::try_from(selector) else { return false };
        services.iter().any(|service| selector.matches(service.labels()))
    };
    mirrors.policies.list_in(&target.namespace).into_iter().filter(takes).collect()
}

fn nothing(rejections: &[Rejection], refused: &[(String, String)], namespace: &str) -> Repair {
    let mut reasons: Vec<String> = rejections
        .iter()
        .filter(|rejection| !refused.iter().any(|(name, _)| *name == rejection.runbook))
        .map(|rejection| {
            let what = [rejection.policy.as_str(), rejection.runbook.as_str()];
            let what = what.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
            let why = explain(rejection.reason);
            if what.is_empty() { why.to_owned() } else { format!("{what}: {why}") }
        })
        .collect();
    reasons.extend(refused.iter().map(|(name, why)| format!("{name}: {why}")));
    let tried = rejections.iter().any(|rejection| rejection.reason == "AlreadyTried");
    let reason = if tried { Reason::RemediationFailed } else { Reason::NoRunbook };
    let message = format!("Nothing may be done in namespace {namespace}: {}", reasons.join("; "));
    Repair::None(reason, bounded(&message, 1000))
}

fn explain(reason: &str) -> &str {
    match reason {
        "NoPolicy" => "no RemediationPolicy takes the service",
        "NoSuchRunbook" => "the Runbook does not exist",
        "RunbookSuspended" => "the Runbook is suspended",
        "OtherCause" => "it is for other causes",
        "OtherTarget" => "it is for other kinds of targets",
        "NoClearCause" => "no cause stands out",
        "PolicySuspended" => "the policy is suspended",
        "LowConfidence" => "the cause is not sure enough for spec.require.minConfidence",
        "LowMargin" => "the next cause is too near for spec.require.minMargin",
        "ObserveOnly" => "the policy only observes",
        "AlreadyTried" => "it was tried, and nothing new is known",
        other => other,
    }
}

/// The incident's name and the next number.
pub(super) fn next_name(mirrors: &Mirrors, incident: &Incident, namespace: &str) -> String {
    let incident_name = incident.name_any();
    let prefix = format!("{incident_name}-");
    let last = mirrors
        .remediations
        .list_in(namespace)
        .iter()
        .filter_map(|run| run.name_any().strip_prefix(&prefix)?.parse::<u32>().ok())
        .max()
        .unwrap_or(0);
    format!("{prefix}{}", last + 1)
}

#[expect(clippy::too_many_arguments, reason = "a Remediation is everything that led to it")]
fn remediation(
    incident: &Incident,
    cause: &CauseView,
    choice: &Choice,
    runbook: &Runbook,
    prepared: Prepared,
    shared_dependencies: Vec<String>,
    name: &str,
    now: Timestamp,
) -> Result<Remediation, ControllerError> {
    let Prepared { subject, plan, notes, lease_for, predicted_effect } = prepared;
    let own = incident.namespace().unwrap_or_default();
    let status_cause = incident.status.as_ref().and_then(|status| status.cause.clone());
    let (confidence, margin, entity) =
        status_cause.map(|cause| (cause.confidence, cause.margin, cause.entity)).unwrap_or_else(|| {
            let decimal = |value| causeway_actions::Decimal::from_f64(value, 3);
            (decimal(cause.confidence), decimal(cause.margin), cause.target_name.clone())
        });
    let digest = spec_digest(&runbook.spec).doing(|| format!("digesting Runbook {}", choice.runbook))?;
    let spec = RemediationSpec {
        incident_ref: IncidentRef {
            name: incident.name_any(),
            namespace: Some(own.clone()),
            fingerprint: incident.spec.fingerprint.clone(),
        },
        runbook_ref: DigestRef { name: choice.runbook.clone(), digest },
        policy_ref: LocalRef { name: choice.policy.clone() },
        cause: CauseRef {
            id: cause.id.clone(),
            kind: cause.kind.clone(),
            entity,
            confidence,
            margin,
            evidence_digest: cause.evidence_digest.clone(),
        },
        actions: runbook.spec.steps.iter().map(|step| step.action.kind()).collect(),
        targets: targets(subject, &plan),
        shared_dependencies,
        via: plan::via(&plan),
        summary: bounded(&plan.summary, 1024),
        notes: notes.iter().take(8).map(|note| bounded(note, 512)).collect(),
        risk: plan.risk.max(runbook.spec.risk),
        planned_at: stamp(now),
        plan_digest: plan.digest(),
        diff: plan::plan_diff(&plan),
        mutations: plan.mutations,
        inverse: plan.inverse.clone(),
        verify: runbook.spec.verify.clone(),
        predicted_effect,
        lease_for,
        restores: None,
        expires_at: stamp(now.checked_add(PLAN_LIFETIME).unwrap_or(now)),
    };
    let mut object = Remediation::new(name, spec);
    object.metadata.namespace = Some(cause.target_namespace.clone());
    // An owner in another namespace would have the object collected as garbage.
    if own == cause.target_namespace {
        object.metadata.owner_references = incident.controller_owner_ref(&()).map(|owner| vec![owner]);
    }
    Ok(object)
}

/// The subject first, so that the view can be read again, then everything else that is touched.
fn targets(subject: TargetRef, plan: &Plan) -> Vec<TargetRef> {
    let back = match &plan.inverse {
        Inverse::Mutations(back) => back.as_slice(),
        _ => &[],
    };
    let mut targets = vec![subject];
    for mutation in plan.mutations.iter().chain(back) {
        if !targets.contains(mutation.target()) {
            targets.push(mutation.target().clone());
        }
    }
    targets
}

pub(super) async fn write(
    client: &Client,
    mirrors: &Mirrors,
    object: Remediation,
) -> Result<Arc<Remediation>, ControllerError> {
    let key = ObjectKey::of(&object);
    let api: Api<Remediation> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let created = api.create(&PostParams::default(), &object).await;
    let created = created.doing(|| format!("creating Remediation {key}"))?;
    mirrors.remediations.absorb(created.clone());
    tracing::info!(remediation = %key, summary = created.spec.summary, "repair planned");
    Ok(Arc::new(created))
}
