//! The symptom of an incident as its status shows it.

use causeway_actions::Decimal;
use causeway_causal::wording::quantity;
use causeway_crds::SymptomState;
use causeway_crds::incident::{Predicted, PredictionGrade, SymptomStatus};
use causeway_engine::{Grade, Incident as EngineIncident, Prediction, SymptomState as EngineState};
use causeway_model::{Finding, FindingState};

use crate::text::{bounded, stamp_us, stamp_us_up};

/// The finding that speaks for the incident: of its own service before others, open before closed, then the
/// strongest; the id decides what is left.
pub(crate) fn leading(incident: &EngineIncident) -> Option<&Finding> {
    incident.symptoms.values().max_by(|a, b| {
        let rank =
            |f: &Finding| (f.series.entity.as_ref() == incident.service, f.state == FindingState::Open);
        rank(a).cmp(&rank(b)).then(a.score.total_cmp(&b.score)).then_with(|| b.id.cmp(&a.id))
    })
}

/// The state in the words of the API.
pub(super) fn state(incident: &EngineIncident) -> SymptomState {
    match incident.symptom {
        EngineState::Firing => SymptomState::Firing,
        EngineState::Clear => SymptomState::Clear,
        EngineState::NoData => SymptomState::NoData,
    }
}

/// A prediction in the words of the API.
pub(super) fn predicted(prediction: &Prediction) -> Predicted {
    Predicted {
        is: true,
        probability: Some(Decimal::from_f64(prediction.probability, 3)),
        deadline: Some(stamp_us(prediction.deadline_us)),
        grade: prediction.grade.map(|grade| match grade {
            Grade::Hit => PredictionGrade::Hit,
            Grade::Miss => PredictionGrade::Miss,
            Grade::Prevented => PredictionGrade::Prevented,
            Grade::Unknown => PredictionGrade::Unknown,
        }),
    }
}

/// Whether the time of the data has to be exact, because somebody judges by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watermark {
    /// A repair is on its way.
    Exact,
    /// Nobody looks: it moves only together with something else.
    Coarse,
}

/// The symptom, given what the status says so far.
pub(super) fn status(
    incident: &EngineIncident,
    before: &SymptomStatus,
    watermark: Option<i64>,
    precision: Watermark,
) -> SymptomStatus {
    let state = state(incident);
    let mut now = SymptomStatus {
        state,
        since: Some(stamp_us(incident.since_us)),
        // Rounded up, so that the time it has been gone is never overstated.
        clear_since: (state == SymptomState::Clear).then(|| stamp_us_up(incident.symptom_since_us)),
        watermark: before.watermark.clone(),
        summary: leading(incident).map(|finding| bounded(&summary(finding), 512)),
    };
    if precision == Watermark::Exact || now != *before || before.watermark.is_none() {
        now.watermark = watermark.map(stamp_us).or(now.watermark);
    }
    now
}

/// Such as `latency of shop/web is 1.42 s, expected 160 ms`; in the past tense when it is over. Its own sentence, where a
/// finding has one.
pub(super) fn summary(finding: &Finding) -> String {
    if !finding.note.is_empty() {
        return finding.note.clone();
    }
    let (signal, unit) = match finding.series.signal.as_ref() {
        "latency" => ("latency", "s"),
        "error_ratio" => ("error ratio", "ratio"),
        other => (other, ""),
    };
    let group =
        if finding.series.group.is_empty() { String::new() } else { format!(" ({})", finding.series.group) };
    let verb = if finding.state == FindingState::Open { "is" } else { "was" };
    format!(
        "{signal}{group} of {} {verb} {}, expected {}",
        finding.series.entity,
        quantity(finding.observed, unit),
        quantity(finding.expected, unit)
    )
}
