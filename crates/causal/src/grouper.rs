//! Findings that share a cause become one group: the seed of one Incident.
//!
//! The cause of a finding is where its chain of anomalous dependencies ends. Findings with a common end belong together, for
//! as long as the merge window is open. In the first minutes of a group the chain is still being discovered, so anything
//! that is connected joins, and so do symptoms that depend on something in common, whether or not that shows; later only what the group's ends explain does, and an independent fault makes a group of its
//! own. When a group is over is decided by its owner, who knows whether data flows; see [`Grouper::end`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::anomalous::Anomalous;
use crate::fingerprint::fingerprint;
use crate::group::{Finding, Group, GroupConfig, GroupEvent, GroupState};

/// Groups findings. Serializable, so that an engine snapshot can hold it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Grouper {
    config: GroupConfig,
    findings: BTreeMap<String, Finding>,
    /// Findings not yet placed, or loose evidence that no symptom explains yet.
    pending: BTreeSet<String>,
    changed: BTreeSet<String>,
    groups: BTreeMap<u64, Group>,
    next: u64,
}

impl Grouper {
    /// An empty grouper.
    pub fn new(config: GroupConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// A finding opened, or changed while open.
    pub fn open(&mut self, finding: Finding) {
        let id = finding.id.clone();
        let held = self.groups.values().any(|g| g.findings.contains(&id) && g.state == GroupState::Open);
        if held {
            self.changed.insert(id.clone());
        } else {
            self.pending.insert(id.clone());
        }
        self.findings.insert(id, finding);
    }

    /// A finding closed. Unknown ids are ignored.
    pub fn close(&mut self, id: &str, at_us: i64) {
        if let Some(finding) = self.findings.get_mut(id) {
            finding.closed_us.get_or_insert(at_us);
            self.changed.insert(id.to_owned());
        }
    }

    /// Notes that a group is over at `at_us`. A symptom that it explains opens it again within the reopen window.
    pub fn end(&mut self, id: u64, at_us: i64) {
        if let Some(group) = self.groups.get_mut(&id).filter(|g| g.state == GroupState::Open) {
            group.state = GroupState::Closed(at_us);
            group.updated_us = at_us;
        }
    }

    /// Takes a group that another grouper made, such as one from before a restart; a known number is left as it is.
    pub fn adopt(&mut self, group: Group) {
        self.next = self.next.max(group.id + 1);
        self.groups.entry(group.id).or_insert(group);
    }

    /// Makes the first of two open groups a part of the second. `false` when one of them is not open.
    pub fn merge(&mut self, gone: u64, kept: u64) -> bool {
        let open = |id: u64| self.groups.get(&id).is_some_and(|g| g.state == GroupState::Open);
        if gone == kept || !open(gone) || !open(kept) {
            return false;
        }
        let Some(lost) = self.groups.get_mut(&gone) else { return false };
        lost.state = GroupState::MergedInto(kept);
        let (findings, entities, roots) = (lost.findings.clone(), lost.entities.clone(), lost.roots.clone());
        let latest = lost.latest_us;
        if let Some(into) = self.groups.get_mut(&kept) {
            into.findings.extend(findings);
            into.entities.extend(entities);
            into.roots.extend(roots);
            into.latest_us = into.latest_us.max(latest);
        }
        true
    }

    /// A group by number.
    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// All groups that are kept, in order of their numbers.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// A finding by id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.get(id)
    }

    /// Findings of a group, in order of opening.
    pub fn findings_of(&self, id: u64) -> Vec<&Finding> {
        let Some(group) = self.groups.get(&id) else {
            return Vec::new();
        };
        let mut out: Vec<&Finding> = group.findings.iter().filter_map(|f| self.findings.get(f)).collect();
        out.sort_by(|a, b| a.opened_us.cmp(&b.opened_us).then_with(|| a.id.cmp(&b.id)));
        out
    }

    /// Notes the cause that the ranking named for a group. Open groups with the same cause, opened within the merge
    /// window, become one: the older is kept, and the event says so.
    pub fn set_cause(&mut self, id: u64, cause: &str) -> Option<GroupEvent> {
        let group = self.groups.get_mut(&id).filter(|g| g.state == GroupState::Open)?;
        group.cause = Some(cause.to_owned());
        let (opened, scope) = (group.opened_us, group.scope.clone());
        let merge = self.config.merge_us;
        let same = |g: &&Group| {
            g.id != id
                && g.scope == scope
                && g.state == GroupState::Open
                && g.cause.as_deref() == Some(cause)
                && (g.opened_us - opened).abs() <= merge
        };
        let other = self.groups.values().find(same)?.id;
        let older = |g: u64| self.groups.get(&g).map(|g| (g.opened_us, g.id));
        let (kept, gone) = if older(id) <= older(other) { (id, other) } else { (other, id) };
        self.merge(gone, kept).then_some(GroupEvent::Merged(gone, kept))
    }

    /// Places new findings. `now_us` is data time; `dependencies` returns the keys of what an entity calls and runs on.
    /// Cost: linear in anomalous entities and their dependencies, nothing when there is no news.
    pub fn tick(&mut self, now_us: i64, dependencies: &dyn Fn(&str) -> Vec<String>) -> Vec<GroupEvent> {
        if self.pending.is_empty() && self.changed.is_empty() {
            return Vec::new();
        }
        let anomalous = self.anomalous(now_us, dependencies);
        let mut order: Vec<String> = self.pending.iter().cloned().collect();
        // Symptoms first at the same moment, so that evidence finds its group.
        order.sort_by_key(|id| {
            let f = &self.findings[id];
            (f.opened_us, !f.symptom, f.id.clone())
        });
        let mut events = Vec::new();
        let mut touched = BTreeSet::new();
        for id in order {
            if let Some(event) = self.place(&id, now_us, &anomalous, dependencies) {
                match event {
                    GroupEvent::Updated(group) => {
                        touched.insert(group);
                    }
                    other => events.push(other),
                }
            }
        }
        for id in std::mem::take(&mut self.changed) {
            touched.extend(
                self.groups
                    .values()
                    .filter(|g| g.state == GroupState::Open && g.findings.contains(&id))
                    .map(|g| g.id),
            );
        }
        for group in touched {
            if let Some(g) = self.groups.get_mut(&group) {
                g.updated_us = now_us;
            }
            let fresh = events
                .iter()
                .any(|e| matches!(e, GroupEvent::Opened(g) | GroupEvent::Reopened(g) if *g == group));
            if !fresh {
                events.push(GroupEvent::Updated(group));
            }
        }
        self.forget(now_us);
        events
    }

    fn anomalous(&self, now_us: i64, dependencies: &dyn Fn(&str) -> Vec<String>) -> Anomalous {
        let alive = |f: &&Finding| f.closed_us.is_none_or(|c| now_us - c <= self.config.flap_us);
        Anomalous::of(self.findings.values().filter(alive).map(|f| f.entity.as_str()).collect(), dependencies)
    }

    fn place(
        &mut self,
        id: &str,
        now_us: i64,
        anomalous: &Anomalous,
        dependencies: &dyn Fn(&str) -> Vec<String>,
    ) -> Option<GroupEvent> {
        let finding = self.findings.get(id)?.clone();
        let roots = anomalous.roots(&finding.entity);
        let home = self.home(&finding, &roots, anomalous, dependencies);
        if let Some((group_id, reopens)) = home {
            self.pending.remove(id);
            let settle = self.config.settle_us;
            let group = self.groups.get_mut(&group_id)?;
            group.findings.insert(id.to_owned());
            group.entities.insert(finding.entity.clone());
            if finding.opened_us - group.opened_us <= settle {
                // The chain is still unfolding: the ends are those of all members as known now.
                let members = group.entities.clone();
                group.roots = members.iter().flat_map(|e| anomalous.roots(e)).collect();
            }
            group.updated_us = now_us;
            if finding.symptom {
                group.latest_us = group.latest_us.max(finding.opened_us);
            }
            if reopens && finding.symptom {
                group.state = GroupState::Open;
                group.reopened += 1;
                return Some(GroupEvent::Reopened(group_id));
            }
            return Some(GroupEvent::Updated(group_id));
        }
        if !finding.symptom {
            return None;
        }
        self.pending.remove(id);
        let number = self.next;
        self.next += 1;
        self.groups.insert(
            number,
            Group {
                id: number,
                fingerprint: fingerprint(&[
                    &finding.scope,
                    &finding.entity,
                    &finding.signal,
                    &finding.opened_us.to_string(),
                ]),
                scope: finding.scope.clone(),
                opened_for: finding.entity.clone(),
                signal: finding.signal.clone(),
                opened_us: finding.opened_us,
                updated_us: now_us,
                latest_us: finding.opened_us,
                state: GroupState::Open,
                reopened: 0,
                roots,
                entities: BTreeSet::from([finding.entity.clone()]),
                findings: BTreeSet::from([id.to_owned()]),
                cause: None,
            },
        );
        Some(GroupEvent::Opened(number))
    }

    /// The group that a finding belongs to, and whether that group has to open again for it.
    fn home(
        &self,
        finding: &Finding,
        roots: &BTreeSet<String>,
        anomalous: &Anomalous,
        dependencies: &dyn Fn(&str) -> Vec<String>,
    ) -> Option<(u64, bool)> {
        let mut connected = None;
        // The latest first: what two groups explain belongs to the one that is going on.
        for group in self.groups.values().rev().filter(|g| g.scope == finding.scope) {
            let age = finding.opened_us - group.opened_us;
            let rest = finding.opened_us - group.latest_us;
            let explained = group.entities.contains(&finding.entity)
                || roots.iter().any(|r| group.roots.contains(r) || group.cause.as_ref() == Some(r))
                || (finding.traffic_drop
                    && group.entities.iter().any(|e| anomalous.calls(e, &finding.entity)));
            match group.state {
                GroupState::Open if rest <= self.config.merge_us => {
                    if explained {
                        return Some((group.id, false));
                    }
                    let unfolds = age.abs() <= self.config.settle_us;
                    let joins = unfolds
                        && (group.entities.iter().any(|e| anomalous.connected(e, &finding.entity))
                            || finding.symptom && shares(&group.opened_for, &finding.entity, dependencies));
                    if joins && connected.is_none() {
                        connected = Some((group.id, false));
                    }
                }
                // Evidence alone does not open it again.
                GroupState::Closed(at)
                    if explained && finding.symptom && finding.opened_us - at <= self.config.reopen_us =>
                {
                    return Some((group.id, true));
                }
                _ => {}
            }
        }
        connected
    }

    /// Drops groups and findings that no window can reach any more.
    fn forget(&mut self, now_us: i64) {
        let keep = self.config.merge_us + self.config.reopen_us;
        self.groups.retain(|_, g| match g.state {
            GroupState::Open => true,
            GroupState::Closed(_) | GroupState::MergedInto(_) => now_us - g.updated_us <= keep,
        });
        let held: BTreeSet<&String> = self.groups.values().flat_map(|g| g.findings.iter()).collect();
        let gone: Vec<String> = self
            .findings
            .iter()
            .filter(|(id, f)| {
                !held.contains(id) && f.closed_us.is_some_and(|c| now_us - c > self.config.flap_us)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.findings.remove(&id);
            self.pending.remove(&id);
        }
    }
}

/// Hops within which two symptoms are looked at for a common dependency.
const HOPS: usize = 3;

/// Whether two entities depend on something in common.
fn shares(a: &str, b: &str, dependencies: &dyn Fn(&str) -> Vec<String>) -> bool {
    let reach = |from: &str| {
        let mut seen = BTreeSet::from([from.to_owned()]);
        let mut edge = vec![from.to_owned()];
        for _ in 0..HOPS {
            let next: BTreeSet<String> = edge.iter().flat_map(|at| dependencies(at)).collect();
            edge = next.into_iter().filter(|to| seen.insert(to.clone())).collect();
        }
        seen
    };
    !reach(a).is_disjoint(&reach(b))
}
