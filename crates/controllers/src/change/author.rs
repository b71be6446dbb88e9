//! Who changed an object, by which tool, and from which revision in Git.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::diff::FieldChange;

/// Annotations and labels in which tools keep the revision that they applied.
const REVISIONS: [&str; 8] = [
    "argocd.argoproj.io/revision",
    "argocd.argoproj.io/git-revision",
    "kustomize.toolkit.fluxcd.io/revision",
    "source.toolkit.fluxcd.io/revision",
    "helm.toolkit.fluxcd.io/revision",
    "app.kubernetes.io/revision",
    "git-revision",
    "git-commit",
];
/// Where people say themselves who they are and why.
const CHANGED_BY: [&str; 2] = ["causeway.dev/changed-by", "kubernetes.io/change-cause"];

/// The field manager that wrote the object last, its status aside, with what Argo CD or Flux applies it and at which
/// revision, such as `kustomize-controller (Flux shop/apps, main@sha1:1b7e)`; empty when unknown. Who scales leaves no
/// time in the API, but owns the replicas since.
pub(super) fn of(metadata: &ObjectMeta, changed: &[FieldChange]) -> String {
    let manager = manager(metadata, changed);
    let mut more: Vec<String> = Vec::new();
    more.extend(first(metadata, &CHANGED_BY).map(str::to_owned));
    more.extend(tool(metadata));
    more.extend(first(metadata, &REVISIONS).map(str::to_owned));
    match (manager.is_empty(), more.is_empty()) {
        (_, true) => manager,
        (true, false) => more.join(", "),
        (false, false) => format!("{manager} ({})", more.join(", ")),
    }
}

/// The field manager alone.
pub(super) fn manager(metadata: &ObjectMeta, changed: &[FieldChange]) -> String {
    let mut entries: Vec<&ManagedFieldsEntry> = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref() != Some("status"))
        .collect();
    if changed.iter().any(|(path, _, _)| path == "spec.replicas")
        && let Some(scaler) = entries.iter().find(|entry| scales(entry))
    {
        return scaler.manager.clone().unwrap_or_default();
    }
    // Times have whole seconds: of several writers within one, it is the one who keeps a field that changed.
    entries.sort_by_cached_key(|entry| (entry.time.as_ref().map(|time| time.0), keeps(entry, changed)));
    entries.pop().and_then(|entry| entry.manager.clone()).unwrap_or_default()
}

/// Whether an entry of `managedFields` has one of the changed fields.
fn keeps(entry: &ManagedFieldsEntry, changed: &[FieldChange]) -> bool {
    let mut paths = Vec::new();
    if let Some(fields) = &entry.fields_v1 {
        leaves(&fields.0, String::new(), &mut paths);
    }
    // Ours are short for the API's: they begin further down.
    let has = |whole: &String, path: &str| format!("{whole}.").contains(&format!(".{path}."));
    changed.iter().any(|(path, _, _)| paths.iter().any(|whole| has(whole, path)))
}

/// Paths of a tree of `fieldsV1`, in the form of [`FieldChange`] with a point before each part.
fn leaves(fields: &Value, path: String, found: &mut Vec<String>) {
    let children = fields.as_object().filter(|children| !children.is_empty());
    let Some(children) = children else {
        found.push(path);
        return;
    };
    for (key, below) in children {
        let part = match key.split_once(':') {
            Some(("f", "metadata")) => String::new(),
            Some(("f", name)) => format!(".{name}"),
            // An element of a list, by its key.
            Some(("k", key)) => {
                let key: Value = serde_json::from_str(key).unwrap_or_default();
                key.get("name").and_then(Value::as_str).map(|name| format!(".{name}")).unwrap_or_default()
            }
            _ => String::new(),
        };
        leaves(below, format!("{path}{part}"), found);
    }
}

/// Whether an entry of `managedFields` comes from the scale subresource and still owns the replicas.
fn scales(entry: &ManagedFieldsEntry) -> bool {
    let replicas = entry.fields_v1.as_ref().and_then(|fields| fields.0.pointer("/f:spec/f:replicas"));
    entry.subresource.as_deref() == Some("scale") && replicas.is_some()
}

/// What applies the object from Git.
fn tool(metadata: &ObjectMeta) -> Option<String> {
    let get = |key: &str| value(metadata, key);
    // `application:group/kind:namespace/name`.
    let argo = get("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let argo = argo.or_else(|| get("argocd.argoproj.io/instance")).map(|name| format!("Argo CD {name}"));
    argo.or_else(|| {
        ["kustomize", "helm"].into_iter().find_map(|part| {
            let name = get(&format!("{part}.toolkit.fluxcd.io/name"))?;
            let namespace = get(&format!("{part}.toolkit.fluxcd.io/namespace")).unwrap_or_default();
            Some(format!("Flux {namespace}/{name}"))
        })
    })
}

fn first<'a>(metadata: &'a ObjectMeta, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| value(metadata, key))
}

/// An annotation or a label, which is not empty.
fn value<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let in_map = |map: &'a Option<BTreeMap<String, String>>| map.as_ref().and_then(|map| map.get(key));
    let found = in_map(&metadata.annotations).or_else(|| in_map(&metadata.labels));
    found.map(String::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn author(metadata: Value) -> String {
        of(&serde_json::from_value(metadata).unwrap(), &[])
    }

    #[test]
    fn says_who_by_which_tool_at_which_revision() {
        let fields = json!([
            {"manager": "ci-bot", "operation": "Update", "time": "2026-11-27T20:00:00Z"},
            {"manager": "kubectl", "operation": "Update", "time": "2026-11-27T19:00:00Z"},
            {"manager": "kubelet", "operation": "Update", "subresource": "status", "time": "2026-11-27T21:00:00Z"}]);
        assert_eq!(author(json!({"managedFields": fields})), "ci-bot");
        assert_eq!(
            author(json!({"managedFields": fields,
                "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "shop"},
                "annotations": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:1b7e"}})),
            "ci-bot (Flux shop/apps, main@sha1:1b7e)"
        );
        assert_eq!(
            author(json!({"annotations": {"argocd.argoproj.io/tracking-id": "rates:/ConfigMap:shop/rates",
                "argocd.argoproj.io/revision": "9fce1d"}})),
            "Argo CD rates, 9fce1d"
        );
        assert_eq!(author(json!({})), "");
    }

    #[test]
    fn of_two_within_a_second_it_is_who_keeps_what_changed() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "time": "2026-11-27T20:00:00Z", "fieldsV1": fields});
        let of_container = |fields: Value| {
            json!({"f:spec": {"f:template": {
                "f:metadata": {"f:annotations": {".": {}, "f:shop.example/rev": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": fields}}}}})
        };
        for (path, owner, other) in [
            (
                "data.NL",
                json!({"f:data": {"f:NL": {}}}),
                json!({"f:data": {".": {}, "f:DE": {}, "f:NL2": {}}}),
            ),
            (
                "containers.web.image",
                of_container(json!({"f:image": {}})),
                json!({"f:spec": {"f:replicas": {}}}),
            ),
            (
                "containers.web.env.RATE",
                of_container(json!({"f:env": {"k:{\"name\":\"RATE\"}": {"f:value": {}}}})),
                of_container(json!({"f:env": {"k:{\"name\":\"RATES\"}": {"f:value": {}}}})),
            ),
            ("template.annotations.shop.example/rev", of_container(json!({})), json!({"f:spec": {}})),
        ] {
            let fields = [entry("ci-bot", owner), entry("unknown", other)];
            let changed = [(path.to_owned(), "0.21".to_owned(), "2.1".to_owned())];
            for order in [[0, 1], [1, 0]] {
                let fields = order.map(|at| fields[at].clone());
                let metadata = serde_json::from_value(json!({"managedFields": fields})).unwrap();
                assert_eq!(of(&metadata, &changed), "ci-bot", "{path}");
            }
        }
    }
}
