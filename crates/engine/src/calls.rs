//! Call edges from span stubs: a child span in another service than its parent, or a client span that names its peer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ahash::AHashMap;
use causeway_causal::topology::{CallStub, EntityId, EntityKind, Seen, Topology, TopologyConfig};
use causeway_model::{Micros, SpanKind, SpanStub};

/// The topology, and the services that traces enter from outside.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) topology: Topology,
    pub(crate) roots: BTreeMap<Arc<str>, u64>,
    /// Services of the spans of the window before, so that a child finds a parent one window earlier.
    previous: AHashMap<(u64, u64), Arc<str>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self::restore(Topology::new(TopologyConfig::default()), BTreeMap::new())
    }
}

impl Calls {
    pub(crate) fn restore(topology: Topology, roots: BTreeMap<Arc<str>, u64>) -> Self {
        Self { topology, roots, previous: AHashMap::new() }
    }

    pub(crate) fn observe(&mut self, spans: &[SpanStub]) {
        let current: AHashMap<(u64, u64), Arc<str>> =
            spans.iter().map(|s| ((s.trace, s.span), Arc::clone(&s.service))).collect();
        let has_child: BTreeSet<(u64, u64)> = spans.iter().map(|s| (s.trace, s.parent)).collect();
        let mut calls: BTreeMap<(EntityId, EntityId, Seen), (u64, Micros, Micros)> = BTreeMap::new();
        let mut count = |from: EntityId, to: EntityId, seen: Seen, at: Micros| {
            let call = calls.entry((from, to, seen)).or_insert((0, at, at));
            *call = (call.0 + 1, call.1.min(at), call.2.max(at));
        };
        for span in spans {
            if span.parent == 0 {
                if !matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
                    *self.roots.entry(Arc::clone(&span.service)).or_default() += 1;
                }
            } else {
                let key = (span.trace, span.parent);
                let parent = current.get(&key).or_else(|| self.previous.get(&key));
                if let Some(parent) = parent.filter(|p| **p != span.service) {
                    count(service(parent), service(&span.service), Seen::Trace, span.start_us);
                }
            }
            // A peer without telemetry of its own is known only by the name that its callers give it.
            if let Some(peer) = &span.peer
                && !has_child.contains(&(span.trace, span.span))
            {
                let peer = EntityId::new(EntityKind::External, "", peer);
                count(service(&span.service), peer, Seen::Peer, span.start_us);
            }
        }
        for ((caller, callee, seen), (count, first_us, last_us)) in calls {
            self.topology.observe_call(&CallStub { caller, callee, count, first_us, last_us, seen });
        }
        self.previous = current;
    }

    /// Services that traces enter and nobody calls at that time.
    pub(crate) fn entry_points(&self, at_us: Micros) -> BTreeSet<String> {
        self.roots
            .keys()
            .filter(|s| self.topology.above(&service(s), at_us).is_empty())
            .map(|s| s.to_string())
            .collect()
    }
}

/// Identity of the service with that name in telemetry.
pub(crate) fn service(name: &str) -> EntityId {
    match name.split_once('/') {
        Some((namespace, name)) => EntityId::service(namespace, name),
        None => EntityId::service("", name),
    }
}
