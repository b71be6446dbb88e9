//! Incidents as the engine sees them: symptoms that belong together, their cause, and whether they still hurt.

use std::collections::BTreeMap;

use causeway_causal::draft::IncidentDraft;
use causeway_model::{Finding, FindingState, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::EngineConfig;

/// What the symptoms of an incident do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SymptomState {
    /// At least one is outside of its band.
    Firing,
    /// All came back, with data flowing.
    Clear,
    /// No data: neither firing nor clear.
    NoData,
}

/// Where an incident is in its life; repairs are the operator's, and not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentPhase {
    /// It hurts, or did until a moment ago.
    Open,
    /// Its symptoms have been clear for long enough.
    Resolved,
}

/// An incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Hash of the entry point, its namespace and of when the first symptom began.
    pub fingerprint: String,
    /// Tenant.
    pub namespace: String,
    /// Service whose symptom opened it.
    pub service: String,
    /// Symptom findings by id, the latest state of each.
    pub symptoms: BTreeMap<String, Finding>,
    /// Start of the first abnormal window.
    pub since_us: Micros,
    /// Data time of detection.
    pub detected_us: Micros,
    /// Phase.
    pub phase: IncidentPhase,
    /// State of the symptoms.
    pub symptom: SymptomState,
    /// Since when.
    pub symptom_since_us: Micros,
    /// Data time of the resolution.
    pub resolved_us: Option<Micros>,
    /// Cause, evidence, explanation, impact and money; `None` while evidence is being gathered.
    pub draft: Option<IncidentDraft>,
    /// Data time of the first ranking.
    pub diagnosed_us: Option<Micros>,
    /// Digest of the bundle of the newest ranking.
    #[serde(default)]
    pub bundle: Option<String>,
    /// Times that it was reopened.
    pub reopened: u32,
    /// Grows with every change worth telling.
    pub revision: u64,
}

impl Incident {
    pub(crate) fn open(finding: &Finding) -> Self {
        let text = format!(
            "{}\u{0}{}\u{0}{}",
            finding.namespace,
            finding.series.entity,
            finding.since_us / 1_000_000
        );
        Self {
            fingerprint: format!("{:012x}", xxh3_64(text.as_bytes()) >> 16),
            namespace: finding.namespace.clone(),
            service: finding.series.entity.to_string(),
            symptoms: BTreeMap::from([(finding.id.clone(), finding.clone())]),
            since_us: finding.since_us,
            detected_us: finding.at_us,
            phase: IncidentPhase::Open,
            symptom: SymptomState::Firing,
            symptom_since_us: finding.at_us,
            resolved_us: None,
            draft: None,
            diagnosed_us: None,
            bundle: None,
            reopened: 0,
            revision: 1,
        }
    }

    /// Whether a symptom that begins at `since_us` belongs here rather than to an incident of its own.
    pub(crate) fn takes(&self, finding: &Finding, config: &EngineConfig) -> bool {
        if self.namespace != finding.namespace {
            return false;
        }
        match self.phase {
            IncidentPhase::Open => finding.since_us - self.since_us <= config.merge_us,
            IncidentPhase::Resolved => {
                self.service == finding.series.entity.as_ref()
                    && self.resolved_us.is_some_and(|t| finding.since_us - t <= config.reopen_us)
            }
        }
    }

    /// Takes a finding of one of its symptoms, or a new symptom.
    pub(crate) fn observe(&mut self, finding: &Finding) {
        let mut latest = finding.clone();
        if finding.state == FindingState::Closed
            && let Some(opened) = self.symptoms.get(&finding.id)
        {
            // What hurt is what people want to read, not the value at which it was over.
            (latest.observed, latest.expected) = (opened.observed, opened.expected);
            (latest.lower, latest.upper, latest.score) = (opened.lower, opened.upper, opened.score);
        }
        self.symptoms.insert(finding.id.clone(), latest);
        if finding.state == FindingState::Open && self.phase == IncidentPhase::Resolved {
            self.phase = IncidentPhase::Open;
            self.resolved_us = None;
            self.reopened += 1;
        }
        self.revision += 1;
    }

    /// Moves the symptom state and the phase at data time `at_us`. `silent`: its signals give no data.
    pub(crate) fn advance(&mut self, at_us: Micros, silent: bool, config: &EngineConfig) {
        let firing = self.symptoms.values().any(|f| f.state == FindingState::Open);
        let state = match (silent, firing) {
            (true, _) => SymptomState::NoData,
            (false, true) => SymptomState::Firing,
            (false, false) => SymptomState::Clear,
        };
        if state != self.symptom {
            self.symptom = state;
            self.symptom_since_us = at_us;
            self.revision += 1;
        }
        let clear_for = at_us - self.symptom_since_us;
        if self.phase == IncidentPhase::Open && state == SymptomState::Clear && clear_for >= config.resolve_us
        {
            self.phase = IncidentPhase::Resolved;
            self.resolved_us = Some(at_us);
            self.revision += 1;
        }
    }

    /// Whether a ranking is due at data time `at_us`.
    pub(crate) fn wants_ranking(&self, at_us: Micros, config: &EngineConfig) -> bool {
        if self.phase != IncidentPhase::Open || self.symptom != SymptomState::Firing {
            return false;
        }
        match (&self.draft, self.diagnosed_us) {
            (Some(draft), Some(first)) => draft.abstained && at_us - first <= config.refine_us,
            _ => at_us - self.detected_us >= config.settle_us,
        }
    }

    /// Takes the result of a ranking. A later one replaces an earlier one that abstained.
    pub(crate) fn diagnosed(&mut self, draft: IncidentDraft, at_us: Micros) {
        self.diagnosed_us.get_or_insert(at_us);
        self.draft = Some(draft);
        self.revision += 1;
    }
}
