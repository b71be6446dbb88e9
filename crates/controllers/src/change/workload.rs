//! What Deployments, StatefulSets and DaemonSets have in common: a pod template, and mostly a number of replicas.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::mirrors::Mirrors;
use crate::objects;

/// A workload, without its status.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// `None` for a DaemonSet.
    pub(super) replicas: Option<i32>,
    pub(super) template: PodTemplateSpec,
}

impl Workload {
    fn new(
        kind: &'static str,
        object: &impl ResourceExt,
        spec: Option<(Option<i32>, &PodTemplateSpec)>,
    ) -> Self {
        let (replicas, template) = spec.map(|(r, t)| (r, t.clone())).unwrap_or_default();
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            replicas,
            template,
        }
    }

    /// All workloads of a namespace.
    pub(super) fn all(mirrors: &Mirrors, namespace: &str) -> Vec<Self> {
        let deployments = mirrors.deployments.list_in(namespace).into_iter().map(|o| Self::from(&*o));
        let stateful = mirrors.stateful_sets.list_in(namespace).into_iter().map(|o| Self::from(&*o));
        let daemons = mirrors.daemon_sets.list_in(namespace).into_iter().map(|o| Self::from(&*o));
        deployments.chain(stateful).chain(daemons).collect()
    }

    /// Whether it is still there.
    pub(super) fn exists(&self, mirrors: &Mirrors) -> bool {
        Self::all(mirrors, &self.namespace).iter().any(|other| other.uid == self.uid)
    }

    /// Whether its pods load this ConfigMap.
    pub(super) fn loads_config_map(&self, name: &str) -> bool {
        objects::loads_config_map(&self.pod(), name)
    }

    /// Names of the Secrets whose data its pods load.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect(&self.pod(), &mut names);
        names
    }

    fn pod(&self) -> Value {
        json!({ "spec": { "template": self.template } })
    }
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let name = match key.as_str() {
                    "secretRef" | "secretKeyRef" => inner.get("name"),
                    // A volume calls it secretName, a projected source name.
                    "secret" => inner.get("secretName").or_else(|| inner.get("name")),
                    _ => None,
                };
                names.extend(name.and_then(Value::as_str).map(str::to_owned));
                collect(inner, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

impl From<&Deployment> for Workload {
    fn from(object: &Deployment) -> Self {
        Self::new("Deployment", object, object.spec.as_ref().map(|s| (s.replicas, &s.template)))
    }
}

impl From<&StatefulSet> for Workload {
    fn from(object: &StatefulSet) -> Self {
        Self::new("StatefulSet", object, object.spec.as_ref().map(|s| (s.replicas, &s.template)))
    }
}

impl From<&DaemonSet> for Workload {
    fn from(object: &DaemonSet) -> Self {
        Self::new("DaemonSet", object, object.spec.as_ref().map(|s| (None, &s.template)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_secrets_in_every_place_of_a_pod_template() {
        let spec = json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {"selector": {}, "serviceName": "db",
            "template": {"spec": {
                "imagePullSecrets": [{"name": "registry"}],
                "containers": [{"name": "db", "envFrom": [{"secretRef": {"name": "a"}}],
                    "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "b", "key": "p"}}}]}],
                "volumes": [{"name": "v", "secret": {"secretName": "c"}},
                    {"name": "w", "projected": {"sources": [{"secret": {"name": "d"}}]}}]}}}});
        let set: StatefulSet = serde_json::from_value(spec).unwrap();
        let names: Vec<String> = Workload::from(&set).secrets().into_iter().collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
