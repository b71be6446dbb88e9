//! States that are wrong in themselves: told by Kubernetes as a whole list, or read from metrics. Each is a finding
//! and, as a symptom, may open an incident where no objective exists.

use std::collections::BTreeMap;

use causeway_causal::case::{self, Names};
use causeway_causal::state::StateKind;
use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId};
use serde::{Deserialize, Serialize};

use crate::detect::finding_id;
use crate::incident::Incident;

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Tenant.
    pub namespace: String,
    /// The service as in telemetry, or the host as `Node/name`.
    pub entity: String,
    /// What is wrong.
    pub kind: StateKind,
    /// The object, such as `Pod/shop/tax-7d9f-x2`.
    pub object: String,
    /// One sentence.
    pub note: String,
    /// How much, where there is a figure, such as restarts or the share of a disk; else 1.
    pub value: f64,
}

impl State {
    pub(crate) fn series(&self) -> SeriesId {
        SeriesId {
            entity: self.entity.as_str().into(),
            signal: self.kind.signal().into(),
            group: self.object.as_str().into(),
        }
    }
}

/// Whether a series is that of a state.
pub(crate) fn is_state(series: &SeriesId) -> bool {
    series.signal.starts_with("state:")
}

/// States that are open, of one origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    open: BTreeMap<Key, Finding>,
    /// Those that have not lasted long enough yet, and since when.
    pending: BTreeMap<Key, (State, Micros)>,
}

type Key = (String, SeriesId);

impl States {
    pub(crate) fn restore(open: Vec<Finding>) -> Self {
        let open = open.into_iter().map(|f| ((f.namespace.clone(), f.series.clone()), f)).collect();
        Self { open, pending: BTreeMap::new() }
    }

    pub(crate) fn snapshot(&self) -> Vec<Finding> {
        self.open.values().cloned().collect()
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Finding> {
        self.open.values()
    }

    /// Replaces all of them. Gives the findings that open or close.
    pub(crate) fn set(&mut self, states: Vec<State>, at_us: Micros) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut gone = std::mem::take(&mut self.open);
        let mut before = std::mem::take(&mut self.pending);
        for state in states {
            let series = state.series();
            let key = (state.namespace.clone(), series.clone());
            if let Some(mut known) = gone.remove(&key) {
                known.note = state.note;
                known.observed = state.value;
                self.open.insert(key, known);
            } else if !self.open.contains_key(&key) {
                let since_us = before.remove(&key).map_or(at_us, |(_, since_us)| since_us);
                self.pending.entry(key).or_insert((state, since_us));
            }
        }
        found.extend(gone.into_values().map(|finding| Finding {
            state: FindingState::Closed,
            at_us: at_us.max(finding.since_us),
            ..finding
        }));
        found.extend(self.due(at_us));
        found
    }

    /// States that have lasted for long enough at `at_us`.
    pub(crate) fn due(&mut self, at_us: Micros) -> Vec<Finding> {
        let lasted =
            |_: &Key, (state, since_us): &mut (State, Micros)| at_us - *since_us >= state.kind.hold_us();
        let due: Vec<(Key, (State, Micros))> = self.pending.extract_if(.., lasted).collect();
        due.into_iter()
            .map(|(key, (state, since_us))| {
                let finding = opened(state, key.1.clone(), since_us, at_us);
                self.open.insert(key, finding.clone());
                finding
            })
            .collect()
    }
}

fn opened(state: State, series: SeriesId, since_us: Micros, at_us: Micros) -> Finding {
    Finding {
        id: finding_id(&state.namespace, &series, since_us),
        namespace: state.namespace,
        series,
        state: FindingState::Open,
        at_us,
        since_us,
        observed: state.value,
        expected: 0.0,
        lower: 0.0,
        upper: 0.0,
        // A state is certain: its score is above those of detectors.
        score: 20.0,
        completeness: Completeness { watermark_us: at_us, seen: 1, expected: 1.0 },
        note: state.note,
    }
}

/// States around an incident, as a ranking takes them: all that are open, and those among its own symptoms.
pub(crate) fn for_case<'a>(
    open: impl Iterator<Item = &'a Finding>,
    incident: &'a Incident,
    names: &mut Names,
) -> Vec<case::State> {
    let own = incident.symptoms.values().filter(|f| is_state(&f.series));
    let mut all: BTreeMap<&SeriesId, &Finding> = own.map(|f| (&f.series, f)).collect();
    for finding in open {
        all.entry(&finding.series).or_insert(finding);
    }
    let of = |f: &Finding, names: &mut Names| {
        Some(case::State {
            since_us: f.since_us,
            entity: names.intern(&f.series.entity),
            kind: StateKind::of_signal(&f.series.signal)?,
            object: f.series.group.to_string(),
            note: f.note.clone(),
        })
    };
    all.into_values().filter_map(|f| of(f, names)).collect()
}
