//! The answer of the command line as one JSON object.

use serde::Serialize;

use crate::ranking::{EvidenceKind, Ranking};
use crate::text::time;
use crate::wording::sentence;

#[derive(Serialize)]
struct Answer<'a> {
    case: &'a str,
    confidence: f64,
    abstained: bool,
    ranked: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    entity: &'a str,
    score: f64,
    probability: f64,
    cause: &'a str,
    path: &'a [String],
    terms: serde_json::Map<String, serde_json::Value>,
    evidence: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    kind: EvidenceKind,
    entity: &'a str,
    signal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    note: String,
}

/// Six decimals: more would only show the order of additions.
fn rounded(value: f64) -> f64 {
    let out = (value * 1e6).round() / 1e6;
    if out.is_finite() { out + 0.0 } else { 0.0 }
}

/// `{"case", "confidence", "abstained", "ranked": [{"entity", "score", "probability", "cause", "path", "terms", "evidence"}]}` on one
/// line, best first, times in RFC 3339, each note a sentence. The same ranking gives the same bytes.
pub fn to_json(case_id: &str, ranking: &Ranking) -> String {
    let ranked = ranking
        .ranked
        .iter()
        .map(|s| Entry {
            entity: &s.entity,
            score: rounded(s.score),
            probability: rounded(s.probability),
            cause: s.class.as_str(),
            path: &s.path,
            terms: s.terms.iter().map(|t| (t.name.clone(), rounded(t.points).into())).collect(),
            evidence: s
                .evidence
                .iter()
                .map(|e| Item {
                    kind: e.kind,
                    entity: &e.entity,
                    signal: &e.signal,
                    baseline: e.baseline.map(rounded),
                    observed: e.observed.map(rounded),
                    unit: &e.unit,
                    at: e.at_us.map(time),
                    note: sentence(e),
                })
                .collect(),
        })
        .collect();
    let answer = Answer {
        case: case_id,
        confidence: rounded(ranking.confidence),
        abstained: ranking.abstained,
        ranked,
    };
    // Serialising plain strings and finite numbers does not fail.
    serde_json::to_string(&answer).unwrap_or_default()
}
