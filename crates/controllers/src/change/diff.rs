//! Which fields of an object changed, and what kind of change that is.

use std::collections::BTreeMap;

use causeway_actions::sha256_hex;
use causeway_engine::ChangeClass;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec, Secret};
use kube::ResourceExt;

use crate::cluster::views::{NodeView, condition};
use crate::text::bounded;

/// Fields that matter, by path.
pub(super) type Fields = BTreeMap<String, String>;
/// Path, old value, new value.
pub(super) type FieldChange = (String, String, String);

/// How the keys of taints begin that follow from a node's conditions.
const OF_CONDITIONS: &str = "node.kubernetes.io/";
/// Longest value that is told.
const VALUE: usize = 160;
/// Changed fields that are told at most.
const FIELDS: usize = 32;
/// What a name of a field has in it whose value is not told.
const SECRET_NAMES: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "apikey"];

/// Image, resources, environment and arguments of the containers, replicas, and annotations of the pod template.
pub(super) fn of_workload(replicas: Option<i32>, template: &PodTemplateSpec) -> Fields {
    let mut fields = Fields::new();
    if let Some(replicas) = replicas {
        fields.insert("spec.replicas".into(), replicas.to_string());
    }
    let annotations = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    for (key, value) in annotations.into_iter().flatten() {
        fields.insert(format!("template.annotations.{key}"), value.clone());
    }
    for container in template.spec.iter().flat_map(|pod| &pod.containers) {
        let path = |field: &str| format!("containers.{}.{field}", container.name);
        fields.insert(path("image"), container.image.clone().unwrap_or_default());
        for (field, words) in [("command", &container.command), ("args", &container.args)] {
            if let Some(words) = words {
                fields.insert(path(field), words.join(" "));
            }
        }
        for variable in container.env.iter().flatten() {
            let value = variable.value.clone().unwrap_or_else(|| "(reference)".to_owned());
            fields.insert(path(&format!("env.{}", variable.name)), value);
        }
        if let Some(resources) = &container.resources {
            for (kind, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
                for (name, amount) in amounts.iter().flatten() {
                    fields.insert(path(&format!("resources.{kind}.{name}")), amount.0.clone());
                }
            }
        }
    }
    fields
}

/// Bounds and metrics of an autoscaler; its status, which moves by itself, is none of them.
pub(super) fn of_scaler(object: &HorizontalPodAutoscaler) -> Fields {
    let mut fields = Fields::new();
    let Some(spec) = &object.spec else { return fields };
    fields.insert("spec.minReplicas".into(), spec.min_replicas.unwrap_or(1).to_string());
    fields.insert("spec.maxReplicas".into(), spec.max_replicas.to_string());
    for (at, metric) in spec.metrics.iter().flatten().enumerate() {
        fields.insert(format!("spec.metrics.{at}"), serde_json::to_string(metric).unwrap_or_default());
    }
    fields
}

/// Whether a node takes pods and is ready, and its taints, but for those by which Kubernetes says again what its conditions
/// say.
pub(super) fn of_node(object: &NodeView) -> Fields {
    let mut fields = Fields::new();
    fields.insert("spec.unschedulable".into(), object.spec.unschedulable.to_string());
    for taint in object.spec.taints.iter().filter(|taint| !taint.key.starts_with(OF_CONDITIONS)) {
        fields.insert(format!("spec.taints.{}", taint.key), taint.effect.clone());
    }
    if let Some(ready) = condition(&object.status.conditions, "Ready") {
        fields.insert("status.ready".into(), ready.status.clone());
    }
    fields
}

/// The data of a ConfigMap.
pub(super) fn of_config_map(object: &ConfigMap) -> Fields {
    let data = object.data.iter().flatten();
    data.map(|(key, value)| (format!("data.{key}"), value.clone())).collect()
}

/// The data of a Secret, each value as a few digits of a hash over it and the uid: enough to see that it changed, too few
/// to try out what it was.
pub(super) fn of_secret(object: &Secret) -> Fields {
    let uid = object.uid().unwrap_or_default();
    let data = object.data.iter().flatten();
    data.map(|(key, value)| {
        let mut salted = format!("{uid}\u{0}{key}\u{0}").into_bytes();
        salted.extend_from_slice(&value.0);
        let hash = sha256_hex(&salted);
        let digits = hash.trim_start_matches("sha256:").get(..6).unwrap_or_default();
        (format!("data.{key}"), format!("hash {digits}"))
    })
    .collect()
}

/// What differs, in the order of the paths.
pub(super) fn between(before: &Fields, after: &Fields) -> Vec<FieldChange> {
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .take(FIELDS)
        .map(|path| (path.clone(), told(path, before.get(path)), told(path, after.get(path))))
        .collect()
}

fn told(path: &str, value: Option<&String>) -> String {
    let lower = path.to_lowercase();
    match value {
        Some(value) if value.starts_with("hash ") => value.clone(),
        Some(_) if SECRET_NAMES.iter().any(|name| lower.contains(name)) => "***".to_owned(),
        Some(value) => bounded(value, VALUE),
        None => String::new(),
    }
}

/// The class of a workload's change: the gravest of its fields.
pub(super) fn class_of(changed: &[FieldChange]) -> ChangeClass {
    let any = |part: &str| changed.iter().any(|(path, _, _)| path.contains(part));
    if any(".image") {
        ChangeClass::Release
    } else if any(".env.") || any(".args") || any(".command") {
        ChangeClass::Config
    } else if any("spec.replicas") || any(".resources.") {
        ChangeClass::Scaling
    } else {
        ChangeClass::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn classes_by_the_gravest_field() {
        let cases = [
            (vec!["containers.a.image", "spec.replicas"], ChangeClass::Release),
            (vec!["containers.a.env.X"], ChangeClass::Config),
            (vec!["spec.replicas"], ChangeClass::Scaling),
            (vec!["template.annotations.kubectl.kubernetes.io/restartedAt"], ChangeClass::Other),
        ];
        for (paths, class) in cases {
            let changed: Vec<FieldChange> =
                paths.iter().map(|p| ((*p).to_owned(), String::new(), "x".to_owned())).collect();
            assert_eq!(class_of(&changed), class, "{paths:?}");
        }
    }

    #[test]
    fn tells_values_but_no_secrets() {
        let before = fields(&[("data.NL", "0.21"), ("data.DB_PASSWORD", "a"), ("data.same", "1")]);
        let after = fields(&[("data.NL", "2.1"), ("data.DB_PASSWORD", "b"), ("data.same", "1")]);
        let told = |p: &str, o: &str, n: &str| (p.to_owned(), o.to_owned(), n.to_owned());
        assert_eq!(
            between(&before, &after),
            [told("data.DB_PASSWORD", "***", "***"), told("data.NL", "0.21", "2.1")]
        );
    }
}
