//! Cause, evidence, path, impact and money of an incident as its status shows them.

use std::collections::BTreeSet;

use causeway_actions::{Decimal, canonical_json, sha256_hex};
use causeway_causal::draft::{CauseDraft, EvidenceItem as Draft, IncidentDraft, Severity as DraftSeverity};
use causeway_causal::ranking::{CauseClass, Evidence, EvidenceKind};
use causeway_causal::wording::sentence;
use causeway_crds::CauseKind;
use causeway_crds::impact::{Impact, Interval, Money, Requests};
use causeway_crds::incident::{Cause, EvidenceItem, IncidentStatus, PathStep, RunnerUp, Sentence, Severity};
use causeway_crds::reference::ObjectRef;
use serde_json::json;

use crate::target_view::Target;
use crate::text::{bounded, stamp_us};

/// The class of a cause in the words that runbooks use.
pub(crate) fn cause_kind(class: CauseClass) -> CauseKind {
    match class {
        CauseClass::BadRelease => CauseKind::BadRelease,
        CauseClass::BadConfig => CauseKind::BadConfig,
        CauseClass::Saturation | CauseClass::Overload => CauseKind::Saturation,
        CauseClass::FaultyInstance | CauseClass::SlowItself | CauseClass::FailsItself => {
            CauseKind::FaultyInstance
        }
        CauseClass::NetworkDelay => CauseKind::NetworkDelay,
        CauseClass::DependencyDown => CauseKind::DependencyDown,
        CauseClass::CodeException | CauseClass::CodeReturn => CauseKind::CodeFault,
        CauseClass::CrashLoop => CauseKind::CrashLoop,
        CauseClass::OutOfMemory => CauseKind::MemoryLeak,
        CauseClass::CertificateExpiry => CauseKind::CertificateExpiry,
        CauseClass::StuckRollout => CauseKind::StuckRollout,
        CauseClass::DiskFull => CauseKind::DiskFull,
        CauseClass::ConnectionPool => CauseKind::ConnectionPool,
        CauseClass::QueueGrowth => CauseKind::QueueGrowth,
        CauseClass::NodePressure => CauseKind::NodePressure,
        CauseClass::Unknown => CauseKind::Unknown,
    }
}

/// How bad, in the words of the API.
pub(super) fn severity(draft: &IncidentDraft) -> Severity {
    match draft.severity {
        DraftSeverity::Sev1 | DraftSeverity::Sev2 => Severity::Critical,
        DraftSeverity::Sev3 => Severity::Warning,
        DraftSeverity::Sev4 => Severity::Info,
    }
}

/// Writes everything that the draft says into the status.
pub(super) fn fill(status: &mut IncidentStatus, draft: &IncidentDraft, target: Option<&Target>) {
    status.severity = severity(draft);
    status.cause = Some(cause(draft, target));
    status.path = path(draft);
    status.impact = Some(Impact {
        services: i32::try_from(draft.impact.services.len()).unwrap_or(i32::MAX),
        entry_points: draft.impact.entry_points.iter().take(32).map(|name| bounded(name, 253)).collect(),
        affected_share: draft.impact.request_share.map(|share| Decimal::from_f64(share, 3)),
        requests: draft.impact.requests.map(|requests| Requests {
            affected: i64::try_from(requests.affected).unwrap_or(i64::MAX),
            all: i64::try_from(requests.all).unwrap_or(i64::MAX),
        }),
        error_budget_per_hour: draft.impact.error_budget_per_hour.map(|share| Decimal::from_f64(share, 3)),
    });
    status.money = draft.money.as_ref().map(|money| Money {
        currency: bounded(&money.currency, 3),
        at_risk_per_hour: Decimal::from_f64(money.at_risk_per_hour, 2),
        interval: Some(Interval {
            low: Decimal::from_f64(money.interval.0, 2),
            high: Decimal::from_f64(money.interval.1, 2),
        }),
        revenue_per_hour: Some(Decimal::from_f64(money.revenue_per_hour, 2)),
        // With digits enough for what is computed from it.
        affected_share: Some(Decimal::from_f64(money.share.value, 6)),
        seconds: Some(money.seconds.round() as i64),
        loss_so_far: Some(Decimal::from_f64(money.loss_so_far, 2)),
        method: Some(bounded(&money.method, 256)),
        assumptions: money.assumptions.iter().take(8).map(|text| bounded(text, 256)).collect(),
    });
    let evidence: Vec<EvidenceItem> =
        draft.evidence.iter().take(64).map(|item| evidence(item, draft.opened_us)).collect();
    let known: BTreeSet<&str> = evidence.iter().map(|item| item.id.as_str()).collect();
    status.explanation = draft
        .explanation
        .iter()
        .take(32)
        .map(|sentence| Sentence {
            text: bounded(&sentence.text, 1024),
            evidence: sentence
                .evidence
                .iter()
                .filter(|id| known.contains(id.as_str()))
                .take(16)
                .cloned()
                .collect(),
        })
        .filter(|sentence| !sentence.text.is_empty() && !sentence.evidence.is_empty())
        .collect();
    status.evidence = evidence;
}

fn cause(draft: &IncidentDraft, target: Option<&Target>) -> Cause {
    let entity =
        if draft.cause.entity.is_empty() { "unknown".to_owned() } else { bounded(&draft.cause.entity, 512) };
    Cause {
        id: bounded(&draft.signature, 128),
        kind: cause_kind(draft.cause.kind).as_str().to_owned(),
        entity,
        target: target.map(|target| ObjectRef {
            api_version: target.api_version.clone(),
            kind: target.kind.clone(),
            namespace: Some(target.namespace.clone()),
            name: target.name.clone(),
        }),
        change: (!draft.cause.change.is_empty()).then(|| bounded(&draft.cause.change, 1024)),
        confidence: Decimal::from_f64(draft.cause.confidence, 3),
        margin: Decimal::from_f64(draft.margin, 3),
        runners_up: draft.runners_up.iter().take(8).map(runner_up).collect(),
        abstained: draft.abstained,
        evidence_digest: Some(evidence_digest(draft)),
    }
}

fn runner_up(draft: &CauseDraft) -> RunnerUp {
    RunnerUp {
        kind: cause_kind(draft.kind).as_str().to_owned(),
        entity: bounded(&draft.entity, 512),
        confidence: Decimal::from_f64(draft.confidence, 3),
    }
}

/// Digest of what the cause rests on: which observations, not their last decimals, so that only evidence of another
/// kind or about another thing counts as new.
pub(super) fn evidence_digest(draft: &IncidentDraft) -> String {
    let seen: BTreeSet<(&str, &str, &str)> = draft
        .evidence
        .iter()
        .map(|item| {
            let Evidence { kind, entity, signal, .. } = &item.evidence;
            (kind_name(*kind), entity.as_str(), signal.as_str())
        })
        .collect();
    let value = json!({"cause": draft.cause.entity, "change": draft.cause.change, "kind": draft.cause.kind.as_str(), "seen": seen});
    sha256_hex(canonical_json(&value).as_bytes())
}

fn path(draft: &IncidentDraft) -> Vec<PathStep> {
    draft
        .path
        .windows(2)
        .take(32)
        .map(|pair| PathStep {
            from: bounded(&pair[0], 512),
            to: bounded(&pair[1], 512),
            relation: Some("calledBy".to_owned()),
            evidence: draft
                .evidence
                .iter()
                .filter(|item| item.evidence.entity == pair[0])
                .map(|item| item.id.clone())
                .take(16)
                .collect(),
        })
        .collect()
}

fn kind_name(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Metric => "Metric",
        EvidenceKind::Trace => "Trace",
        EvidenceKind::Log => "Log",
        EvidenceKind::Topology => "Topology",
        EvidenceKind::Change => "Change",
        EvidenceKind::State => "State",
    }
}

fn evidence(item: &Draft, opened_us: i64) -> EvidenceItem {
    EvidenceItem {
        id: bounded(&item.id, 63),
        r#type: kind_name(item.evidence.kind).to_owned(),
        summary: Some(bounded(&sentence(&item.evidence), 512)),
        reference: item.query.as_ref().map(|query| bounded(query, 512)),
        at: stamp_us(item.evidence.at_us.unwrap_or(opened_us)),
    }
}
