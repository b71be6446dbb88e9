//! Which incident a finding belongs to: findings that share a cause make one, known noise makes none that is told, what
//! was foretold comes true.

use std::collections::BTreeSet;

use causeway_causal::group::{Finding as Placed, Group, GroupConfig, GroupEvent, GroupState};
use causeway_causal::grouper::Grouper;
use causeway_model::{Event, Finding, FindingState, Micros};

use crate::config::EngineConfig;
use crate::engine::Engine;
use crate::incident::{Incident, IncidentPhase, excess};

pub(crate) fn grouper(config: &EngineConfig) -> Grouper {
    let EngineConfig { merge_us, reopen_us, resolve_us, .. } = *config;
    Grouper::new(GroupConfig { merge_us, reopen_us, flap_us: resolve_us, ..GroupConfig::default() })
}

fn placed(finding: &Finding, symptom: bool) -> Placed {
    Placed {
        id: finding.id.clone(),
        scope: finding.namespace.clone(),
        entity: finding.series.entity.to_string(),
        signal: finding.series.signal.to_string(),
        symptom,
        traffic_drop: finding.series.signal.as_ref() == "traffic" && finding.observed < finding.expected,
        severity: finding.score,
        opened_us: finding.since_us,
        closed_us: None,
        baseline: Some(finding.expected).filter(|v| v.is_finite()),
        observed: Some(finding.observed).filter(|v| v.is_finite()),
        unit: String::new(),
        note: finding.note.clone(),
        query: None,
    }
}

impl Engine {
    /// Takes findings that opened or closed by `at_us`: opens, reopens and extends incidents.
    pub(crate) fn place(&mut self, fresh: Vec<Finding>, at_us: Micros) {
        let entry_points = self.calls.entry_points(at_us);
        let (opened, closed): (Vec<&Finding>, Vec<&Finding>) =
            fresh.iter().partition(|f| f.state == FindingState::Open);
        for finding in opened {
            let symptom = self.is_symptom(&finding.series, &entry_points);
            self.grouper.open(placed(finding, symptom));
            if symptom {
                self.waiting.insert(finding.id.clone(), finding.clone());
            }
        }
        for finding in closed.iter().filter(|f| f.state == FindingState::Closed) {
            self.grouper.close(&finding.id, finding.at_us);
        }
        let topology = &self.calls.topology;
        let events = self.grouper.tick(at_us, &|key| topology.dependencies(key, at_us));
        for event in events {
            match event {
                GroupEvent::Opened(group) | GroupEvent::Updated(group) | GroupEvent::Reopened(group) => {
                    self.extend(group);
                }
                GroupEvent::Merged(gone, kept) => self.merge_groups(gone, kept, at_us),
            }
        }
        for finding in closed {
            self.waiting.remove(&finding.id);
            self.hand_to_incident(finding);
        }
        self.findings.extend(fresh);
    }

    /// Hands the symptoms of a group that no incident has yet to the group's incident.
    fn extend(&mut self, group: u64) {
        let Some(members) = self.grouper.group(group).map(|g| g.findings.clone()) else { return };
        let mut symptoms: Vec<Finding> = members.iter().filter_map(|id| self.waiting.remove(id)).collect();
        symptoms.sort_by(|a, b| (a.since_us, &a.series).cmp(&(b.since_us, &b.series)));
        for finding in symptoms {
            let own = |i: &&mut Incident| i.group == Some(group) && i.merged_into.is_none();
            if let Some(incident) = self.incidents.iter_mut().find(own) {
                incident.observe(&finding);
            } else if let Some(foretold) = self.incidents.iter_mut().find(|i| {
                i.phase == IncidentPhase::Predicted
                    && i.namespace == finding.namespace
                    && i.service == finding.series.entity.as_ref()
            }) {
                foretold.begin(&finding, group);
            } else {
                let mut incident = Incident::open(&finding, group);
                incident.noise = self.noise.known(&incident.signature(), incident.since_us);
                incident.reach(&finding.series, excess(finding.observed, finding.expected));
                if incident.noise.is_some() {
                    self.events.push(noise_event(&incident));
                }
                self.incidents.push(incident);
            }
        }
    }

    /// Tells the incident that has this finding as a symptom.
    pub(crate) fn hand_to_incident(&mut self, finding: &Finding) {
        let known = |i: &&mut Incident| i.merged_into.is_none() && i.symptoms.contains_key(&finding.id);
        if let Some(incident) = self.incidents.iter_mut().find(known) {
            incident.observe(finding);
        }
    }

    /// Notes the cause that a ranking named; open incidents with the same cause become one.
    pub(crate) fn note_cause(&mut self, group: Option<u64>, cause: &str, at_us: Micros) {
        let merged = group.and_then(|group| self.grouper.set_cause(group, cause));
        if let Some(GroupEvent::Merged(gone, kept)) = merged {
            self.merge_groups(gone, kept, at_us);
        }
    }

    /// Makes one incident a part of another of the same namespace, because a person says so. What is over, unknown or
    /// the same is left alone.
    pub fn merge(&mut self, fingerprint: &str, into: &str, now_us: Micros) {
        let group = |engine: &Self, fingerprint: &str| {
            let open = |i: &&Incident| i.fingerprint == fingerprint && i.phase == IncidentPhase::Open;
            engine.incidents.iter().find(open).and_then(|i| Some((i.group?, i.namespace.clone())))
        };
        let (Some((gone, namespace)), Some((kept, other))) = (group(self, fingerprint), group(self, into))
        else {
            return;
        };
        if namespace == other && self.grouper.merge(gone, kept) {
            self.merge_groups(gone, kept, self.watermark_us().unwrap_or(now_us));
        }
    }

    fn merge_groups(&mut self, gone: u64, kept: u64, at_us: Micros) {
        let of = |group: u64| move |i: &&mut Incident| i.group == Some(group) && i.merged_into.is_none();
        let Some(into) = self.incidents.iter_mut().find(of(kept)).map(|i| i.fingerprint.clone()) else {
            return;
        };
        let Some(lost) = self.incidents.iter_mut().find(of(gone)) else { return };
        lost.merge_into(&into, at_us);
        let (symptoms, told, since_us) = (lost.symptoms.clone(), lost.is_told(), lost.since_us);
        if let Some(into) = self.incidents.iter_mut().find(of(kept)) {
            into.symptoms.extend(symptoms);
            into.since_us = into.since_us.min(since_us);
            // What was told of one is told of both.
            if told {
                into.noise = None;
            }
            into.revision += 1;
        }
    }

    /// Follows how far symptoms are from what is expected. Noise that got worse than it ever was is told.
    pub(crate) fn follow_peaks(&mut self) {
        for index in 0..self.incidents.len() {
            let Some(incident) = self.incidents.get(index).filter(|i| i.phase == IncidentPhase::Open) else {
                continue;
            };
            let firing = incident.symptoms.values().filter(|f| f.state == FindingState::Open);
            let reached: Vec<_> = firing
                .filter_map(|f| Some((f.series.clone(), self.newest_point(&f.series)?)))
                .map(|(series, point)| (series, excess(point.value, point.expected)))
                .collect();
            let Some(incident) = self.incidents.get_mut(index) else { continue };
            for (series, excess) in reached {
                incident.reach(&series, excess);
            }
        }
    }

    /// Takes the groups of incidents that came from elsewhere than the snapshot.
    pub(crate) fn adopt_group(&mut self, incident: &Incident) {
        let Some(id) = incident.group else { return };
        let entities: BTreeSet<String> =
            incident.symptoms.values().map(|f| f.series.entity.to_string()).collect();
        let state = match (&incident.phase, incident.resolved_us) {
            (IncidentPhase::Resolved, Some(at_us)) => GroupState::Closed(at_us),
            _ => GroupState::Open,
        };
        let latest_us = incident.symptoms.values().map(|f| f.since_us).max().unwrap_or(incident.since_us);
        self.grouper.adopt(Group {
            id,
            scope: incident.namespace.clone(),
            fingerprint: incident.fingerprint.clone(),
            opened_for: incident.service.clone(),
            signal: incident.signal.clone(),
            opened_us: incident.since_us,
            updated_us: latest_us,
            latest_us,
            state,
            reopened: incident.reopened,
            roots: entities
                .iter()
                .cloned()
                .chain((!incident.root.is_empty()).then(|| incident.root.clone()))
                .collect(),
            entities,
            findings: incident.symptoms.keys().cloned().collect(),
            cause: (!incident.root.is_empty()).then(|| incident.root.clone()),
        });
    }
}

fn noise_event(incident: &Incident) -> Event {
    Event {
        time_us: incident.detected_us,
        namespace: incident.namespace.clone(),
        kind: "Incident".to_owned(),
        entity: incident.service.clone(),
        reason: "KnownNoise".to_owned(),
        message: format!(
            "{} of {} is outside of its band as on each of the last seven days at this time: nobody is told unless it gets worse",
            incident.signal, incident.service
        ),
        attributes: vec![("fingerprint".to_owned(), incident.fingerprint.clone())],
    }
}
