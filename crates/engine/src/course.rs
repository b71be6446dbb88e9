//! How incidents go on: their cause, their figures, their end.

use causeway_model::Micros;

use crate::bundle::pack;
use crate::change::{Change, ChangeClass};
use crate::diagnose;
use crate::engine::Engine;
use crate::incident::{Incident, IncidentPhase};

/// Least time between two figures of impact and money.
const FIGURE_US: i64 = 60_000_000;
/// Resolved incidents kept, so that they can be reopened and looked at.
const MAX_RESOLVED: usize = 100;

impl Engine {
    pub(crate) fn diagnose(&mut self, index: usize, at_us: Micros) {
        let Some(incident) = self.incidents.get(index) else { return };
        let is_repair = |c: &Change| c.class == ChangeClass::Repair && c.time_us >= incident.since_us;
        if !incident.wants_ranking(at_us, || self.changes.iter().any(is_repair), &self.config) {
            return;
        }
        let found = diagnose::inquire(self, incident, at_us);
        self.counts.rankings += 1;
        let Some((inquiry, ranking)) = found else { return };
        let root = inquiry.group.cause.clone();
        if !self.incidents.get_mut(index).is_some_and(|i| i.weigh(root.as_deref(), ranking.confidence, at_us))
        {
            return;
        }
        let draft = inquiry.decide(&ranking);
        // What was decided is decided, whether or not it could be packed.
        let bundle = self.config.bundles.then(|| pack(&inquiry, &draft, at_us).ok()).flatten();
        if let Some(incident) = self.incidents.get_mut(index) {
            incident.bundle = bundle.as_ref().map(|bundle| bundle.digest.clone());
            incident.diagnosed(draft);
            incident.root = root.clone().unwrap_or_else(|| incident.service.clone());
            incident.figured_us = at_us;
        }
        self.bundles.extend(bundle);
        let group = self.incidents.get(index).and_then(|i| i.group);
        if let Some(cause) = root {
            self.note_cause(group, &cause, at_us);
        }
    }

    /// Counts the requests of an incident, and brings its impact and money up to date: after a minute, then whenever it
    /// has gone on for a tenth longer, so that a status is not written for nothing.
    pub(crate) fn figure(&mut self, index: usize, at_us: Micros) {
        let Some(incident) = self.incidents.get(index).filter(|i| i.phase == IncidentPhase::Open) else {
            return;
        };
        let counted = diagnose::count(self, incident, at_us);
        let is_due = at_us - incident.figured_us >= FIGURE_US.max((at_us - incident.since_us) / 10);
        let figures =
            (is_due && incident.draft.is_some()).then(|| diagnose::figures(self, incident, counted, at_us));
        let Some(incident) = self.incidents.get_mut(index) else { return };
        (incident.requests, incident.counted_us) = (counted, at_us);
        if let (Some((impact, money)), Some(draft)) = (figures, &mut incident.draft) {
            draft.refresh(impact, money, &incident.signal);
            incident.figured_us = at_us;
            incident.revision += 1;
        }
    }

    pub(crate) fn advance_incidents(&mut self, now_us: Micros) {
        let watermark = self.watermark_us();
        let silent_since = now_us - self.config.silence_us;
        for incident in self.incidents.iter_mut().filter(|i| i.phase == IncidentPhase::Open) {
            // Kubernetes tells of states now; all else is as late as its data.
            let at_us = if incident.is_of_states() { Some(now_us) } else { watermark };
            let Some(at_us) = at_us else { continue };
            // A symptom that nothing follows any more, such as of a deleted objective, says nothing either way.
            let silent = incident.symptoms.values().any(|f| match self.watched.get(&f.series) {
                Some(watched) => watched.last_data_us < silent_since,
                None => self
                    .objectives
                    .heard(&f.series)
                    .or_else(|| self.baselines.heard(&f.series))
                    .is_some_and(|(last_us, quiet_us)| last_us + quiet_us < now_us),
            });
            incident.advance(at_us, silent, &self.config);
            if incident.phase == IncidentPhase::Resolved {
                if let Some(group) = incident.group {
                    self.grouper.end(group, at_us);
                }
                self.noise.note(&incident.signature(), &incident.peaks, incident.since_us);
            }
        }
        let is_over = |i: &Incident| matches!(i.phase, IncidentPhase::Resolved | IncidentPhase::Prevented);
        let resolved = self.incidents.iter().filter(|i| is_over(i)).count();
        let mut surplus = resolved.saturating_sub(MAX_RESOLVED);
        self.incidents.retain(|i| {
            let drop = surplus > 0 && is_over(i);
            surplus -= usize::from(drop);
            !drop
        });
    }
}
