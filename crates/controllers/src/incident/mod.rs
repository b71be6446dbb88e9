//! Incident: shows what the engine knows, follows its repairs, and asks for the next one.

mod diagnosis;
mod repair;
pub(crate) mod symptom;

use std::sync::Arc;
use std::time::Duration;

use causeway_crds::incident::{IncidentState, IncidentStatus, RemediationLink};
use causeway_crds::{ConditionType, Incident, Outcome, Phase, Reason, Remediation, SymptomState};
use causeway_engine::{Incident as EngineIncident, IncidentPhase};
use causeway_kubekit::{Occurrence, Progress, Reconciler, Report, Requeue, Statement, Truth};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use serde_json::json;

use self::repair::Repair;
use self::symptom::Watermark;
use crate::error::ControllerError;
use crate::mirrors::Mirrors;
use crate::ports::{AuditEntry, Ports};
use crate::services::target_of;
use crate::text::stamp_us;

/// While a repair is on its way, the time of the data is looked at this often.
const FOLLOW: Duration = Duration::from_secs(5);

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
}

/// What was done.
pub(crate) struct Done {
    status: IncidentStatus,
    known: Known,
    repair: Repair,
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
        Ok(Known {
            engine: self.ports.engine.incident(&object.spec.fingerprint),
            watermark: self.ports.engine.watermark(),
            runs: runs_of(&self.mirrors, object),
        })
    }

    fn validate(&self, _object: &Incident, inputs: Known, _now: Timestamp) -> Result<Known, ControllerError> {
        Ok(inputs)
    }

    fn build(&self, object: &Incident, known: Known, _now: Timestamp) -> Result<Wanted, ControllerError> {
        let status = self.status(object, &known);
        let repair = wants_repair(&status, &known).and_then(|()| is_published(object, &status));
        Ok(Wanted { status, known, repair })
    }

    async fn apply(
        &self,
        object: &Incident,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Done, ControllerError> {
        let Wanted { mut status, mut known, repair } = wanted;
        let repair = match repair {
            Err((reason, message)) => Repair::None(reason, message),
            Ok(()) => {
                let mut current = object.clone();
                current.status = Some(status.clone());
                repair::plan_repair(&self.client, &self.mirrors, &current, now).await?
            }
        };
        if let Repair::Planned(run) = &repair {
            known.runs.push(Arc::clone(run));
            status.remediations = links(&known.runs);
            self.ports.audit.record(AuditEntry {
                time_us: now.as_microsecond(),
                namespace: run.namespace().unwrap_or_default(),
                actor: Self::NAME.to_owned(),
                action: "Plan".to_owned(),
                subject: format!("Remediation/{}", run.name_any()),
                detail: json!({"incident": object.name_any(), "summary": run.spec.summary, "planDigest": run.spec.plan_digest}),
            });
        }
        Ok(Done { status, known, repair })
    }

    fn update_status(&self, object: &Incident, done: Done, now: Timestamp) -> Report<IncidentStatus> {
        let Done { status, known, repair } = done;
        let progress = match &known.engine {
            Some(_) => Progress::ready(Reason::Tracked.as_str(), "Followed by the engine"),
            None if status.state == IncidentState::Resolved => {
                Progress::ready(Reason::Tracked.as_str(), "Over")
            }
            None => Progress::reconciling(
                Reason::Waiting.as_str(),
                "The engine does not know this incident; it is no longer followed unless its data comes again",
            ),
        };
        let requeue = if matches!(&repair, Repair::None(Reason::Progressing, _)) {
            Requeue::Now
        } else if active(&known.runs).is_some() && known.engine.is_some() {
            now.checked_add(FOLLOW).map_or(Requeue::OnChange, Requeue::At)
        } else {
            Requeue::OnChange
        };
        let before = object.status.as_ref().map(|status| status.state);
        let mut report = Report::new(status.clone(), progress)
            .condition(diagnosed(&status))
            .condition(mitigated(&status, &known.runs, &repair))
            .condition(resolved(&status))
            .requeue(requeue);
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
    fn status(&self, object: &Incident, known: &Known) -> IncidentStatus {
        let before = object.status.clone().unwrap_or_default();
        let mut status = before.clone();
        status.remediations = links(&known.runs);
        let Some(engine) = &known.engine else {
            if status.state != IncidentState::Resolved {
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
        status.state = state(engine, &known.runs);
        status
    }
}

/// Where the incident stands.
fn state(engine: &EngineIncident, runs: &[Arc<Remediation>]) -> IncidentState {
    let changing = runs.iter().any(|run| matches!(phase(run), Phase::Applying | Phase::Verifying));
    match (engine.phase, symptom::state(engine)) {
        (IncidentPhase::Resolved, _) => IncidentState::Resolved,
        (IncidentPhase::Open, SymptomState::Clear) => IncidentState::Monitoring,
        (IncidentPhase::Open, _) if changing => IncidentState::Mitigating,
        (IncidentPhase::Open, _) => IncidentState::Open,
    }
}

/// Whether a repair is to be looked for; else why not.
fn wants_repair(status: &IncidentStatus, known: &Known) -> Result<(), (Reason, String)> {
    let no = |reason, message: &str| Err((reason, message.to_owned()));
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

fn active(runs: &[Arc<Remediation>]) -> Option<&Arc<Remediation>> {
    runs.iter().find(|run| !phase(run).is_final())
}

fn links(runs: &[Arc<Remediation>]) -> Vec<RemediationLink> {
    let link = |run: &Arc<Remediation>| RemediationLink {
        name: run.name_any(),
        namespace: run.namespace(),
        phase: phase(run),
    };
    runs.iter().rev().take(32).rev().map(link).collect()
}

fn diagnosed(status: &IncidentStatus) -> Statement {
    let name = ConditionType::Diagnosed.as_str();
    match &status.cause {
        None => {
            Statement::new(name, Truth::Unknown, Reason::Evaluating.as_str(), "Evidence is being gathered")
        }
        Some(cause) if cause.abstained => Statement::new(
            name,
            false,
            Reason::Ambiguous.as_str(),
            "The evidence is too weak to name a cause; see status.explanation",
        ),
        Some(cause) => Statement::new(
            name,
            true,
            Reason::CauseFound.as_str(),
            format!("{} of {}, confidence {}", cause.kind, cause.entity, cause.confidence),
        ),
    }
}

fn mitigated(status: &IncidentStatus, runs: &[Arc<Remediation>], repair: &Repair) -> Statement {
    let name = ConditionType::Mitigated.as_str();
    let succeeded = runs
        .iter()
        .rfind(|run| run.status.as_ref().is_some_and(|status| status.outcome == Some(Outcome::Verified)));
    if let (Some(run), true) = (succeeded, status.symptom.state != SymptomState::Firing) {
        let message = format!("{} by Remediation {}", run.spec.summary, run.name_any());
        return Statement::new(name, true, Reason::RemediationSucceeded.as_str(), message);
    }
    match repair {
        Repair::Planned(run) => Statement::new(
            name,
            Truth::Unknown,
            Reason::RemediationPlanned.as_str(),
            format!("Remediation {}: {}", run.name_any(), run.spec.summary),
        ),
        Repair::None(Reason::RemediationPlanned, message) => {
            Statement::new(name, Truth::Unknown, Reason::RemediationPlanned.as_str(), message.clone())
        }
        Repair::None(Reason::SymptomClear, _) if runs.is_empty() => {
            Statement::new(name, true, Reason::SelfRecovered.as_str(), "The symptom went away by itself")
        }
        Repair::None(reason, message) => Statement::new(name, false, reason.as_str(), message.clone()),
    }
}

fn resolved(status: &IncidentStatus) -> Statement {
    let name = ConditionType::Resolved.as_str();
    let summary = status.symptom.summary.clone().unwrap_or_default();
    match (status.state, status.symptom.state) {
        (IncidentState::Resolved | IncidentState::Prevented, _) => {
            Statement::new(name, true, Reason::SymptomClear.as_str(), "The symptom is gone and stayed gone")
        }
        (_, SymptomState::Clear) => Statement::new(
            name,
            Truth::Unknown,
            Reason::SymptomClear.as_str(),
            "The symptom is gone; it is watched whether it stays gone",
        ),
        (_, SymptomState::NoData) => Statement::new(
            name,
            Truth::Unknown,
            Reason::NoData.as_str(),
            "Data is missing: nothing can be said",
        ),
        (_, SymptomState::Firing) => {
            let message = if summary.is_empty() { "The symptom is there".to_owned() } else { summary };
            Statement::new(name, false, Reason::SymptomFiring.as_str(), message)
        }
    }
}
