//! Who keeps a field, by the managedFields of its object.
//!
//! | keeper | what a plan does |
//! |---|---|
//! | nobody, Kubernetes itself, Causeway | changes it |
//! | a person or a tool that sets it once (kubectl, helm) | by policy: changes it and says so, or leaves it |
//! | Argo CD or Flux | changes it in Git, if the policy names the repository ([`crate::gitops`]); else leaves it |
//! | another operator | leaves it |
//!
//! Fields count, not objects: a restart annotates a pod template, which Flux does not take back where Git does not name
//! that annotation.

use causeway_actions::Mutation;
use json_patch::PatchOperation;
use serde_json::Value;

use crate::applier::suspends;
use crate::reason::Reason;
use crate::vocabulary::Unreconciled;

/// The field manager that Causeway writes as.
pub const OURS: &str = "causeway-executor";

/// Managers that write values back from Git.
const GIT: [&str; 4] = ["kustomize-controller", "helm-controller", "flux", "argocd"];
/// Marks that a GitOps tool leaves on what it keeps.
const GIT_MARKS: [(&str, &str); 4] = [
    ("/metadata/labels", "kustomize.toolkit.fluxcd.io/name"),
    ("/metadata/labels", "helm.toolkit.fluxcd.io/name"),
    ("/metadata/labels", "argocd.argoproj.io/instance"),
    ("/metadata/annotations", "argocd.argoproj.io/tracking-id"),
];
/// Parts of Kubernetes that hold nobody's intent; the replicas of an autoscaler are planned through its bounds.
const SYSTEM: [&str; 5] = ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "kwok"];
/// Tools by which people set values once, also when they use server-side apply.
const TOOLS: [&str; 10] = [
    "kubectl",
    "helm",
    "causeway",
    "before-first-apply",
    "k9s",
    "terraform",
    "pulumi",
    "ansible",
    "kapp",
    "lens",
];
/// Owners of objects that are parts of Kubernetes.
const BUILT_IN: [&str; 7] =
    ["ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Node"];

/// Who keeps what a mutation touches. Ordered: the strictest keeper counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Nobody.
    Free,
    /// Causeway.
    Ours,
    /// Somebody who set it and does not put it back: the name of the manager.
    Unreconciled(String),
    /// Another operator.
    Operator(String),
    /// A GitOps tool.
    Git(String),
}

/// Whether `mutations` may be made as far as the keepers of their fields are concerned; the answer has a note for each
/// value that its source will overwrite.
///
/// # Errors
/// [`Reason::GitOwned`], [`Reason::OperatorOwned`] or [`Reason::NotReconciled`], with a sentence.
pub fn ownership<'a>(
    mutations: &[Mutation],
    live: impl Fn(&Mutation) -> Option<&'a Value>,
    unreconciled: Unreconciled,
) -> Result<Vec<String>, (Reason, String)> {
    let mut notes = Vec::new();
    for mutation in mutations {
        let Some(object) = live(mutation) else { continue };
        let target = mutation.target();
        match owner_of(mutation, object) {
            Owner::Free | Owner::Ours => {}
            Owner::Unreconciled(manager) if unreconciled == Unreconciled::Refuse => {
                let message = format!(
                    "{manager} has set what would be changed of {target}, and the policy leaves that alone (apply.unreconciled)"
                );
                return Err((Reason::NotReconciled, message));
            }
            Owner::Unreconciled(manager) => {
                let note = format!(
                    "{manager} has set what is changed of {target}: its next run overwrites it, so change the source too"
                );
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            // It does not put anything back while it is suspended.
            Owner::Git(_) if suspends(mutations, object) => {}
            Owner::Git(tool) => {
                let message = format!(
                    "{tool} keeps what would be changed of {target} and would put it back: change it in Git, or name its repository in the policy (spec.gitOps)"
                );
                return Err((Reason::GitOwned, message));
            }
            Owner::Operator(name) => {
                let message = format!("{name} keeps {target}: change it there");
                return Err((Reason::OperatorOwned, message));
            }
        }
    }
    Ok(notes)
}

/// Who keeps what `mutation` touches of `live`.
pub fn owner_of(mutation: &Mutation, live: &Value) -> Owner {
    let paths = match mutation {
        Mutation::Scale(_) => vec!["/spec/replicas".to_owned()],
        Mutation::JsonPatch(patch) => match patch.operations() {
            Ok(operations) => operations.0.iter().filter_map(written).collect(),
            Err(_) => Vec::new(),
        },
        // They change no field that somebody keeps.
        _ => return Owner::Free,
    };
    paths.iter().map(|path| owner_of_field(path, live)).max().unwrap_or(Owner::Free)
}

/// Who keeps the field at a JSON pointer of `live`, or a part of it.
pub fn owner_of_field(pointer: &str, live: &Value) -> Owner {
    if let Some(owner) = controller(live) {
        return Owner::Operator(owner);
    }
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
        return match GIT_MARKS
            .iter()
            .find(|(place, key)| live.pointer(place).is_some_and(|m| m.get(*key).is_some()))
        {
            Some((_, mark)) => Owner::Git(format!("a GitOps tool ({mark})")),
            None => Owner::Free,
        };
    };
    let segments: Vec<String> =
        pointer.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
    entries
        .iter()
        .filter(|entry| covers(entry.get("fieldsV1").unwrap_or(&Value::Null), Some(live), &segments))
        .map(keeper)
        .max()
        .unwrap_or(Owner::Free)
}

fn written(operation: &PatchOperation) -> Option<String> {
    match operation {
        PatchOperation::Add(add) => Some(add.path.to_string()),
        PatchOperation::Replace(replace) => Some(replace.path.to_string()),
        PatchOperation::Remove(remove) => Some(remove.path.to_string()),
        _ => None,
    }
}

/// The controller of the object, if it is no part of Kubernetes.
fn controller(live: &Value) -> Option<String> {
    let owners = live.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))?;
    let field = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
    (!BUILT_IN.contains(&field("kind"))).then(|| format!("{} {}", field("kind"), field("name")))
}

fn keeper(entry: &Value) -> Owner {
    let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
    let lower = manager.to_ascii_lowercase();
    let begins = |names: &[&str]| names.iter().any(|name| lower.starts_with(name));
    if manager == OURS {
        Owner::Ours
    } else if begins(&GIT) {
        Owner::Git(manager.to_owned())
    } else if begins(&SYSTEM) {
        Owner::Free
    } else if !begins(&TOOLS) && entry.get("operation").and_then(Value::as_str) == Some("Apply") {
        // Who applies again and again is a controller; who updates may be anybody.
        Owner::Operator(manager.to_owned())
    } else {
        Owner::Unreconciled(manager.to_owned())
    }
}

/// Whether a set of fields (`fieldsV1`) holds the field at `segments` of `live`, or a part of it.
fn covers(fields: &Value, live: Option<&Value>, segments: &[String]) -> bool {
    let Some((first, rest)) = segments.split_first() else { return true };
    let Some(set) = fields.as_object() else { return false };
    if set.is_empty() {
        // A leaf of the set: lists and maps that are kept as a whole.
        return match live {
            Some(Value::Object(map)) => !map.is_empty(),
            Some(_) => true,
            None => false,
        };
    }
    match live {
        Some(Value::Array(items)) => {
            let item = first.parse::<usize>().ok().and_then(|index| items.get(index));
            let Some(item) = item else { return false };
            set.iter().any(|(key, inner)| is_key_of(key, item) && covers(inner, Some(item), rest))
        }
        _ => {
            let inner = set.get(&format!("f:{first}"));
            inner.is_some_and(|inner| covers(inner, live.and_then(|l| l.get(first)), rest))
        }
    }
}

/// Whether `key` (`k:{"name":"web"}` or `v:"x"`) names this item of a list.
fn is_key_of(key: &str, item: &Value) -> bool {
    if let Some(value) = key.strip_prefix("v:") {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let Some(Ok(Value::Object(wanted))) = key.strip_prefix("k:").map(serde_json::from_str) else {
        return false;
    };
    wanted.iter().all(|(name, value)| item.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_actions::{JsonPatch, ScaleMutation};
    use serde_json::json;

    fn live(manager: &str, operation: &str, fields: Value) -> Value {
        json!({
            "metadata": {"name": "web", "uid": "u", "annotations": {"a": "b"}, "managedFields": [
                {"manager": manager, "operation": operation, "fieldsV1": fields}]},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "proxy", "image": "p:1"}, {"name": "web", "image": "w:2", "args": ["x"]}]}}},
        })
    }

    fn target() -> causeway_actions::TargetRef {
        crate::fixture::target("web")
    }

    fn scale() -> Mutation {
        Mutation::Scale(ScaleMutation { target: target(), from: 2, to: 4 })
    }

    fn patch(path: &str) -> Mutation {
        let patch = json!([{"op": "add", "path": path, "value": "x"}]).to_string();
        Mutation::JsonPatch(JsonPatch { target: target(), patch })
    }

    #[test]
    fn the_keeper_of_the_field_counts() {
        let replicas = || json!({"f:spec": {"f:replicas": {}}});
        for (manager, operation, want) in [
            ("causeway-executor", "Update", Owner::Ours),
            ("kubectl", "Apply", Owner::Unreconciled("kubectl".into())),
            ("kubectl-client-side-apply", "Update", Owner::Unreconciled("kubectl-client-side-apply".into())),
            ("Helm", "Update", Owner::Unreconciled("Helm".into())),
            ("somebody", "Update", Owner::Unreconciled("somebody".into())),
            ("kafka-operator", "Apply", Owner::Operator("kafka-operator".into())),
            ("kustomize-controller", "Apply", Owner::Git("kustomize-controller".into())),
            ("argocd-controller", "Update", Owner::Git("argocd-controller".into())),
            ("kube-controller-manager", "Update", Owner::Free),
        ] {
            assert_eq!(owner_of(&scale(), &live(manager, operation, replicas())), want, "{manager}");
        }
    }

    #[test]
    fn fields_that_git_does_not_name_are_free() {
        let git = |fields: Value| live("kustomize-controller", "Apply", fields);
        let containers = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}}}}}});
        for (path, owned) in [
            ("/spec/template/spec/containers/1/image", true),
            ("/spec/template/spec/containers/1/args/0", true),
            ("/spec/template/spec/containers/1", true),
            ("/spec/template", true),
            ("/spec/template/spec/containers/0/image", false),
            ("/spec/template/spec/containers/7/image", false),
            ("/spec/template/metadata/annotations", false),
            ("/spec/replicas", false),
        ] {
            let owner = owner_of(&patch(path), &git(containers.clone()));
            assert_eq!(matches!(owner, Owner::Git(_)), owned, "{path}: {owner:?}");
        }
        let annotated = json!({"f:metadata": {"f:annotations": {".": {}, "f:a": {}}}});
        assert_eq!(owner_of(&patch("/metadata/annotations/new"), &git(annotated)), Owner::Free);
    }

    #[test]
    fn marks_count_where_nothing_is_known_of_fields() {
        let mut object = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}});
        assert!(matches!(owner_of(&scale(), &object), Owner::Git(_)));
        object["metadata"] = json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}});
        assert!(matches!(owner_of(&scale(), &object), Owner::Git(_)));
        object["metadata"] =
            json!({"ownerReferences": [{"kind": "Kafka", "name": "main", "controller": true}]});
        assert_eq!(owner_of(&scale(), &object), Owner::Operator("Kafka main".into()));
        assert_eq!(owner_of(&scale(), &json!({"metadata": {}})), Owner::Free);
    }

    #[test]
    fn says_what_the_source_will_overwrite() {
        let object = live("kubectl", "Update", json!({"f:spec": {"f:replicas": {}}}));
        let answer = |policy| ownership(&[scale(), scale()], |_| Some(&object), policy);
        assert_eq!(answer(Unreconciled::Patch).unwrap().len(), 1);
        assert_eq!(answer(Unreconciled::Refuse).unwrap_err().0, Reason::NotReconciled);
    }
}
