//! Reads the world around a Remediation, live: nothing that a decision rests on comes from a mirror.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use causeway_actions::{LiveState, Mutation, TargetRef, live_state, plan_digest};
use causeway_crds::incident::Cause;
use causeway_crds::remediation::MeasuredEffect;
use causeway_crds::view::{
    approval_view, guardrail_view, other_run, pause_view, policy_view, remediation_view, spec_digest,
    symptom_view,
};
use causeway_crds::{
    Approval, ClusterGuardrail, Incident, MonitoredService, Pause, PeakEvent, Remediation, RemediationPolicy,
    Runbook,
};
use causeway_kubekit::{Category, ReconcileError as _};
use causeway_remediate::{
    ClaimOrigin, Direction, Observed, OtherRun, Outcome, RemediationView, StepState, SymptomState,
    SymptomView,
};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proof::{Sources, differs};
use super::{Remediations, World, flag};
use crate::error::{ControllerError, Doing};
use crate::plan::{self, Around};
use crate::services::{runs_on, shared_dependencies};
use crate::target_view::{self, Target};
use crate::{FIXER, objects};

/// The symptom of an Incident that has no status yet: nothing is known, which is not the same as over.
const UNKNOWN: SymptomView = SymptomView { state: SymptomState::NoData, clear_since: None, watermark: None };

/// When Approvals were first seen, by uid: they count from then on, whatever the API server's clock says.
#[derive(Clone, Default)]
pub(crate) struct FirstSeen(Arc<Mutex<HashMap<String, Timestamp>>>);

impl FirstSeen {
    /// Notes an Approval that a watch told of. One that was there before the watch had begun counts from its creation.
    pub(crate) fn watched(&self, approval: &Approval, is_synced: bool, now: Timestamp) {
        let since = if is_synced { now } else { created(approval).unwrap_or(now).min(now) };
        self.0.lock().entry(approval.uid().unwrap_or_default()).or_insert(since);
    }

    /// Since when it counts; one that no watch has told of yet counts from its creation.
    fn of(&self, approval: &Approval) -> Timestamp {
        let seen = self.0.lock().get(&approval.uid().unwrap_or_default()).copied();
        seen.or_else(|| created(approval)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn created(approval: &Approval) -> Option<Timestamp> {
    approval.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

impl Remediations {
    /// Everything that the next decision rests on.
    pub(super) async fn observe(&self, object: &Remediation) -> Result<World, ControllerError> {
        let client = &self.client;
        let namespace = object.namespace().unwrap_or_default();
        let mut view = remediation_view(object);
        let policy: Option<RemediationPolicy> = get(client, &namespace, &object.spec.policy_ref.name).await?;
        let incident_ref = &object.spec.incident_ref;
        let place = incident_ref.namespace.clone().unwrap_or_else(|| namespace.clone());
        let incident: Option<Incident> = get(client, &place, &incident_ref.name).await?;
        let incident = incident.filter(|incident| incident.spec.fingerprint == incident_ref.fingerprint);
        if let Some(now) = incident.as_ref().and_then(cause_of) {
            // Doubts that came up since count.
            view.confidence = view.confidence.min(now.confidence.to_f64());
            view.margin = view.margin.min(now.margin.to_f64());
            // Whether there is new evidence, the Incident tells.
            view.evidence_digest = now.evidence_digest.clone().unwrap_or_default();
        }
        let mut opted_in = BTreeSet::new();
        for namespace in view.namespaces() {
            let fixer: Option<ServiceAccount> = get(client, namespace, FIXER).await?;
            opted_in.extend(fixer.map(|_| namespace.clone()));
        }
        let admission_since = self.admission.since(client).await?;
        let approvals: Vec<Approval> = list(Api::namespaced(client.clone(), &namespace)).await?;
        let name = object.name_any();
        let approvals = approvals
            .iter()
            .filter(|approval| approval.spec.remediation_ref.name == name)
            .map(|approval| {
                // Within the same second nobody knows which came first.
                let before =
                    admission_since.is_some_and(|since| created(approval).is_none_or(|made| made <= since));
                let seen = if before { Timestamp::MIN } else { self.first_seen.of(approval) };
                approval_view(approval, seen)
            })
            .collect();
        let uid = object.uid();
        let runs: Vec<Remediation> = list(Api::all(client.clone())).await?;
        let others: Vec<OtherRun> = runs.iter().filter(|other| other.uid() != uid).map(other_run).collect();
        let services: Vec<MonitoredService> = list(Api::all(client.clone())).await?;
        let guardrails: Vec<ClusterGuardrail> = list(Api::all(client.clone())).await?;
        let pauses: Vec<Pause> = list(Api::all(client.clone())).await?;
        let peaks: Vec<PeakEvent> = list(Api::all(client.clone())).await?;
        let mut live = self.live(&view).await?;
        let claim_origin = self.origin(object, &view);
        // What is not tried yet is tried, whatever the server shows.
        if claim_origin == ClaimOrigin::Found {
            live.extend(self.claimed_flag(&view).await?);
        }
        let hurting = match &object.spec.restores {
            Some(_) => self.hurting(&place, &incident_ref.name).await?,
            None => None,
        };
        let observed = Observed {
            policy: policy.as_ref().map(policy_view),
            guardrails: guardrails.iter().map(guardrail_view).collect(),
            pauses: pauses.iter().map(pause_view).collect(),
            // Depends on the time, which is known when the decision is made.
            peak_ceiling: None,
            peak: None,
            freeze: None,
            // Approvals from before were marked above.
            admission_since: admission_since.map(|_| Timestamp::UNIX_EPOCH),
            opted_in,
            approvals,
            symptom: incident.as_ref().map(|incident| symptom_view(incident).unwrap_or(UNKNOWN)),
            live,
            rebuilt_digest: self
                .rebuilt(object, &view, (policy.as_ref(), incident.as_ref()), (&runs, &others), &services)
                .await?,
            hurting,
            others,
            service_workloads: service_workloads(&services, &view),
            claim_origin,
        };
        Ok(World { view, observed, peaks })
    }

    /// What the operator has measured of the predicted effect, as the Incident says.
    pub(super) async fn measured(
        &self,
        object: &Remediation,
    ) -> Result<Option<MeasuredEffect>, ControllerError> {
        let namespace = object.namespace().unwrap_or_default();
        let reference = &object.spec.incident_ref;
        let place = reference.namespace.as_deref().unwrap_or(&namespace);
        let incident: Option<Incident> = get(&self.client, place, &reference.name).await?;
        let links = incident.and_then(|incident| incident.status).map(|status| status.remediations);
        let own = links.into_iter().flatten().find(|link| {
            link.name == object.name_any() && link.namespace.as_deref().unwrap_or(place) == namespace
        });
        Ok(own.and_then(|link| link.effect))
    }

    /// The live targets that still are the objects that the plan was made for.
    async fn live(&self, view: &RemediationView) -> Result<BTreeMap<String, Value>, ControllerError> {
        let mut live = BTreeMap::new();
        for target in &view.targets {
            let TargetRef { api_version, kind, namespace, name, uid } = target;
            let found = match objects::get(&self.client, api_version, kind, namespace, name).await {
                // What applies the target from elsewhere may not be shown any more: then nothing is done to it.
                Err(error) if *namespace != view.namespace && error.category() == Category::Forbidden => None,
                found => found?,
            };
            if let Some(found) = found.filter(|found| objects::uid(found) == Some(uid)) {
                live.insert(uid.clone(), found);
            }
        }
        // Jobs that the plan makes: whether they are there tells whether they were made.
        for mutation in &view.mutations {
            if let Mutation::CreateJob(job) = mutation {
                let found = objects::get(&self.client, "batch/v1", "Job", &job.target.namespace, &job.name);
                live.extend(found.await?.map(|found| (mutation.live_key(), found)));
            }
        }
        Ok(live)
    }

    /// The flag that the open claim is about, which tells whether the claimed change was made. Nothing if it can't be read.
    async fn claimed_flag(&self, view: &RemediationView) -> Result<Option<(String, Value)>, ControllerError> {
        let claim = view.progress.open_claim();
        let mutation = claim.and_then(|claim| view.mutation(claim.step, claim.direction));
        let Some(Mutation::FlagChange(change)) = mutation else { return Ok(None) };
        let found = flag::look(&self.client, &self.http, change).await?;
        Ok(found.map(|flag| (change.place(), flag)))
    }

    /// The digest of the plan as it would be made now; `None` once something was changed.
    async fn rebuilt(
        &self,
        object: &Remediation,
        view: &RemediationView,
        (policy, incident): (Option<&RemediationPolicy>, Option<&Incident>),
        (runs, others): (&[Remediation], &[OtherRun]),
        services: &[MonitoredService],
    ) -> Result<Option<Result<String, String>>, ControllerError> {
        if view.progress.any(Direction::Apply, StepState::Done) || view.progress.is_undoing() {
            return Ok(None);
        }
        let namespace = object.namespace().unwrap_or_default();
        if let Some(restored) = &object.spec.restores {
            let found = runs.iter().find(|run| {
                run.namespace().as_deref() == Some(namespace.as_str()) && run.name_any() == restored.name
            });
            return self.restored(found, &restored.name, view).await.map(Some);
        }
        let named = &object.spec.runbook_ref;
        let runbook: Option<Runbook> = get(&self.client, &namespace, &named.name).await?;
        let Some(runbook) = runbook else { return Ok(Some(Err(format!("Runbook {} is gone", named.name)))) };
        let digest = spec_digest(&runbook.spec).doing(|| format!("digesting Runbook {}", named.name))?;
        if digest != named.digest {
            return Ok(Some(Err(format!("Runbook {} was changed since", named.name))));
        }
        let Some(first) = view.targets.first() else { return Ok(Some(Err("no target".to_owned()))) };
        let target = Target {
            api_version: first.api_version.clone(),
            kind: first.kind.clone(),
            namespace: first.namespace.clone(),
            name: first.name.clone(),
        };
        let planned_at = object.spec.planned_at.0;
        let git = policy.and_then(|policy| policy.spec.git_ops.as_ref());
        let seen =
            target_view::read(&self.client, &target, &runbook.spec, git, &view.name, planned_at).await?;
        let around = Around {
            kind: object.spec.cause.kind.clone(),
            entity: object.spec.cause.entity.clone(),
            confidence: view.confidence,
            margin: view.margin,
            running: others.iter().filter(|run| run.is_running()).count(),
        };
        let listed = policy.and_then(|policy| policy.spec.listed(&named.name));
        let made = plan::of(&runbook, listed, git, &seen, &around);
        let on: Vec<MonitoredService> = services
            .iter()
            .filter(|service| runs_on(service, &target.kind, &target.namespace, &target.name))
            .cloned()
            .collect();
        Ok(Some(made.map_err(|refusal| refusal.to_string()).and_then(|plan| {
            let sources = Sources {
                runbook: &runbook,
                plan: &plan,
                lease: plan::lease(policy, &plan),
                cause: incident.and_then(cause_of),
                shared: shared_dependencies(&on),
            };
            differs(&object.spec, &sources).map_or_else(|| Ok(plan.digest()), Err)
        })))
    }

    /// The digest of what takes the named Remediation back now.
    async fn restored(
        &self,
        found: Option<&Remediation>,
        name: &str,
        view: &RemediationView,
    ) -> Result<Result<String, String>, ControllerError> {
        let Some(found) = found else { return Ok(Err(format!("Remediation {name} is gone"))) };
        let outcome = found.status.as_ref().and_then(|status| status.outcome);
        if outcome != Some(Outcome::Verified) {
            return Ok(Err(format!("Remediation {name} has not helped: there is nothing to take back")));
        }
        let Some((mutations, inverse)) = plan::restoring(&found.spec) else {
            return Ok(Err(format!("Remediation {name} has no way back")));
        };
        let live = self.live(view).await?;
        let ours = |mutation: &Mutation| match live_state(mutation, live.get(&mutation.live_key())) {
            LiveState::Old => true,
            // Nobody has looked at a flag yet: the rehearsal does, and the step itself.
            LiveState::Unknown => matches!(mutation, Mutation::FlagChange(_)),
            LiveState::New | LiveState::Foreign => false,
        };
        if !mutations.iter().all(ours) {
            return Ok(Err("somebody has changed it since: it is left as it is".to_owned()));
        }
        Ok(Ok(plan_digest(&mutations, &inverse)))
    }

    /// Another Incident of the namespace whose symptom is there.
    async fn hurting(&self, namespace: &str, own: &str) -> Result<Option<String>, ControllerError> {
        let incidents: Vec<Incident> = list(Api::namespaced(self.client.clone(), namespace)).await?;
        let hurts = |incident: &&Incident| {
            let state = incident.status.as_ref().map(|status| status.symptom.state);
            incident.name_any() != own && state == Some(SymptomState::Firing)
        };
        let found = incidents.iter().find(hurts);
        Ok(found.map(|incident| format!("Incident {}", incident.name_any())))
    }
}

/// Workloads of the services of the namespace that run on the targets; at least 1.
fn service_workloads(services: &[MonitoredService], view: &RemediationView) -> usize {
    let touches = |service: &&MonitoredService| {
        service.namespace().as_deref() == Some(view.namespace.as_str())
            && service.spec.workloads.iter().any(|workload| {
                view.targets.iter().any(|t| t.kind == workload.kind && t.name == workload.name)
            })
    };
    services.iter().filter(touches).map(|service| service.spec.workloads.len()).max().unwrap_or(1).max(1)
}

fn cause_of(incident: &Incident) -> Option<&Cause> {
    incident.status.as_ref()?.cause.as_ref()
}

async fn get<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, ControllerError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.get_opt(name).await.doing(|| format!("reading {} {namespace}/{name}", K::kind(&())))
}

async fn list<K>(api: Api<K>) -> Result<Vec<K>, ControllerError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let found = api.list(&ListParams::default()).await;
    found.map(|list| list.items).doing(|| format!("listing {}", K::kind(&())))
}
