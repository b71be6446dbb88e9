//! Incidents as the engine sees them: symptoms that belong together, their cause, and whether they still hurt.

use std::collections::BTreeMap;

use causeway_causal::draft::IncidentDraft;
use causeway_causal::fingerprint::fingerprint;
use causeway_causal::impact::Requests;
use causeway_model::{Finding, FindingState, Micros, SeriesId};
use causeway_predict::Grade;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::EngineConfig;
use crate::state::is_state;

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
    /// It is foretold, and nobody is hurt yet.
    Predicted,
    /// It hurts, or did until a moment ago.
    Open,
    /// Its symptoms have been clear for long enough, or it became a part of another incident.
    Resolved,
    /// It was foretold, and did not happen.
    Prevented,
}

/// By how much another cause must be more probable than the one that was told, to take its place.
const SURER: f64 = 0.1;

/// Figures by entity and signal.
pub type Peaks = BTreeMap<String, f64>;

fn peak_key(series: &SeriesId) -> String {
    format!("{} {}", series.entity, series.signal)
}

/// Why an incident was opened before anybody was hurt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Which series will cross its bound.
    pub series: SeriesId,
    /// When it was said.
    pub made_us: Micros,
    /// By when.
    pub deadline_us: Micros,
    /// How probable, 0 to 1.
    pub probability: f64,
    /// In words.
    pub note: String,
    /// What became of it; `None` while its time runs.
    pub grade: Option<Grade>,
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
    /// Cause by the newest ranking; `None` when it named none.
    #[serde(default)]
    pub suspect: Option<String>,
    /// Digest of the bundle of the newest ranking.
    #[serde(default)]
    pub bundle: Option<String>,
    /// Times that it was reopened.
    pub reopened: u32,
    /// Number of its group of findings; `None` before it hurts.
    #[serde(default)]
    pub group: Option<u64>,
    /// Signal of the first symptom.
    #[serde(default)]
    pub signal: String,
    /// Fingerprint of the incident that this one became a part of.
    #[serde(default)]
    pub merged_into: Option<String>,
    /// What was foretold, where it began so.
    #[serde(default)]
    pub predicted: Option<Prediction>,
    /// Requests of its service since it began.
    #[serde(default)]
    pub requests: Requests,
    /// Until when these are counted.
    #[serde(default)]
    pub counted_us: Micros,
    /// Worst distance of each symptom from what is expected, in its unit, by entity and signal.
    #[serde(default)]
    pub peaks: Peaks,
    /// Distances up to which it is known noise and told to nobody; `None` when it is told.
    #[serde(default)]
    pub noise: Option<Peaks>,
    /// Entity that impact is walked up from.
    #[serde(default)]
    pub root: String,
    /// When impact and money were figured last.
    #[serde(default)]
    pub figured_us: Micros,
    /// Grows with every change worth telling.
    pub revision: u64,
}

impl Incident {
    pub(crate) fn open(finding: &Finding, group: u64) -> Self {
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
            suspect: None,
            bundle: None,
            reopened: 0,
            group: Some(group),
            signal: finding.series.signal.to_string(),
            merged_into: None,
            predicted: None,
            requests: Requests::default(),
            counted_us: finding.since_us,
            peaks: Peaks::from([(peak_key(&finding.series), excess(finding.observed, finding.expected))]),
            noise: None,
            root: String::new(),
            figured_us: finding.at_us,
            revision: 1,
        }
    }

    /// One that is foretold.
    pub(crate) fn foretell(namespace: &str, prediction: Prediction) -> Self {
        let Prediction { series, made_us, .. } = &prediction;
        let made_us = *made_us;
        let text = format!(
            "predicted\u{0}{namespace}\u{0}{}\u{0}{}\u{0}{}\u{0}{}",
            series.entity,
            series.signal,
            series.group,
            made_us / 1_000_000
        );
        Self {
            fingerprint: format!("{:012x}", xxh3_64(text.as_bytes()) >> 16),
            namespace: namespace.to_owned(),
            service: series.entity.to_string(),
            symptoms: BTreeMap::new(),
            since_us: made_us,
            detected_us: made_us,
            phase: IncidentPhase::Predicted,
            symptom: SymptomState::Clear,
            symptom_since_us: made_us,
            resolved_us: None,
            draft: None,
            diagnosed_us: None,
            suspect: None,
            bundle: None,
            reopened: 0,
            group: None,
            signal: series.signal.to_string(),
            merged_into: None,
            predicted: Some(prediction),
            requests: Requests::default(),
            counted_us: made_us,
            peaks: Peaks::new(),
            noise: None,
            root: String::new(),
            figured_us: made_us,
            revision: 1,
        }
    }

    /// What was foretold has come: from now on it hurts.
    pub(crate) fn begin(&mut self, finding: &Finding, group: u64) {
        self.phase = IncidentPhase::Open;
        self.group = Some(group);
        self.signal = finding.series.signal.to_string();
        (self.since_us, self.detected_us) = (finding.since_us, finding.at_us);
        self.counted_us = finding.since_us;
        (self.symptom, self.symptom_since_us) = (SymptomState::Firing, finding.at_us);
        self.observe(finding);
    }

    /// Became a part of the incident with this fingerprint.
    pub(crate) fn merge_into(&mut self, kept: &str, at_us: Micros) {
        self.phase = IncidentPhase::Resolved;
        self.merged_into = Some(kept.to_owned());
        self.resolved_us = Some(at_us);
        self.revision += 1;
    }

    /// Notes how far a symptom is from what is expected. What gets worse than known noise ever was is told from then on.
    pub(crate) fn reach(&mut self, series: &SeriesId, excess: f64) {
        let key = peak_key(series);
        let is_news = |known: &Peaks| known.get(&key).is_none_or(|limit| excess > *limit);
        if self.noise.as_ref().is_some_and(is_news) {
            self.noise = None;
            self.revision += 1;
        }
        let peak = self.peaks.entry(key).or_default();
        *peak = peak.max(excess);
    }

    /// Whether it is told: it is no known noise.
    pub(crate) fn is_told(&self) -> bool {
        self.noise.is_none()
    }

    /// Whether all of its symptoms are states, which are known whether or not telemetry flows.
    pub(crate) fn is_of_states(&self) -> bool {
        !self.symptoms.is_empty() && self.symptoms.values().all(|f| is_state(&f.series))
    }

    /// What recurring incidents have in common.
    pub(crate) fn signature(&self) -> String {
        fingerprint(&[&self.namespace, &self.service])
    }

    /// When it last hurt, at data time `at_us`.
    pub(crate) fn hurt_until(&self, at_us: Micros) -> Micros {
        if self.symptom == SymptomState::Clear { self.symptom_since_us.min(at_us) } else { at_us }
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
        self.reach(&latest.series, excess(latest.observed, latest.expected));
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
        // What came back before will come back again: each time it has to stay away for longer.
        let hold_us = config.resolve_us << self.reopened.min(4);
        if self.phase == IncidentPhase::Open && state == SymptomState::Clear && clear_for >= hold_us {
            self.phase = IncidentPhase::Resolved;
            self.resolved_us = Some(at_us);
            self.revision += 1;
        }
    }

    /// Whether a ranking is due at data time `at_us`: from soon after the first symptom on, and then with every window for
    /// a while, because evidence grows. Once something is `repaired`, what is seen is what the repair does.
    pub(crate) fn wants_ranking(
        &self,
        at_us: Micros,
        repaired: impl Fn() -> bool,
        config: &EngineConfig,
    ) -> bool {
        if self.phase != IncidentPhase::Open || self.symptom != SymptomState::Firing || !self.is_told() {
            return false;
        }
        let is_due = match self.diagnosed_us {
            Some(first) => at_us - first <= config.refine_us,
            None => at_us - self.detected_us >= config.settle_us,
        };
        let is_named = self.draft.as_ref().is_some_and(|draft| !draft.abstained);
        is_due && !(is_named && repaired())
    }

    /// Takes the cause that a ranking names with some confidence, and says whether what it found is to be told. A cause is
    /// told when two rankings in a row agree on it: the first ones rest on few requests. One that is told stays until two
    /// others agree on another, and are clearly surer of it.
    pub(crate) fn weigh(&mut self, named: Option<&str>, confidence: f64, at_us: Micros) -> bool {
        self.diagnosed_us.get_or_insert(at_us);
        let agreed = named == self.suspect.as_deref();
        self.suspect = named.map(str::to_owned);
        match (&self.draft, named) {
            (None, None) => true,
            (None, Some(_)) => agreed,
            (Some(draft), None) => draft.abstained,
            (Some(draft), Some(named)) => {
                let surer = confidence >= draft.cause.confidence + SURER;
                agreed && (draft.abstained || self.root != named && surer)
            }
        }
    }

    /// Takes what is to be told.
    pub(crate) fn diagnosed(&mut self, draft: IncidentDraft) {
        self.draft = Some(draft);
        self.revision += 1;
    }
}

/// Distance from what is expected; 0 where one of them is not known.
pub(crate) fn excess(observed: f64, expected: f64) -> f64 {
    let distance = (observed - expected).abs();
    if distance.is_finite() { distance } else { 0.0 }
}
