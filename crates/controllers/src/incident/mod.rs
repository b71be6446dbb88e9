//! Incident: shows what the engine knows, follows its repairs, and asks for the next one.

mod conditions;
mod diagnosis;
mod escalation;
mod lease;
mod repair;
pub(crate) mod symptom;

use std::sync::Arc;
use std::time::Duration;

use causeway_crds::incident::{IncidentState, IncidentStatus, RemediationLink};
use causeway_crds::{ConditionType, Incident, Phase, Reason, Remediation, SymptomState};
use causeway_engine::{Incident as EngineIncident, IncidentPhase};
use causeway_kubekit::{ObjectKey, Occurrence, Progress, Reconciler, Report, Requeue, Statement};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::json;

use self::conditions::{diagnosed, mitigated, resolved, silenced};
pub(crate) use self::diagnosis::cause_kind;
use self::repair::Repair;
use self::symptom::Watermark;
use crate::error::{ControllerError, Doing};
use crate::mirrors::Mirrors;
use crate::ports::{AuditEntry, Engine, Ports};
use crate::services::target_of;
use crate::text::{bounded, stamp, stamp_us};
use crate::what_if;

/// How long the object of an incident that is over is kept; its record in the lake stays as long as the lake keeps it.
pub(crate) const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// While a repair is on its way, the time of the data is looked at this often.
const FOLLOW: Duration = Duration::from_secs(5);
/// How long after the end of a repair its effect is waited for.
const MEASURED_WITHIN: Duration = Duration::from_secs(900);

pub(crate) struct Incidents {
    pub(crate) client: Client,
    pub(crate) mirrors: Mirrors,
    pub(crate) ports: Ports,
}

/// What is known of the incident.
pub(crate) struct Known {
    engine: Option<EngineIncident>,
    watermark: Option<i64>,
    /// Its repairs, oldest first.
    runs: Vec<Arc<Remediation>>,
}

/// The new status, and whether a repair is wanted.
pub(crate) struct Wanted {
    status: IncidentStatus,
    known: Known,
    repair: Result<(), (Reason, String)>,
    /// When it is to be told anew.
    escalates_at: Option<Timestamp>,
}

/// What was done.
pub(crate) struct Done {
    status: IncidentStatus,
    known: Known,
    repair: Repair,
    escalates_at: Option<Timestamp>,
}

impl Reconciler for Incidents {
    type Kind = Incident;
    type Inputs = Known;
    type Valid = Known;
    type Built = Wanted;
    type Applied = Done;
    type Error = ControllerError;

    const NAME: &'static str = "incident";

    async fn dereference(&self, object: &Incident) -> Result<Known, ControllerError> {
        let (held, missed) = what_if::tally(&self.mirrors.remediations.list());
        self.ports.engine.set_effects(held, missed);
        Ok(Known {
            engine: self.ports.engine.incident(&object.spec.fingerprint),
            watermark: self.ports.engine.watermark(),
            runs: runs_of(&self.mirrors, object),
        })
    }

    fn validate(&self, _object: &Incident, inputs: Known, _now: Timestamp) -> Result<Known, ControllerError> {
        Ok(inputs)
    }

    fn build(&self, object: &Incident, known: Known, now: Timestamp) -> Result<Wanted, ControllerError> {
        let mut status = self.status(object, &known, now);
        let escalation = escalation::look(object, &status, &known.runs, &self.mirrors, now);
        status.escalated = status.escalated.or(escalation.now);
        let repair = wants_repair(&status, &known).and_then(|()| is_published(object, &status));
        Ok(Wanted { status, known, repair, escalates_at: escalation.at })
    }

    async fn apply(
        &self,
        object: &Incident,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Done, ControllerError> {
        let Wanted { mut status, mut known, repair, escalates_at } = wanted;
        self.merge(object, &known);
        if let Some(gone) = self.retire(object, &status, now).await? {
            tracing::info!(incident = %gone, "Incident deleted: it has been over for long");
        }
        let repair = match repair {
            Err((reason, message)) => match lease::next_end(&known.runs).filter(|(end, _)| *end <= now) {
                Some((_, run))
                    if status.symptom.state == SymptomState::Clear
                        && active(&known.runs).is_none()
                        && !lease::peak_is_on(&self.mirrors, run, now) =>
                {
                    match lease::propose(&self.client, &self.mirrors, &self.ports, object, run, now).await? {
                        Some(proposed) => Repair::Planned(proposed),
                        None => Repair::None(reason, message),
                    }
                }
                _ => Repair::None(reason, message),
            },
            Ok(()) => {
                let mut current = object.clone();
                current.status = Some(status.clone());
                repair::plan_repair(&self.client, &self.mirrors, &self.ports, &current, now).await?
            }
        };
        if let Some(entry) = escalation::entry(object, &status, now) {
            self.ports.audit.record(entry);
        }
        if let Repair::Planned(run) = &repair {
            known.runs.push(Arc::clone(run));
            status.remediations = links(&known.runs, &status.remediations, &*self.ports.engine);
            self.ports.audit.record(AuditEntry {
                time_us: now.as_microsecond(),
                namespace: run.namespace().unwrap_or_default(),
                actor: Self::NAME.to_owned(),
                action: "Plan".to_owned(),
                subject: format!("Remediation/{}", run.name_any()),
                detail: json!({"incident": object.name_any(), "summary": run.spec.summary, "planDigest": run.spec.plan_digest}),
            });
        }
        Ok(Done { status, known, repair, escalates_at })
    }

    fn update_status(&self, object: &Incident, done: Done, now: Timestamp) -> Report<IncidentStatus> {
        let Done { status, known, repair, escalates_at } = done;
        let progress = match &known.engine {
            Some(_) => Progress::ready(Reason::Tracked.as_str(), "Followed by the engine"),
            None if is_over(status.state) => Progress::ready(Reason::Tracked.as_str(), "Over"),
            None => Progress::reconciling(
                Reason::Waiting.as_str(),
                "The engine does not know this incident; it is no longer followed unless its data comes again",
            ),
        };
        let silent_until =
            object.spec.silence_until.as_ref().map(|until| until.0).filter(|until| *until > now);
        let retires =
            retires_at(&status).or_else(|| now.checked_add(KEPT).ok()).filter(|_| is_over(status.state));
        let requeue = if let Some(at) = retires.filter(|at| *at > now) {
            Requeue::At(at)
        } else if let Some(at) = silent_until.filter(|_| active(&known.runs).is_none()) {
            Requeue::At(at)
        } else if matches!(&repair, Repair::None(Reason::Progressing, _)) {
            Requeue::Now
        } else if (active(&known.runs).is_some() || is_measured(&known.runs, now)) && known.engine.is_some() {
            now.checked_add(FOLLOW).map_or(Requeue::OnChange, Requeue::At)
        } else {
            lease::next_look(&known.runs, now).map_or(Requeue::OnChange, Requeue::At)
        };
        let requeue = escalation::in_time(requeue, escalates_at);
        let before = object.status.as_ref().map(|status| status.state);
        let mut report = Report::new(status.clone(), progress)
            .condition(diagnosed(&status))
            .condition(mitigated(&status, &known.runs, &repair))
            .condition(resolved(&status))
            .requeue(requeue);
        if let Some(acknowledge) = &object.spec.acknowledge {
            report = report.condition(Statement::new(
                ConditionType::Acknowledged.as_str(),
                true,
                Reason::AcknowledgedBy.as_str(),
                format!("{} looks after it", acknowledge.by),
            ));
        }
        if object.spec.silence_until.is_some() {
            report = report.condition(silenced(silent_until));
        }
        report = escalation::report(report, object, &status);
        if before != Some(status.state) {
            let symptom = status.symptom.summary.clone().unwrap_or_default();
            report = report.occurrence(Occurrence::normal(format!("{:?}", status.state), symptom));
        }
        if let Repair::Planned(run) = &repair {
            report = report.occurrence(Occurrence::normal(
                Reason::RemediationPlanned.as_str(),
                format!("{}: {}", run.name_any(), run.spec.summary),
            ));
        }
        report
    }
}

impl Incidents {
    /// Makes the incident a part of the one that a person names in its spec.
    fn merge(&self, object: &Incident, known: &Known) {
        let (Some(engine), Some(into)) = (&known.engine, &object.spec.merge_into) else { return };
        let namespace = object.namespace().unwrap_or_default();
        let kept = self.mirrors.incidents.get(&ObjectKey::namespaced(&namespace, into));
        if let Some(kept) = kept.filter(|_| engine.merged_into.is_none()) {
            self.ports.engine.merge(&engine.fingerprint, &kept.spec.fingerprint);
        }
    }

    /// Deletes the object of an incident that has been over for [`KEPT`].
    async fn retire(
        &self,
        object: &Incident,
        status: &IncidentStatus,
        now: Timestamp,
    ) -> Result<Option<ObjectKey>, ControllerError> {
        if retires_at(status).is_none_or(|at| at > now) {
            return Ok(None);
        }
        let key = ObjectKey::of(object);
        let api: Api<Incident> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let exactly = Preconditions { uid: object.uid(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
        match api.delete(&key.name, &parameters).await {
            Ok(_) => Ok(Some(key)),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
            Err(error) => Err(error).doing(|| format!("deleting Incident {key}")),
        }
    }

    fn status(&self, object: &Incident, known: &Known, now: Timestamp) -> IncidentStatus {
        let before = object.status.clone().unwrap_or_default();
        let mut status = before.clone();
        status.remediations = links(&known.runs, &before.remediations, &*self.ports.engine);
        let Some(engine) = &known.engine else {
            if !is_over(status.state) {
                status.symptom.state = SymptomState::NoData;
                status.symptom.clear_since = None;
            }
            return status;
        };
        status.started_at = Some(stamp_us(engine.since_us));
        status.resolved_at = engine.resolved_us.map(stamp_us);
        let precision = if active(&known.runs).is_some() { Watermark::Exact } else { Watermark::Coarse };
        status.symptom = symptom::status(engine, &before.symptom, known.watermark, precision);
        if let Some(draft) = &engine.draft {
            let namespace = object.namespace().unwrap_or_default();
            let target = (!draft.abstained && !draft.cause.entity.is_empty())
                .then(|| target_of(&self.mirrors, &draft.cause.entity, &namespace))
                .flatten();
            diagnosis::fill(&mut status, draft, target.as_ref());
            status.bundle.clone_from(&engine.bundle);
        }
        status.predicted = engine.predicted.as_ref().map(symptom::predicted);
        if let (Some(foretold), None) = (&engine.predicted, &status.symptom.summary) {
            status.symptom.summary = Some(bounded(&foretold.note, 512));
        }
        let namespace = object.namespace().unwrap_or_default();
        status.merged_into = engine.merged_into.as_ref().and_then(|fingerprint| {
            let all = self.mirrors.incidents.list_in(&namespace);
            all.iter().find(|incident| incident.spec.fingerprint == *fingerprint).map(|kept| kept.name_any())
        });
        status.state = state(engine, &known.runs);
        if status.opened_at.is_none() && status.state != IncidentState::Predicted {
            status.opened_at = Some(stamp(now));
        }
        // The object is kept from now on, whatever the time of its data.
        if is_over(status.state) && status.resolved_at.is_none() {
            status.resolved_at = Some(stamp(now));
        }
        status
    }
}

/// Where the incident stands.
fn state(engine: &EngineIncident, runs: &[Arc<Remediation>]) -> IncidentState {
    let changing = runs.iter().any(|run| matches!(phase(run), Phase::Applying | Phase::Verifying));
    match (engine.phase, symptom::state(engine)) {
        (IncidentPhase::Predicted, _) => IncidentState::Predicted,
        (IncidentPhase::Prevented, _) => IncidentState::Prevented,
        (IncidentPhase::Resolved, _) => IncidentState::Resolved,
        (IncidentPhase::Open, SymptomState::Clear) => IncidentState::Monitoring,
        (IncidentPhase::Open, _) if changing => IncidentState::Mitigating,
        (IncidentPhase::Open, _) => IncidentState::Open,
    }
}

fn is_over(state: IncidentState) -> bool {
    matches!(state, IncidentState::Resolved | IncidentState::Prevented)
}

/// When the object of an incident that is over is deleted: by the clock, counted from when the status first said so.
fn retires_at(status: &IncidentStatus) -> Option<Timestamp> {
    let resolved = ConditionType::Resolved.as_str();
    let over =
        status.conditions.iter().find(|condition| condition.type_ == resolved && condition.status == "True");
    let since = over.filter(|_| is_over(status.state))?.last_transition_time.0;
    since.checked_add(KEPT).ok()
}

/// Whether a repair is to be looked for; else why not.
fn wants_repair(status: &IncidentStatus, known: &Known) -> Result<(), (Reason, String)> {
    let no = |reason, message: &str| Err((reason, message.to_owned()));
    if status.state == IncidentState::Predicted {
        return no(Reason::CrossingAhead, "Nobody is hurt yet: there is no symptom to repair");
    }
    if known.engine.is_none() {
        return no(Reason::NoData, "Nothing is known of the incident now: no reason to act");
    }
    match status.symptom.state {
        SymptomState::Clear => return no(Reason::SymptomClear, "The symptom is gone"),
        SymptomState::NoData => return no(Reason::NoData, "Data is missing: no reason to act"),
        SymptomState::Firing => {}
    }
    let Some(cause) = &status.cause else { return no(Reason::Evaluating, "Evidence is being gathered") };
    if cause.abstained {
        return no(Reason::Ambiguous, "No cause stands out: somebody has to look");
    }
    if let Some(run) = active(&known.runs) {
        return no(Reason::RemediationPlanned, &format!("Remediation {} is on its way", run.name_any()));
    }
    Ok(())
}

/// Whether the status in the API says already what a plan would rest on. The executor reads it there: a plan made
/// before it is written would be judged by what was known before.
fn is_published(object: &Incident, status: &IncidentStatus) -> Result<(), (Reason, String)> {
    let same = object
        .status
        .as_ref()
        .is_some_and(|old| old.symptom.state == status.symptom.state && old.cause == status.cause);
    if same { Ok(()) } else { Err((Reason::Progressing, "A repair is being looked for".to_owned())) }
}

/// Its repairs, in the order of their plans.
fn runs_of(mirrors: &Mirrors, incident: &Incident) -> Vec<Arc<Remediation>> {
    let mut runs = mirrors.remediations.list();
    runs.retain(|run| run.spec.incident_ref.fingerprint == incident.spec.fingerprint);
    runs.sort_by_key(|run| (run.spec.planned_at.0, run.name_any().len(), run.name_any()));
    runs
}

fn phase(run: &Remediation) -> Phase {
    run.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// Whether the effect of a repair that ended not long ago is still to be measured.
fn is_measured(runs: &[Arc<Remediation>], now: Timestamp) -> bool {
    let fresh = |run: &Remediation| {
        let ended = run.status.as_ref().and_then(|status| status.finished_at.as_ref()).map(|at| at.0);
        ended.and_then(|at| at.checked_add(MEASURED_WITHIN).ok()).is_some_and(|until| now < until)
    };
    runs.iter().any(|run| what_if::awaits(run) && fresh(run))
}

fn active(runs: &[Arc<Remediation>]) -> Option<&Arc<Remediation>> {
    runs.iter().find(|run| !phase(run).is_final())
}

/// The repairs, with what was measured of them; what was measured once stays.
fn links(runs: &[Arc<Remediation>], before: &[RemediationLink], engine: &dyn Engine) -> Vec<RemediationLink> {
    let link = |run: &Arc<Remediation>| {
        let (name, namespace) = (run.name_any(), run.namespace());
        let known = before.iter().find(|link| link.name == name && link.namespace == namespace);
        let kept = known.and_then(|link| link.effect.clone());
        RemediationLink {
            phase: phase(run),
            effect: kept.or_else(|| what_if::measure(engine, run)),
            name,
            namespace,
        }
    };
    runs.iter().rev().take(32).rev().map(link).collect()
}
