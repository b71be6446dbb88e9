//! What an Incident will say: cause, impact, money, path, and sentences that each cite their evidence.

use serde::{Deserialize, Serialize};

use crate::case::{Case, Change, ChangeKind, State};
use crate::evidence::{change_evidence, state_evidence};
use crate::fingerprint::fingerprint;
use crate::group::Group;
use crate::impact::{Impact, Money};
use crate::ranking::{CauseClass, Evidence, EvidenceKind, Ranking, Suspect};
use crate::state::StateKind;
use crate::wording;

/// How bad an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An entry point is mostly down, or much money is at risk.
    Sev1,
    /// A good part of the users suffers.
    Sev2,
    /// Some suffer.
    Sev3,
    /// Nobody suffers yet.
    Sev4,
}

/// A candidate cause in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseDraft {
    /// What kind.
    pub kind: CauseClass,
    /// Entity, or the changed object where a change explains it.
    pub entity: String,
    /// The change in a line, for example `data.NL: 0.21 -> 2.1 by ci-bot`; empty without one.
    pub change: String,
    /// Probability that it is the cause, 0 to 1.
    pub confidence: f64,
}

/// Evidence with an id that sentences cite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// `e1`, `e2`, ...
    pub id: String,
    /// The observation.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// A query that shows it.
    pub query: Option<String>,
}

/// A sentence and the evidence that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Ids of the evidence.
    pub evidence: Vec<String>,
}

/// Everything an Incident is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentDraft {
    /// Identity: hash of what it was opened for, by which signal and when; 16 hexadecimal digits.
    pub fingerprint: String,
    /// The same without the time, with the cause: recurring incidents share it.
    pub signature: String,
    /// Entity of the first symptom.
    pub opened_for: String,
    /// When the first symptom opened, microseconds since the Unix epoch.
    pub opened_us: i64,
    /// How bad.
    pub severity: Severity,
    /// The cause; its entity is empty when `abstained`.
    pub cause: CauseDraft,
    /// Distance in probability to the first runner-up, 0 to 1.
    pub margin: f64,
    /// The next best, at most four.
    pub runners_up: Vec<CauseDraft>,
    /// Whether no cause is named.
    pub abstained: bool,
    /// Who suffers.
    pub impact: Impact,
    /// What it costs.
    pub money: Option<Money>,
    /// Sentences for people.
    pub explanation: Vec<Sentence>,
    /// What the sentences cite.
    pub evidence: Vec<EvidenceItem>,
    /// Entities from the cause up to the symptom.
    pub path: Vec<String>,
}

/// Makes the draft of a group. The ranking must be of `case`.
pub fn build(
    group: &Group,
    case: &Case,
    ranking: &Ranking,
    impact: Impact,
    money: Option<Money>,
) -> IncidentDraft {
    let named: Vec<&Suspect> = ranking.ranked.iter().filter(|s| s.score > 0.0).take(5).collect();
    let first = named.first().copied().filter(|_| !ranking.abstained);
    // A state that is wrong in itself says what is wrong, where the ranking does not know better.
    let state = first.is_none().then(|| state_of(case)).flatten();
    let mut items = Items::default();
    let symptom = symptom_evidence(case, ranking);
    let mut explanation = Vec::new();
    let shown = items.add(symptom.clone());
    explanation.push(sentence(wording::sentence(&symptom), &[&shown]));
    match (first, state) {
        (Some(suspect), _) => explain(suspect, &mut items, &mut explanation),
        (None, Some(state)) => explain_state(case, state, &mut items, &mut explanation),
        (None, None) => abstain(&named, &mut items, &mut explanation, &shown),
    }
    for suspect in named.iter().skip(usize::from(first.is_some())) {
        if let Some(evidence) = suspect.evidence.first() {
            items.add(evidence.clone());
        }
    }
    let cause = match (first, state) {
        (Some(suspect), _) => cause(case, suspect),
        (None, Some(state)) => cause_by_state(case, state),
        (None, None) => CauseDraft {
            kind: CauseClass::Unknown,
            entity: String::new(),
            change: String::new(),
            confidence: ranking.confidence,
        },
    };
    let runners =
        named.iter().skip(usize::from(first.is_some())).take(4).map(|s| cause_of(case, s)).collect();
    IncidentDraft {
        fingerprint: group.fingerprint.clone(),
        signature: fingerprint(&[&group.opened_for, &group.signal, &cause.entity, cause.kind.as_str()]),
        opened_for: group.opened_for.clone(),
        opened_us: group.opened_us,
        severity: severity(&impact, money.as_ref()).min(least_severity(&group.signal)),
        margin: if state.is_some() { cause.confidence } else { ranking.margin },
        cause,
        runners_up: runners,
        abstained: ranking.abstained && state.is_none(),
        path: first.map_or_else(Vec::new, |s| s.path.clone()),
        impact,
        money,
        explanation,
        evidence: items.0,
    }
}

fn cause(case: &Case, suspect: &Suspect) -> CauseDraft {
    let mut out = cause_of(case, suspect);
    let object =
        suspect.change.and_then(|c| case.changes.get(c)).map(|c| &c.object).filter(|o| !o.is_empty());
    if let Some(object) = object {
        out.entity.clone_from(object);
    }
    out
}

fn cause_of(case: &Case, suspect: &Suspect) -> CauseDraft {
    let change = suspect.change.and_then(|c| case.changes.get(c)).map(change_line).unwrap_or_default();
    CauseDraft {
        kind: suspect.class,
        entity: suspect.entity.clone(),
        change,
        confidence: suspect.probability,
    }
}

/// The state that the symptom is, where it is one; the earliest of several.
fn state_of(case: &Case) -> Option<&State> {
    let kind = StateKind::of_signal(&case.symptom.metric)?;
    let of_symptom = case.states.iter().filter(|s| s.kind == kind && s.entity == case.symptom.entity);
    of_symptom.min_by(|a, b| (a.since_us, &a.object).cmp(&(b.since_us, &b.object)))
}

/// Longest time from a change to a state that it explains.
const CHANGE_LEAD_US: i64 = 3_600_000_000;

/// The latest release or configuration of the state's entity shortly before it, unless no change makes such a state.
fn change_before<'a>(case: &'a Case, state: &State) -> Option<&'a Change> {
    let explains = |c: &&Change| {
        c.entity == state.entity
            && matches!(c.kind, ChangeKind::Release | ChangeKind::Config)
            && (0..=CHANGE_LEAD_US).contains(&(state.since_us - c.time_us))
    };
    let found = case.changes.iter().filter(|_| state.kind.comes_of_changes()).filter(explains);
    found.max_by(|a, b| (a.time_us, &b.object, &b.description).cmp(&(b.time_us, &a.object, &a.description)))
}

fn cause_by_state(case: &Case, state: &State) -> CauseDraft {
    let entity = case.name(state.entity).to_owned();
    let Some(change) = change_before(case, state) else {
        let (kind, confidence) = (state.kind.class(), state.kind.confidence());
        return CauseDraft { kind, entity, change: String::new(), confidence };
    };
    CauseDraft {
        kind: if change.kind == ChangeKind::Config { CauseClass::BadConfig } else { CauseClass::BadRelease },
        entity: if change.object.is_empty() { entity } else { change.object.clone() },
        change: change_line(change),
        confidence: state.kind.confidence().max(0.9),
    }
}

/// A state opens an incident because it needs somebody, even while nobody suffers yet.
fn least_severity(signal: &str) -> Severity {
    if StateKind::of_signal(signal).is_some() { Severity::Sev3 } else { Severity::Sev4 }
}

impl IncidentDraft {
    /// Takes newer figures of who suffers and what it costs; the cause stays as it was decided. `signal` is that of the
    /// first symptom.
    pub fn refresh(&mut self, impact: Impact, money: Option<Money>, signal: &str) {
        self.severity = severity(&impact, money.as_ref()).min(least_severity(signal));
        self.impact = impact;
        self.money = money;
    }
}

/// A change in one line: fields, old and new values, author, and whether it fell into a change freeze.
pub fn change_line(change: &Change) -> String {
    let fields: Vec<String> =
        change.diff.iter().map(|d| format!("{}: {} -> {}", d.path, shown(&d.old), shown(&d.new))).collect();
    let what = if fields.is_empty() { change.description.clone() } else { fields.join(", ") };
    let by = if change.author.is_empty() { String::new() } else { format!(" by {}", change.author) };
    let frozen = match change.frozen_by.as_str() {
        "" => String::new(),
        event => format!(" (within the change freeze of {event})"),
    };
    format!("{what}{by}{frozen}")
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "(none)" } else { value }
}

/// Severity from who suffers and what it costs an hour.
pub fn severity(impact: &Impact, money: Option<&Money>) -> Severity {
    let share = impact.request_share.unwrap_or(0.0);
    let burn = impact.error_budget_per_hour.unwrap_or(0.0);
    let risk = money.map_or(0.0, |m| {
        if m.revenue_per_hour > 0.0 { m.at_risk_per_hour / m.revenue_per_hour } else { 0.0 }
    });
    let worst = share.max(risk);
    if worst >= 0.3 || burn >= 0.5 {
        Severity::Sev1
    } else if worst >= 0.05 || burn >= 0.1 {
        Severity::Sev2
    } else if !impact.entry_points.is_empty() || worst > 0.0 {
        Severity::Sev3
    } else {
        Severity::Sev4
    }
}

#[derive(Default)]
struct Items(Vec<EvidenceItem>);

impl Items {
    fn add(&mut self, evidence: Evidence) -> String {
        if let Some(known) = self.0.iter().find(|i| i.evidence == evidence) {
            return known.id.clone();
        }
        let id = format!("e{}", self.0.len() + 1);
        self.0.push(EvidenceItem { id: id.clone(), evidence, query: None });
        id
    }
}

fn sentence(text: String, evidence: &[&String]) -> Sentence {
    Sentence { text, evidence: evidence.iter().map(|e| (*e).clone()).collect() }
}

fn symptom_evidence(case: &Case, ranking: &Ranking) -> Evidence {
    if let Some(state) = state_of(case) {
        return state_evidence(case, state);
    }
    let entity = case.name(case.symptom.entity).to_owned();
    let signal = format!("{} {}", case.symptom.metric, case.symptom.stat);
    ranking.symptom.clone().unwrap_or(Evidence {
        kind: EvidenceKind::Metric,
        entity,
        signal: signal.trim().to_owned(),
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: Some(case.symptom.start_us),
        note: String::new(),
    })
}

fn explain(suspect: &Suspect, items: &mut Items, out: &mut Vec<Sentence>) {
    for evidence in &suspect.evidence {
        let id = items.add(evidence.clone());
        out.push(sentence(wording::sentence(evidence), &[&id]));
    }
}

fn explain_state(case: &Case, state: &State, items: &mut Items, out: &mut Vec<Sentence>) {
    if let Some(change) = change_before(case, state) {
        let evidence = change_evidence(case, change);
        let id = items.add(evidence.clone());
        out.push(sentence(wording::sentence(&evidence), &[&id]));
    }
}

fn abstain(named: &[&Suspect], items: &mut Items, out: &mut Vec<Sentence>, symptom: &String) {
    out.push(sentence("No cause is named: the evidence is too weak.".to_owned(), &[symptom]));
    if let Some(evidence) = named.first().and_then(|s| s.evidence.first()) {
        let id = items.add(evidence.clone());
        out.push(sentence(format!("The strongest lead: {}", wording::sentence(evidence)), &[&id]));
    }
}

/// Why an explanation does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplanationError {
    /// A sentence cites evidence that is not there.
    #[error("sentence {sentence} cites {id}, which does not exist")]
    NoSuchEvidence {
        /// Position of the sentence.
        sentence: usize,
        /// The id.
        id: String,
    },
    /// A sentence cites nothing.
    #[error("sentence {sentence} cites nothing")]
    Uncited {
        /// Position of the sentence.
        sentence: usize,
    },
    /// A number or a name is not found in the cited evidence.
    #[error("sentence {sentence}: {word:?} is not in the cited evidence")]
    Unsupported {
        /// Position of the sentence.
        sentence: usize,
        /// The word.
        word: String,
    },
}

/// Checks that every number and every name in each sentence appears in the evidence that the sentence cites.
///
/// # Errors
/// The first sentence that does not hold, and why.
pub fn verify_explanation(draft: &IncidentDraft) -> Result<(), ExplanationError> {
    let names: Vec<&String> =
        draft.path.iter().chain(draft.impact.services.iter()).chain([&draft.cause.entity]).collect();
    for (at, sentence) in draft.explanation.iter().enumerate() {
        if sentence.evidence.is_empty() {
            return Err(ExplanationError::Uncited { sentence: at });
        }
        let mut facts = String::new();
        for id in &sentence.evidence {
            let item = draft.evidence.iter().find(|i| &i.id == id);
            let Some(item) = item else {
                return Err(ExplanationError::NoSuchEvidence { sentence: at, id: id.clone() });
            };
            facts.push_str(&crate::text::facts(&item.evidence));
            facts.push('\n');
        }
        for word in crate::text::claims(&sentence.text) {
            if !crate::text::contains_word(&facts, word) {
                return Err(ExplanationError::Unsupported { sentence: at, word: word.to_owned() });
            }
        }
        for name in names.iter().filter(|n| !n.is_empty()) {
            if crate::text::contains_word(&sentence.text, name) && !crate::text::contains_word(&facts, name) {
                return Err(ExplanationError::Unsupported { sentence: at, word: (*name).clone() });
            }
        }
    }
    Ok(())
}
