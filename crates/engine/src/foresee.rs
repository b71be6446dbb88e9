//! Incidents that are foretold: opened when a Baseline expects a bound to be crossed, then graded.

use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId};
use causeway_predict::Grade;

use crate::detect::{Point, finding_id};
use crate::engine::Engine;
use crate::incident::{Incident, IncidentPhase, Prediction};

/// Begin of the signal of a finding that says that a foretold bound was crossed.
const PREFIX: &str = "crossing:";

/// Whether a finding says that what was foretold has come.
pub(crate) fn is_crossing(series: &SeriesId) -> bool {
    series.signal.starts_with(PREFIX)
}

impl Engine {
    /// Opens incidents for what is foretold at data time `at_us`, and grades those of before. Gives the findings of
    /// bounds that were crossed, or are crossed no longer.
    pub(crate) fn foresee(&mut self, at_us: Micros) -> Vec<Finding> {
        let mut found = Vec::new();
        for (series, ended) in self.baselines.take_ended() {
            let newest = self.newest_point(&series);
            let of = |i: &&mut Incident| {
                i.predicted.as_ref().is_some_and(|p| p.series == series && p.made_us == ended.made_us)
            };
            let Some(incident) = self.incidents.iter_mut().find(of) else { continue };
            if let Some(predicted) = &mut incident.predicted {
                predicted.grade = Some(ended.grade);
            }
            incident.revision += 1;
            if incident.phase != IncidentPhase::Predicted {
                continue;
            }
            if ended.grade == Grade::Hit {
                found.extend(crossing(incident, newest, at_us));
            } else {
                incident.phase = IncidentPhase::Prevented;
                incident.resolved_us = Some(at_us);
            }
        }
        for (namespace, foretold, note) in self.baselines.foretold(&self.tenants) {
            let prediction = Prediction {
                series: foretold.series,
                made_us: foretold.made_us,
                deadline_us: foretold.deadline_us,
                probability: foretold.probability,
                note,
                grade: None,
            };
            let incident = Incident::foretell(&namespace, prediction);
            // What hurts already is not foretold.
            let known = self.incidents.iter().any(|i| {
                i.fingerprint == incident.fingerprint
                    || i.namespace == namespace
                        && i.service == incident.service
                        && i.phase == IncidentPhase::Open
            });
            if !known {
                self.incidents.push(incident);
            }
        }
        found.extend(self.uncross(at_us));
        found
    }

    /// Crossings that are over.
    fn uncross(&self, at_us: Micros) -> Vec<Finding> {
        let open = self.incidents.iter().filter(|i| i.phase == IncidentPhase::Open);
        let crossings = open.flat_map(|i| i.symptoms.values().map(move |f| (i, f)));
        crossings
            .filter(|(_, f)| f.state == FindingState::Open && is_crossing(&f.series))
            .filter(|(incident, _)| {
                let predicted = incident.predicted.as_ref();
                predicted.and_then(|p| self.baselines.is_beyond(&p.series, at_us)) == Some(false)
            })
            .map(|(_, f)| Finding { state: FindingState::Closed, at_us, ..f.clone() })
            .collect()
    }
}

/// The symptom of a foretold incident that has come.
fn crossing(incident: &Incident, newest: Option<Point>, at_us: Micros) -> Option<Finding> {
    let predicted = incident.predicted.as_ref()?;
    let series = SeriesId {
        signal: format!("{PREFIX}{}", predicted.series.signal).into(),
        ..predicted.series.clone()
    };
    let value = |of: fn(Point) -> f64| newest.map(of).filter(|v| v.is_finite()).unwrap_or_default();
    Some(Finding {
        id: finding_id(&incident.namespace, &series, at_us),
        namespace: incident.namespace.clone(),
        series,
        state: FindingState::Open,
        at_us,
        since_us: at_us,
        observed: value(|p| p.value),
        expected: value(|p| p.expected),
        lower: value(|p| p.lower),
        upper: value(|p| p.upper),
        score: 10.0,
        completeness: Completeness { watermark_us: at_us, seen: 1, expected: 1.0 },
        note: format!("as foretold, {}", predicted.note),
    })
}
