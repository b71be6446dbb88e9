//! Conditions of an Incident.

use causeway_crds::incident::{IncidentState, IncidentStatus};
use causeway_crds::{ConditionType, Outcome, Reason, Remediation, SymptomState};
use causeway_kubekit::{Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;

use std::sync::Arc;

use super::repair::Repair;

pub(super) fn diagnosed(status: &IncidentStatus) -> Statement {
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

pub(super) fn mitigated(status: &IncidentStatus, runs: &[Arc<Remediation>], repair: &Repair) -> Statement {
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

/// Messages begin again by the change of this condition.
pub(super) fn silenced(until: Option<Timestamp>) -> Statement {
    let name = ConditionType::Silenced.as_str();
    match until {
        Some(until) => {
            Statement::new(name, true, Reason::SilencedUntil.as_str(), format!("No messages until {until}"))
        }
        None => Statement::new(name, false, Reason::SilenceOver.as_str(), "Messages are sent again"),
    }
}

pub(super) fn resolved(status: &IncidentStatus) -> Statement {
    let name = ConditionType::Resolved.as_str();
    let summary = status.symptom.summary.clone().unwrap_or_default();
    match (status.state, status.symptom.state) {
        (IncidentState::Predicted, _) => Statement::new(
            name,
            Truth::Unknown,
            Reason::CrossingAhead.as_str(),
            "It is foretold, and nobody is hurt yet",
        ),
        (IncidentState::Resolved, _) if status.merged_into.is_some() => {
            let kept = status.merged_into.clone().unwrap_or_default();
            Statement::new(name, true, Reason::Merged.as_str(), format!("It is a part of Incident {kept}"))
        }
        (IncidentState::Prevented, _) => {
            Statement::new(name, true, Reason::NoCrossing.as_str(), "What was foretold did not happen")
        }
        (IncidentState::Resolved, _) => {
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
