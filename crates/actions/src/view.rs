//! What an action may look at: plain JSON of live objects, handed in by the caller.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::PlanError;
use crate::reference::TargetRef;

/// Live objects around a target, as the API server returned them, and the moment the plan is made for.
///
/// A plan made twice from equal views is equal to the last byte, which is what lets the executor rebuild and compare it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetView {
    /// The Deployment, StatefulSet or DaemonSet that is acted on; for a configuration, the workload that loads it.
    pub workload: Option<Value>,
    /// ReplicaSets in the workload's namespace; those of other owners are ignored.
    pub replica_sets: Vec<Value>,
    /// The ConfigMap that is acted on.
    pub config_map: Option<Value>,
    /// ControllerRevisions that keep old values of the ConfigMap (`data` holds `{"data": {key: value}}`).
    pub config_history: Vec<Value>,
    /// The HorizontalPodAutoscaler that governs the workload.
    pub hpa: Option<Value>,
    /// Pods of the workload, or the one that is acted on; empty unless a step asks for [`Reads::Pods`].
    #[serde(default)]
    pub pods: Vec<Value>,
    /// The Node that is acted on.
    #[serde(default)]
    pub node: Option<Value>,
    /// Objects that steps ask for by name with [`Reads::Object`].
    #[serde(default)]
    pub extra: Vec<Value>,
    /// Names the run, equal for every retry; seeds idempotency keys. Use the name of the Remediation.
    pub run: String,
    /// When the plan was first made. Rebuild with the same value.
    pub now: Timestamp,
}

impl TargetView {
    /// A view that shows nothing yet.
    pub fn empty(run: impl Into<String>, now: Timestamp) -> Self {
        Self {
            workload: None,
            replica_sets: Vec::new(),
            config_map: None,
            config_history: Vec::new(),
            hpa: None,
            pods: Vec::new(),
            node: None,
            extra: Vec::new(),
            run: run.into(),
            now,
        }
    }

    /// The workload.
    ///
    /// # Errors
    /// [`PlanError::Missing`] if the view has none.
    pub fn workload(&self) -> Result<&Value, PlanError> {
        self.workload.as_ref().ok_or(PlanError::Missing { what: "workload" })
    }

    /// The object that the run is about: the node, the configuration, the workload or the pod.
    ///
    /// # Errors
    /// [`PlanError::Missing`] if the view shows none of them.
    pub fn subject(&self) -> Result<&Value, PlanError> {
        let any = self.node.as_ref().or(self.config_map.as_ref()).or(self.workload.as_ref());
        any.or_else(|| self.pods.first()).ok_or(PlanError::Missing { what: "object" })
    }

    /// An object that a step asked for.
    ///
    /// # Errors
    /// [`PlanError::Missing`] if it is not there.
    pub fn named(&self, kind: &'static str, name: &str) -> Result<&Value, PlanError> {
        let is_it = |object: &&Value| {
            object.get("kind").and_then(Value::as_str) == Some(kind)
                && object.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
        };
        self.extra.iter().find(is_it).ok_or(PlanError::Missing { what: kind })
    }

    /// Every object that a mutation may change.
    pub(crate) fn objects_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let Self { workload, config_map, hpa, node, extra, .. } = self;
        [workload, config_map, hpa, node].into_iter().flatten().chain(extra.iter_mut())
    }
}

/// What an action looks at besides the target, its workload, its autoscaler and its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// The pods of the workload.
    Pods,
    /// One object in the same namespace.
    Object {
        /// API group and version.
        api_version: &'static str,
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
}

/// Namespace in which repairs of nodes live: a Node has none of its own.
pub const NODE_NAMESPACE: &str = "causeway-nodes";

/// The reference that pins `object`.
///
/// # Errors
/// [`PlanError::Malformed`] if apiVersion, kind, namespace, name or uid is missing.
pub fn target_ref(object: &Value) -> Result<TargetRef, PlanError> {
    let field = |pointer: &str, what: &'static str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or(PlanError::Malformed { what })
    };
    let kind = field("/kind", "kind")?;
    let namespace = match kind.as_str() {
        "Node" => NODE_NAMESPACE.to_owned(),
        _ => field("/metadata/namespace", "metadata.namespace")?,
    };
    Ok(TargetRef {
        api_version: field("/apiVersion", "apiVersion")?,
        kind,
        namespace,
        name: field("/metadata/name", "metadata.name")?,
        uid: field("/metadata/uid", "metadata.uid")?,
    })
}

/// An annotation of `object`.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// A whole number at `pointer` that fits 32 bits.
pub fn integer(object: &Value, pointer: &str) -> Option<i32> {
    object.pointer(pointer).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
}

/// The object at `path` below `root`, made empty where it is missing.
///
/// # Errors
/// [`PlanError::Malformed`] if something other than an object stands on the path.
pub fn object_at<'a>(
    root: &'a mut Value,
    path: &[&str],
) -> Result<&'a mut serde_json::Map<String, Value>, PlanError> {
    let malformed = || PlanError::Malformed { what: "object on the path" };
    let mut at = root;
    for key in path {
        let map = at.as_object_mut().ok_or_else(malformed)?;
        at = map.entry(*key).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    at.as_object_mut().ok_or_else(malformed)
}
