//! The templates that are known, and how they give way to wider ones.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::generalise::consequences;
use crate::skeleton::{Part, Skeleton, TemplateId};

/// Skeletons of one shape that are compared with each other; beyond it the most varied position gives way.
const MAX_SHAPE: usize = 512;
/// Masked texts remembered for the direct way from a line to its template.
const MAX_CACHE: usize = 65_536;

/// Keys are already hashes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Hashed<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// One template and what is known about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) id: TemplateId,
    pub(crate) text: Box<str>,
    /// `None` for stack traces, which never generalise.
    skeleton: Option<Skeleton>,
    pub(crate) count: u64,
    pub(crate) seen: u64,
    pub(crate) reported: bool,
    /// The wider template that took over.
    #[serde(skip)]
    forward: Option<u32>,
    #[serde(skip)]
    gone: bool,
}

/// An old id and the id that speaks for it now.
pub type Alias = (TemplateId, TemplateId);

/// All templates of a miner.
#[derive(Debug, Default)]
pub(crate) struct Store {
    slots: Vec<Slot>,
    by_id: Hashed<u32>,
    shapes: Hashed<Vec<u32>>,
    cache: Hashed<u32>,
    aliases: Hashed<TemplateId>,
    alias_order: VecDeque<TemplateId>,
    fresh_aliases: Vec<Alias>,
    alive: usize,
    max: usize,
}

impl Store {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(8), ..Self::default() }
    }

    /// Number of templates alive.
    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    pub(crate) fn slot(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|s| !s.gone)
    }

    pub(crate) fn by_id(&self, id: TemplateId) -> Option<&Slot> {
        self.by_id.get(&id.0).map(|i| &self.slots[*i as usize]).filter(|s| !s.gone)
    }

    pub(crate) fn cached(&mut self, key: u64) -> Option<u32> {
        let at = *self.cache.get(&key)?;
        let end = self.follow(at);
        if self.slots[end as usize].gone {
            return None;
        }
        if end != at {
            self.cache.insert(key, end);
        }
        Some(end)
    }

    pub(crate) fn remember(&mut self, key: u64, at: u32) {
        if self.cache.len() >= MAX_CACHE {
            self.cache.clear();
        }
        self.cache.insert(key, at);
    }

    fn follow(&self, mut at: u32) -> u32 {
        while let Some(next) = self.slots[at as usize].forward {
            at = next;
        }
        at
    }

    /// The template that covers the skeleton, if one does.
    pub(crate) fn covering(&self, skeleton: &Skeleton) -> Option<u32> {
        let members = self.shapes.get(&skeleton.shape())?;
        members.iter().copied().find(|m| self.skeleton(*m).is_some_and(|s| s.covers(skeleton)))
    }

    pub(crate) fn skeleton(&self, at: u32) -> Option<&Skeleton> {
        self.slots[at as usize].skeleton.as_ref()
    }

    /// The template of a stack trace with this text.
    pub(crate) fn trace(&mut self, text: String, now: u64) -> u32 {
        let id = TemplateId::of(&text);
        match self.by_id.get(&id.0) {
            Some(at) if !self.slots[*at as usize].gone => *at,
            _ => {
                self.make_room();
                self.add(id, text, None, now)
            }
        }
    }

    /// The template of a message with this skeleton, new or wider than before if need be.
    pub(crate) fn insert(&mut self, skeleton: &Skeleton, now: u64) -> u32 {
        if let Some(at) = self.covering(skeleton) {
            return at;
        }
        self.make_room();
        let shape = skeleton.shape();
        let mut replaced = self.close(shape, vec![skeleton.clone()], now);
        if self.shapes.get(&shape).is_some_and(|m| m.len() > MAX_SHAPE) {
            let wide = self.collapsed(shape);
            replaced.extend(self.close(shape, wide, now));
        }
        for old in replaced {
            self.announce(old);
        }
        self.covering(skeleton).unwrap_or(0)
    }

    /// Adds skeletons and all that follows from them; returns the slots that gave way.
    fn close(&mut self, shape: u64, mut work: Vec<Skeleton>, now: u64) -> Vec<u32> {
        let mut replaced = Vec::new();
        while let Some(x) = work.pop() {
            if self.covering(&x).is_some() {
                continue;
            }
            let members = self.shapes.remove(&shape).unwrap_or_default();
            let (covered, mut kept): (Vec<u32>, Vec<u32>) =
                members.into_iter().partition(|m| self.skeleton(*m).is_some_and(|s| x.covers(s)));
            let text = x.text();
            let at = self.add(TemplateId::of(&text), text, Some(x.clone()), now);
            for old in covered {
                let (count, seen, reported, id) = {
                    let o = self.slot(old);
                    o.forward = Some(at);
                    o.gone = true;
                    (o.count, o.seen, o.reported, o.id)
                };
                self.alive -= 1;
                let new = self.slot(at);
                new.count += count;
                new.seen = if new.count == count { seen } else { new.seen.max(seen) };
                new.reported |= reported && new.id == id;
                replaced.push(old);
            }
            kept.push(at);
            let all: Vec<&Skeleton> = kept.iter().filter_map(|m| self.skeleton(*m)).collect();
            work.extend(consequences(&all, &x));
            self.shapes.insert(shape, kept);
        }
        replaced
    }

    /// The skeletons of an overcrowded shape with their most varied position given up.
    fn collapsed(&self, shape: u64) -> Vec<Skeleton> {
        let members: Vec<&Skeleton> =
            self.shapes.get(&shape).into_iter().flatten().filter_map(|m| self.skeleton(*m)).collect();
        let width = members.first().map_or(0, |s| s.parts.len());
        let varied = (0..width).max_by_key(|i| {
            let mut words: Vec<&str> = members
                .iter()
                .filter_map(|s| if let Part::Word(w) = &s.parts[*i] { Some(&**w) } else { None })
                .collect();
            words.sort_unstable();
            words.dedup();
            words.len()
        });
        let Some(at) = varied else { return Vec::new() };
        members
            .into_iter()
            .map(|s| {
                let mut s = s.clone();
                s.parts[at] = Part::Any;
                s
            })
            .collect()
    }

    fn add(&mut self, id: TemplateId, text: String, skeleton: Option<Skeleton>, now: u64) -> u32 {
        let at = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let text = text.into();
        self.slots.push(Slot {
            id,
            text,
            skeleton,
            count: 0,
            seen: now,
            reported: false,
            forward: None,
            gone: false,
        });
        self.by_id.insert(id.0, at);
        if self.aliases.remove(&id.0).is_some() {
            self.alias_order.retain(|o| *o != id);
        }
        self.alive += 1;
        at
    }

    /// Records the alias of a slot that gave way, if anybody was told its id.
    fn announce(&mut self, old: u32) {
        let (id, reported) = (self.slots[old as usize].id, self.slots[old as usize].reported);
        let new = self.slots[self.follow(old) as usize].id;
        if reported && id != new {
            self.alias(id, new);
        }
    }

    pub(crate) fn alias(&mut self, old: TemplateId, new: TemplateId) {
        if self.aliases.insert(old.0, new).is_none() {
            self.alias_order.push_back(old);
        }
        if self.fresh_aliases.len() < self.max * 4 {
            self.fresh_aliases.push((old, new));
        }
        while self.alias_order.len() > self.max * 4 {
            if let Some(first) = self.alias_order.pop_front() {
                self.aliases.remove(&first.0);
            }
        }
    }

    pub(crate) fn take_aliases(&mut self) -> Vec<Alias> {
        std::mem::take(&mut self.fresh_aliases)
    }

    /// Whether aliases wait to be taken.
    pub(crate) fn has_fresh_aliases(&self) -> bool {
        !self.fresh_aliases.is_empty()
    }

    pub(crate) fn resolve(&self, mut id: TemplateId) -> TemplateId {
        // Chains are short, a cycle can't be longer than the map.
        for _ in 0..=self.aliases.len() {
            match self.aliases.get(&id.0) {
                Some(next) => id = *next,
                None => break,
            }
        }
        id
    }

    pub(crate) fn aliases(&self) -> impl Iterator<Item = Alias> + '_ {
        self.alias_order.iter().filter_map(|old| self.aliases.get(&old.0).map(|_| (*old, self.resolve(*old))))
    }

    /// Moves one observation from a template to another; a template left with none is dropped.
    pub(crate) fn reassign(&mut self, from: TemplateId, to: u32) {
        let Some(at) = self.by_id.get(&self.resolve(from).0).copied() else { return };
        if at == to || self.slots[at as usize].gone {
            return;
        }
        self.slot(to).count += 1;
        let new = self.slot(to).id;
        self.slot(to).reported = true;
        let slot = self.slot(at);
        slot.count = slot.count.saturating_sub(1);
        let old = slot.id;
        if slot.count == 0 {
            self.drop_slot(at);
            self.cache.clear();
            self.alias(old, new);
        }
    }

    fn drop_slot(&mut self, at: u32) {
        let slot = self.slot(at);
        slot.gone = true;
        let shape = slot.skeleton.as_ref().map(Skeleton::shape);
        self.alive -= 1;
        if let Some(members) = shape.and_then(|s| self.shapes.get_mut(&s)) {
            members.retain(|m| *m != at);
        }
    }

    /// Forgets the eighth of the templates that was not seen for longest, when the store is full.
    fn make_room(&mut self) {
        if self.alive >= self.max {
            let mut seen: Vec<(u64, u32)> =
                (0u32..).zip(&self.slots).filter(|(_, s)| !s.gone).map(|(i, s)| (s.seen, i)).collect();
            seen.sort_unstable();
            for (_, at) in seen.into_iter().take(self.max / 8 + 1) {
                self.drop_slot(at);
            }
            self.compact();
        } else if self.slots.len() > self.max * 4 {
            self.compact();
        }
    }

    /// Gives the memory of dead slots back.
    fn compact(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.load(slots.into_iter().filter(|s| !s.gone).collect());
    }

    fn load(&mut self, slots: Vec<Slot>) {
        self.alive = slots.len();
        self.slots = slots;
        self.by_id.clear();
        self.shapes.clear();
        self.cache.clear();
        for (i, s) in (0u32..).zip(&self.slots) {
            self.by_id.insert(s.id.0, i);
            if let Some(k) = &s.skeleton {
                self.shapes.entry(k.shape()).or_default().push(i);
            }
        }
    }

    pub(crate) fn export(&self) -> (Vec<Slot>, Vec<Alias>) {
        let aliases =
            self.alias_order.iter().filter_map(|o| self.aliases.get(&o.0).map(|n| (*o, *n))).collect();
        (self.alive().cloned().collect(), aliases)
    }

    pub(crate) fn import(max: usize, slots: Vec<Slot>, aliases: Vec<Alias>) -> Self {
        let mut s = Self::new(max);
        s.load(slots);
        for (old, new) in aliases {
            s.aliases.insert(old.0, new);
            s.alias_order.push_back(old);
        }
        s
    }
}
