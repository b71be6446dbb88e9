//! Who is who: identities of entities, and calls between them as gateways count them.

use serde::{Deserialize, Serialize};

/// Kind of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntityKind {
    /// A service, `service.namespace/service.name`.
    Service,
    /// A Deployment, StatefulSet, DaemonSet, Job or a cloud task definition.
    Workload,
    /// A pod or task.
    Pod,
    /// A node or host.
    Node,
    /// A database or cache.
    Database,
    /// A queue or topic.
    Queue,
    /// A peer outside, without telemetry of its own.
    External,
    /// A function, named by its ARN where it has one.
    Function,
    /// A GenAI agent.
    Agent,
    /// A tool that an agent calls.
    Tool,
    /// A model that is called.
    Model,
    /// A configuration object.
    Config,
}

/// Identity of an entity in one cluster or account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityId {
    /// Kind.
    pub kind: EntityKind,
    /// Namespace; empty where the kind has none.
    pub namespace: String,
    /// Name, or ARN.
    pub name: String,
}

impl EntityId {
    /// An identity.
    pub fn new(kind: EntityKind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// A service.
    pub fn service(namespace: &str, name: &str) -> Self {
        Self::new(EntityKind::Service, namespace, name)
    }

    /// The name used in cases and findings: `namespace/name` for services, `Kind/namespace/name` for the rest.
    pub fn key(&self) -> String {
        let scoped = if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        };
        match self.kind {
            EntityKind::Service => scoped,
            kind => format!("{kind:?}/{scoped}"),
        }
    }
}

/// How an edge was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Seen {
    /// Parent and child span of two entities.
    Trace,
    /// A client span that names its peer.
    Peer,
    /// A connection to an address that belonged to the callee.
    Address,
    /// A log field or a metric label that names the peer.
    Label,
    /// A Kubernetes object (placement, ownership).
    Object,
}

impl Seen {
    pub(crate) fn confidence(self) -> f64 {
        match self {
            Seen::Trace | Seen::Object => 1.0,
            Seen::Peer => 0.8,
            Seen::Address => 0.5,
            Seen::Label => 0.4,
        }
    }
}

/// Calls between two entities in a stretch of data time, as counted by a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallStub {
    /// Who calls.
    pub caller: EntityId,
    /// Who is called.
    pub callee: EntityId,
    /// Calls.
    pub count: u64,
    /// First of them, microseconds since the Unix epoch.
    pub first_us: i64,
    /// Last of them.
    pub last_us: i64,
    /// How it was seen.
    pub seen: Seen,
}
