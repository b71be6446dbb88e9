//! What matters of a Deployment, StatefulSet or DaemonSet.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;

use super::diff::{self, Fields};
use crate::objects::Loads;

/// A workload, without what changes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) fields: Fields,
    pub(super) loads: Loads,
}

impl Workload {
    fn new(
        kind: &'static str,
        object: &impl ResourceExt,
        replicas: Option<i32>,
        template: Option<&PodTemplateSpec>,
    ) -> Self {
        let pod = template.and_then(|template| serde_json::to_value(&template.spec).ok());
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            fields: template.map(|template| diff::of_workload(replicas, template)).unwrap_or_default(),
            loads: pod.as_ref().map(Loads::of).unwrap_or_default(),
        }
    }
}

impl From<&Deployment> for Workload {
    fn from(object: &Deployment) -> Self {
        let spec = object.spec.as_ref();
        Self::new("Deployment", object, spec.and_then(|s| s.replicas), spec.map(|s| &s.template))
    }
}

impl From<&StatefulSet> for Workload {
    fn from(object: &StatefulSet) -> Self {
        let spec = object.spec.as_ref();
        Self::new("StatefulSet", object, spec.and_then(|s| s.replicas), spec.map(|s| &s.template))
    }
}

impl From<&DaemonSet> for Workload {
    fn from(object: &DaemonSet) -> Self {
        Self::new("DaemonSet", object, None, object.spec.as_ref().map(|s| &s.template))
    }
}
