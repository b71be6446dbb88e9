//! What exists, who calls whom and what runs where, as intervals of data time, so that any past moment can be asked for.
//!
//! An address is only ever turned into an entity for the time in which it belonged to exactly one, so that a reused pod IP
//! makes no edge. Memory is bounded: entities, edges and intervals that were not seen for longest go first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

pub use crate::case::EdgeKind;
pub use crate::entity::{CallStub, EntityId, EntityKind, Seen};
use crate::history::History;

/// Bounds of a [`Topology`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TopologyConfig {
    /// An edge or an entity is taken to exist this long after it was last seen, microseconds.
    pub linger_us: i64,
    /// Most entities.
    pub max_entities: usize,
    /// Most edges.
    pub max_edges: usize,
    /// Most intervals of one edge or address.
    pub max_intervals: usize,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self { linger_us: 15 * 60 * 1_000_000, max_entities: 20_000, max_edges: 100_000, max_intervals: 64 }
    }
}

/// An edge as it stood at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeView {
    /// Caller, or what is placed.
    pub from: EntityId,
    /// Callee, or host.
    pub to: EntityId,
    /// Which of the two.
    pub kind: EdgeKind,
    /// Calls in the interval that covers the moment.
    pub count: u64,
    /// Whether no trace or object shows it.
    pub inferred: bool,
    /// 0 to 1, from the kinds of evidence.
    pub confidence: f64,
    /// Begin of the interval, microseconds since the Unix epoch.
    pub since_us: i64,
    /// Last time seen in it.
    pub until_us: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct EdgeState {
    history: History,
    seen: BTreeSet<Seen>,
}

impl EdgeState {
    fn confidence(&self) -> f64 {
        1.0 - self.seen.iter().map(|s| 1.0 - s.confidence()).product::<f64>()
    }
}

/// Entities and edges over time.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    config: TopologyConfig,
    entities: BTreeMap<EntityId, History>,
    keys: BTreeMap<String, EntityId>,
    edges: BTreeMap<(EntityId, EntityId, EdgeKind), EdgeState>,
    callers: BTreeMap<EntityId, BTreeSet<(EntityId, EdgeKind)>>,
    addresses: BTreeMap<String, Vec<(EntityId, History)>>,
    unresolved: u64,
}

/// The state of a [`Topology`] as plain lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopologySnapshot {
    config: TopologyConfig,
    entities: Vec<(EntityId, History)>,
    edges: Vec<(EntityId, EntityId, EdgeKind, EdgeState)>,
    addresses: Vec<(String, Vec<(EntityId, History)>)>,
}

impl Topology {
    /// An empty topology.
    pub fn new(config: TopologyConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The state, for a snapshot.
    pub fn snapshot(&self) -> TopologySnapshot {
        TopologySnapshot {
            config: self.config,
            entities: self.entities.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            edges: self.edges.iter().map(|((a, b, k), v)| (a.clone(), b.clone(), *k, v.clone())).collect(),
            addresses: self.addresses.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// A topology from a snapshot.
    pub fn restore(snapshot: TopologySnapshot) -> Self {
        let mut out = Self::new(snapshot.config);
        for (id, history) in snapshot.entities {
            out.keys.insert(id.key(), id.clone());
            out.entities.insert(id, history);
        }
        for (from, to, kind, state) in snapshot.edges {
            out.callers.entry(to.clone()).or_default().insert((from.clone(), kind));
            out.edges.insert((from, to, kind), state);
        }
        out.addresses = snapshot.addresses.into_iter().collect();
        out
    }

    /// Notes that an entity exists at a time.
    pub fn observe_entity(&mut self, id: &EntityId, at_us: i64) {
        self.touch(id, at_us, at_us, 0);
        self.bound();
    }

    /// Adds calls. Calls of an entity to itself are not edges.
    pub fn observe_call(&mut self, stub: &CallStub) {
        if stub.caller == stub.callee || stub.count == 0 {
            return;
        }
        self.add_edge(
            &stub.caller,
            &stub.callee,
            EdgeKind::Calls,
            stub.seen,
            (stub.first_us, stub.last_us, stub.count),
        );
    }

    /// Notes that `entity` is placed on (or owned by) `host` at a time.
    pub fn observe_placement(&mut self, entity: &EntityId, host: &EntityId, at_us: i64) {
        if entity != host {
            self.add_edge(entity, host, EdgeKind::RunsOn, Seen::Object, (at_us, at_us, 1));
        }
    }

    /// Notes that an address belongs to an entity from `first_us` to `last_us`.
    pub fn observe_address(&mut self, address: &str, owner: &EntityId, first_us: i64, last_us: i64) {
        // Addresses change hands fast: a stretch without a sighting is not glued together.
        let (linger, most) = (self.config.linger_us.min(60_000_000), self.config.max_intervals);
        let owners = self.addresses.entry(address.to_owned()).or_default();
        match owners.iter_mut().find(|(id, _)| id == owner) {
            Some((_, history)) => history.add(first_us, last_us, 0, linger, most),
            None => {
                let mut history = History::default();
                history.add(first_us, last_us, 0, linger, most);
                owners.push((owner.clone(), history));
                owners.sort_by(|a, b| a.0.cmp(&b.0));
                if owners.len() > most {
                    let oldest =
                        owners.iter().enumerate().min_by_key(|(_, o)| o.1.last_us()).map_or(0, |(at, _)| at);
                    owners.remove(oldest);
                }
            }
        }
    }

    /// Adds calls to an address. They make an edge only where the address had exactly one owner for the whole time;
    /// returns whether they did.
    pub fn observe_address_call(
        &mut self,
        caller: &EntityId,
        address: &str,
        count: u64,
        first_us: i64,
        last_us: i64,
    ) -> bool {
        let Some(callee) = self.owner_of(address, first_us, last_us) else {
            self.unresolved += count;
            return false;
        };
        self.observe_call(&CallStub {
            caller: caller.clone(),
            callee,
            count,
            first_us,
            last_us,
            seen: Seen::Address,
        });
        true
    }

    /// The only owner of an address over a stretch of time. Strict: an interval must cover it without lingering, and nobody
    /// else's interval may touch it.
    pub fn owner_of(&self, address: &str, first_us: i64, last_us: i64) -> Option<EntityId> {
        let owners = self.addresses.get(address)?;
        let touching: Vec<&(EntityId, History)> =
            owners.iter().filter(|(_, h)| h.touches(first_us, last_us)).collect();
        match touching.as_slice() {
            [(owner, history)] if history.covers(first_us, last_us) => Some(owner.clone()),
            _ => None,
        }
    }

    /// Calls to addresses that had no single owner.
    pub fn unresolved_calls(&self) -> u64 {
        self.unresolved
    }

    fn add_edge(
        &mut self,
        from: &EntityId,
        to: &EntityId,
        kind: EdgeKind,
        seen: Seen,
        (first, last, count): (i64, i64, u64),
    ) {
        self.touch(from, first, last, 0);
        self.touch(to, first, last, 0);
        let state = self.edges.entry((from.clone(), to.clone(), kind)).or_default();
        state.history.add(first, last, count, self.config.linger_us, self.config.max_intervals);
        state.seen.insert(seen);
        self.callers.entry(to.clone()).or_default().insert((from.clone(), kind));
        self.bound();
    }

    fn touch(&mut self, id: &EntityId, first: i64, last: i64, count: u64) {
        if !self.entities.contains_key(id) {
            self.keys.insert(id.key(), id.clone());
        }
        let history = self.entities.entry(id.clone()).or_default();
        history.add(first, last, count, self.config.linger_us, self.config.max_intervals);
    }

    fn bound(&mut self) {
        if self.edges.len() > self.config.max_edges {
            let stale = stalest(
                self.edges.iter().map(|(k, v)| (v.history.last_us(), k)),
                self.config.max_edges / 10 + 1,
            );
            for key in stale {
                self.edges.remove(&key);
                if let Some(list) = self.callers.get_mut(&key.1) {
                    list.remove(&(key.0, key.2));
                }
            }
        }
        if self.entities.len() > self.config.max_entities {
            let stale = stalest(
                self.entities.iter().map(|(k, v)| (v.last_us(), k)),
                self.config.max_entities / 10 + 1,
            );
            let gone: BTreeSet<EntityId> = stale.into_iter().collect();
            for id in &gone {
                self.entities.remove(id);
                self.keys.remove(&id.key());
                self.callers.remove(id);
            }
            self.edges.retain(|(a, b, _), _| !gone.contains(a) && !gone.contains(b));
            for owners in self.addresses.values_mut() {
                owners.retain(|(id, _)| !gone.contains(id));
            }
            self.addresses.retain(|_, owners| !owners.is_empty());
        }
    }

    /// The identity behind a key of [`EntityId::key`].
    pub fn by_key(&self, key: &str) -> Option<&EntityId> {
        self.keys.get(key)
    }

    /// Number of entities and edges held.
    pub fn size(&self) -> (usize, usize) {
        (self.entities.len(), self.edges.len())
    }

    /// Entities that existed at a time, in order.
    pub fn entities_at(&self, at_us: i64) -> Vec<EntityId> {
        let linger = self.config.linger_us;
        self.entities
            .iter()
            .filter(|(_, h)| h.at(at_us, linger).is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Edges that existed at a time, in order.
    pub fn edges_at(&self, at_us: i64) -> Vec<EdgeView> {
        self.edges.iter().filter_map(|((a, b, kind), state)| self.view(a, b, *kind, state, at_us)).collect()
    }

    fn view(
        &self,
        from: &EntityId,
        to: &EntityId,
        kind: EdgeKind,
        state: &EdgeState,
        at_us: i64,
    ) -> Option<EdgeView> {
        let interval = state.history.at(at_us, self.config.linger_us)?;
        Some(EdgeView {
            from: from.clone(),
            to: to.clone(),
            kind,
            count: interval.count,
            inferred: !state.seen.iter().any(|s| matches!(s, Seen::Trace | Seen::Object)),
            confidence: state.confidence(),
            since_us: interval.first_us,
            until_us: interval.last_us,
        })
    }

    /// What an entity calls and runs on at a time.
    pub fn below(&self, id: &EntityId, at_us: i64) -> Vec<EdgeView> {
        let lowest = (id.clone(), EntityId::new(EntityKind::Service, "", ""), EdgeKind::Calls);
        self.edges
            .range(lowest..)
            .take_while(|((from, _, _), _)| from == id)
            .filter_map(|((a, b, kind), state)| self.view(a, b, *kind, state, at_us))
            .collect()
    }

    /// Who calls an entity or runs on it at a time.
    pub fn above(&self, id: &EntityId, at_us: i64) -> Vec<EdgeView> {
        let Some(callers) = self.callers.get(id) else {
            return Vec::new();
        };
        callers
            .iter()
            .filter_map(|(from, kind)| {
                let state = self.edges.get(&(from.clone(), id.clone(), *kind))?;
                self.view(from, id, *kind, state, at_us)
            })
            .collect()
    }

    /// Keys of what the entity of a key depends on at a time; empty for an unknown key. Fits [`crate::grouper::Grouper::tick`].
    pub fn dependencies(&self, key: &str, at_us: i64) -> Vec<String> {
        let Some(id) = self.by_key(key) else {
            return Vec::new();
        };
        self.below(id, at_us).into_iter().map(|e| e.to.key()).collect()
    }

    /// The shortest way down from `from` to `to` at a time, both included; ties by order of identity.
    pub fn path(&self, from: &EntityId, to: &EntityId, at_us: i64) -> Option<Vec<EntityId>> {
        let mut parent: BTreeMap<EntityId, EntityId> = BTreeMap::new();
        let mut queue = VecDeque::from([from.clone()]);
        while let Some(at) = queue.pop_front() {
            if &at == to {
                let mut path = vec![at.clone()];
                let mut up = &at;
                while let Some(next) = parent.get(up) {
                    path.push(next.clone());
                    up = next;
                }
                path.reverse();
                return Some(path);
            }
            for edge in self.below(&at, at_us) {
                if &edge.to != from && !parent.contains_key(&edge.to) {
                    parent.insert(edge.to.clone(), at.clone());
                    queue.push_back(edge.to);
                }
            }
        }
        None
    }
}

fn stalest<'a, K: Clone + Ord + 'a>(items: impl Iterator<Item = (i64, &'a K)>, count: usize) -> Vec<K> {
    let mut all: Vec<(i64, &K)> = items.collect();
    all.sort();
    all.into_iter().take(count).map(|(_, k)| k.clone()).collect()
}
