//! Call edges from span stubs: a child span in another service than its parent, or a client span that names its peer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_causal::topology::{CallStub, EntityId, EntityKind, Seen, Topology, TopologyConfig};
use causeway_model::{Micros, SeriesId, SeriesPartial, SpanKind, SpanStub};

use crate::placement::Placements;

/// Metrics of outgoing calls (OpenTelemetry semantic conventions), and what log records say of them.
const CLIENTS: [&str; 4] = ["http.client.", "rpc.client.", "db.client.operation.", OF_LOGS];
/// Series of the calls that log records tell of.
const OF_LOGS: &str = "log.client.";

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

    /// Takes the spans of a window. Calls to addresses become edges where `placements` knows whose they were.
    pub(crate) fn observe(&mut self, spans: &[SpanStub], placements: &Placements) {
        let current: AHashMap<(u64, u64), Arc<str>> =
            spans.iter().map(|s| ((s.trace, s.span), Arc::clone(&s.service))).collect();
        let has_child: BTreeSet<(u64, u64)> = spans.iter().map(|s| (s.trace, s.parent)).collect();
        let mut calls: BTreeMap<(EntityId, EntityId, Seen), (u64, Micros, Micros)> = BTreeMap::new();
        let mut count = |from: EntityId, to: EntityId, seen: Seen, at: Micros| {
            let call = calls.entry((from, to, seen)).or_insert((0, at, at));
            *call = (call.0 + 1, call.1.min(at), call.2.max(at));
        };
        let mut addressed: BTreeMap<(EntityId, IpAddr), (u64, Micros, Micros)> = BTreeMap::new();
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
            let Some(peer) = &span.peer else { continue };
            let caller = service(&span.service);
            match Peer::of(peer) {
                // What an agent, a tool or a model does may well have spans below it: they are not it.
                Peer::Named(peer) => {
                    if is_part_of_a_service(peer.kind) || !has_child.contains(&(span.trace, span.span)) {
                        count(caller, peer, Seen::Peer, span.start_us);
                    }
                }
                _ if has_child.contains(&(span.trace, span.span)) => {}
                Peer::Address(address) => {
                    let at = span.start_us;
                    let call = addressed.entry((caller, address)).or_insert((0, at, at));
                    *call = (call.0 + 1, call.1.min(at), call.2.max(at));
                }
                Peer::Host(host) => {
                    let peer = self
                        .service_of_host(&host, &span.service)
                        .unwrap_or_else(|| EntityId::new(EntityKind::External, "", &host));
                    if peer != caller {
                        count(caller, peer, Seen::Peer, span.start_us);
                    }
                }
            }
        }
        for ((caller, callee, seen), (count, first_us, last_us)) in calls {
            self.topology.observe_call(&CallStub { caller, callee, count, first_us, last_us, seen });
        }
        for ((caller, address), call) in addressed {
            let made = placements.call(&caller, address, call, &mut self.topology);
            // An address of a private network that nobody is known to have may be anybody: it makes no edge.
            if !made && is_public(address) {
                let (count, first_us, last_us) = call;
                let callee = EntityId::new(EntityKind::External, "", &address.to_string());
                self.topology.observe_call(&CallStub {
                    caller,
                    callee,
                    count,
                    first_us,
                    last_us,
                    seen: Seen::Peer,
                });
            }
        }
        self.previous = current;
    }

    /// Takes the series of a window: what clients measure, or log, names whom they call, where no trace shows it. Logs make
    /// no peers: what they name must be known.
    pub(crate) fn observe_metrics(&mut self, series: &[(SeriesId, SeriesPartial)], placements: &Placements) {
        for (id, values) in series.iter().filter(|(_, values)| values.count > 0) {
            if !CLIENTS.iter().any(|prefix| id.signal.starts_with(prefix)) {
                continue;
            }
            let label = |key: &str| {
                id.group
                    .split(',')
                    .find_map(|pair| pair.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')))
            };
            let Some(host) = label("peer.service").or_else(|| label("server.address")) else { continue };
            let caller = service(&id.entity);
            let (count, at) = (values.count, values.last_us);
            if let Ok(address) = host.parse() {
                placements.call(&caller, address, (count, at, at), &mut self.topology);
                continue;
            }
            let database = id.signal.starts_with("db.client.");
            let callee = match self.service_of_host(host, &id.entity) {
                Some(known) => known,
                None if id.signal.starts_with(OF_LOGS) => continue,
                None if database => {
                    let system = label("db.system.name").unwrap_or("db");
                    EntityId::new(EntityKind::Database, "", &format!("{system}:{host}"))
                }
                None => EntityId::new(EntityKind::External, "", host),
            };
            self.topology.observe_call(&CallStub {
                caller,
                callee,
                count,
                first_us: at,
                last_us: at,
                seen: Seen::Label,
            });
        }
    }

    /// The service behind a host name of Kubernetes: `name`, `name.namespace`, `name.namespace.svc` and what follows;
    /// only services that telemetry knows.
    fn service_of_host(&self, host: &str, caller: &str) -> Option<EntityId> {
        let host = host.trim_end_matches('.');
        let inside = host.split_once(".svc").filter(|(_, rest)| rest.is_empty() || rest.starts_with('.'));
        let short = inside.map_or(host, |(short, _)| short);
        let own = caller.split_once('/').map_or("", |(namespace, _)| namespace);
        let id = match short.split_once('.') {
            Some((name, namespace)) if !namespace.contains('.') => EntityId::service(namespace, name),
            Some(_) => return None,
            None => EntityId::service(own, short),
        };
        let bare = EntityId::service("", &id.name);
        [id, bare].into_iter().find(|id| self.topology.by_key(&id.key()).is_some())
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

/// Who a span says it calls.
enum Peer {
    /// Something with an identity of its own: `Kind/name`.
    Named(EntityId),
    /// An address.
    Address(IpAddr),
    /// A host name or a service.
    Host(String),
}

impl Peer {
    fn of(text: &str) -> Self {
        let kinds = [
            ("Database/", EntityKind::Database),
            ("Queue/", EntityKind::Queue),
            ("Function/", EntityKind::Function),
            ("Agent/", EntityKind::Agent),
            ("Tool/", EntityKind::Tool),
            ("Model/", EntityKind::Model),
        ];
        let named = kinds
            .iter()
            .find_map(|(prefix, kind)| text.strip_prefix(prefix).map(|name| EntityId::new(*kind, "", name)));
        match (named, text.parse()) {
            (Some(named), _) => Self::Named(named),
            (None, Ok(address)) => Self::Address(address),
            (None, Err(_)) => Self::Host(text.to_owned()),
        }
    }
}

/// Agents and tools run within the service that speaks of them.
fn is_part_of_a_service(kind: EntityKind) -> bool {
    matches!(kind, EntityKind::Agent | EntityKind::Tool | EntityKind::Model)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is shared address space (RFC 6598), which clusters use for pods.
            let shared = v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    }
}

/// Identity of the service with that name in telemetry.
pub(crate) fn service(name: &str) -> EntityId {
    match name.split_once('/') {
        Some((namespace, name)) => EntityId::service(namespace, name),
        None => EntityId::service("", name),
    }
}
