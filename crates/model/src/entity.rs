//! Identity of the things that telemetry speaks about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kind of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntityKind {
    /// A logical service, named by `service.namespace` and `service.name`.
    Service,
    /// A workload object, such as a Deployment.
    Workload,
    /// A pod, task or process instance.
    Pod,
    /// A machine.
    Node,
    /// A database.
    Database,
    /// A queue or topic.
    Queue,
    /// A peer outside of what is observed.
    External,
    /// A source of telemetry.
    Source,
}

impl EntityKind {
    /// The name shown to people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Workload => "Workload",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::Database => "Database",
            Self::Queue => "Queue",
            Self::External => "External",
            Self::Source => "Source",
        }
    }
}

/// An entity: (kind, namespace, name) within one cluster or account. The namespace is empty where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityRef {
    /// Kind.
    pub kind: EntityKind,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name; an ARN for cloud resources.
    pub name: String,
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind.as_str(), self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.name)
        }
    }
}

/// The value of the `service` columns: `service.namespace/service.name`, or the bare name where no namespace is known.
#[must_use]
pub fn service_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
