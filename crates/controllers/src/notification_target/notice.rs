//! An Incident as a notice.

use causeway_crds::incident::{IncidentState, IncidentStatus, Severity};
use causeway_crds::{Incident, Remediation};
use causeway_kubekit::ObjectKey;
use causeway_notify::{
    IncidentNotice, IncidentState as State, Link, Prediction, RemediationNotice, Severity as Level,
    Statement, Times,
};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::mirrors::Mirrors;

/// The notice; `None` before the incident has a status.
pub(super) fn of(
    incident: &Incident,
    mirrors: &Mirrors,
    console: Option<&str>,
    now: Timestamp,
) -> Option<IncidentNotice> {
    let status = incident.status.as_ref()?;
    let (namespace, name) = (incident.namespace().unwrap_or_default(), incident.name_any());
    let service = incident.spec.opened_for.service.clone();
    let title = status.symptom.summary.clone().unwrap_or_else(|| format!("{service} misbehaves"));
    let named = status.cause.as_ref().filter(|cause| !cause.abstained);
    Some(IncidentNotice {
        id: incident.spec.fingerprint.clone(),
        severity: level(status.severity),
        state: state(status.state),
        title,
        service,
        cause: named.map(|cause| match &cause.change {
            Some(change) => format!("{} of {}: {change}", cause.kind, cause.entity),
            None => format!("{} of {}", cause.kind, cause.entity),
        }),
        confidence: named.map(|cause| cause.confidence.to_f64()),
        evidence: status
            .explanation
            .iter()
            .map(|sentence| Statement { text: sentence.text.clone(), evidence: sentence.evidence.clone() })
            .collect(),
        impact: impact(status),
        remediation: remediation(status, &namespace, mirrors),
        escalated: status.escalated.as_ref().map(|escalation| escalation.message.clone()),
        links: console
            .map(|url| Link { label: "Open".to_owned(), url: format!("{url}/incidents/{namespace}/{name}") })
            .into_iter()
            .collect(),
        predicted: status.predicted.as_ref().filter(|_| status.state == IncidentState::Predicted).and_then(
            |p| {
                Some(Prediction {
                    probability: p.probability.as_ref()?.to_f64(),
                    deadline: p.deadline.as_ref()?.0,
                })
            },
        ),
        times: Times {
            opened: status.started_at.as_ref().map_or(now, |time| time.0),
            updated: now,
            resolved: status.resolved_at.as_ref().map(|time| time.0),
        },
        name,
        namespace,
    })
}

fn remediation(status: &IncidentStatus, namespace: &str, mirrors: &Mirrors) -> Option<RemediationNotice> {
    let link = status.remediations.last()?;
    let place = link.namespace.as_deref().unwrap_or(namespace);
    let run: std::sync::Arc<Remediation> =
        mirrors.remediations.get(&ObjectKey::namespaced(place, &link.name))?;
    Some(RemediationNotice {
        name: link.name.clone(),
        phase: link.phase.as_str().to_owned(),
        action: run.spec.summary.clone(),
        effect: run.spec.predicted_effect.as_ref().map(|effect| effect.summary.clone()).unwrap_or_default(),
        diff: run.spec.diff.clone(),
    })
}

fn impact(status: &IncidentStatus) -> Option<String> {
    let impact = status.impact.as_ref()?;
    let mut parts = Vec::new();
    if impact.services > 0 {
        parts.push(format!("{} services affected", impact.services));
    }
    if let Some(share) = &impact.affected_share {
        parts.push(format!(
            "{:.0} % of requests at {}",
            share.to_f64() * 100.0,
            impact.entry_points.join(", ")
        ));
    }
    if let Some(money) = &status.money {
        parts.push(format!("{} {} an hour at risk", money.at_risk_per_hour, money.currency));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The severity in the words of notices.
pub(super) fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Info,
        Severity::Warning => Level::Warning,
        Severity::Critical => Level::Critical,
    }
}

fn state(state: IncidentState) -> State {
    match state {
        IncidentState::Predicted => State::Predicted,
        IncidentState::Open => State::Open,
        IncidentState::Mitigating => State::Mitigating,
        IncidentState::Monitoring => State::Monitoring,
        IncidentState::Resolved => State::Resolved,
        IncidentState::Prevented => State::Prevented,
    }
}
