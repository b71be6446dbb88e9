//! What applies an object from Git, and how it is suspended and resumed.
//!
//! Such an object is often in a namespace of its own, with those of other teams. There nothing but its switch may ever be
//! touched ([`switched`]), and only where it says itself that it applies the target ([`applies`]): the marks on the target are
//! its owner's to write.

use causeway_actions::view::{annotation, target_ref};
use causeway_actions::{JsonPatch, LiveState, Mutation, TargetRef, diff, live_state};
use json_patch::PatchOperation;
use serde_json::Value;

use crate::ownership::{Owner, owner_of_field};
use crate::view::{Observed, RemediationView, StepState};

/// Kinds that apply: part of the group of Flux, API group and version, kind.
const FLUX: [(&str, &str, &str); 2] = [
    ("helm", "helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    ("kustomize", "kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
];
const ARGO: (&str, &str) = ("argoproj.io/v1alpha1", "Application");
/// Where Argo CD keeps Applications whose mark names no namespace.
const ARGO_NAMESPACE: &str = "argocd";
/// How Argo CD calls the cluster that it runs in: by address, and by name.
const ARGO_LOCAL: (&str, &str) = ("https://kubernetes.default.svc", "in-cluster");
/// Annotation by which Argo CD leaves an application alone.
pub(crate) const SKIP: &str = "argocd.argoproj.io/skip-reconcile";
/// Where that annotation is.
const SKIP_POINTER: &str = "/metadata/annotations/argocd.argoproj.io~1skip-reconcile";

/// What applies an object from Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applier {
    /// API group and version.
    pub api_version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Applier {
    /// Whether `object` is the one that is meant.
    pub fn is(&self, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        text("/kind") == Some(self.kind)
            && text("/metadata/namespace") == Some(&self.namespace)
            && text("/metadata/name") == Some(&self.name)
    }
}

/// What applies `live` from Git, by the labels and annotations that Flux and Argo CD leave.
pub fn applier_of(live: &Value) -> Option<Applier> {
    let label = |key: &str| live.pointer("/metadata/labels")?.get(key)?.as_str().map(str::to_owned);
    for (part, api_version, kind) in FLUX {
        if let Some(name) = label(&format!("{part}.toolkit.fluxcd.io/name")) {
            let namespace = label(&format!("{part}.toolkit.fluxcd.io/namespace"))?;
            return Some(Applier { api_version, kind, namespace, name });
        }
    }
    let tracked = annotation(live, "argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let name = tracked.map(str::to_owned).or_else(|| label("argocd.argoproj.io/instance"))?;
    // Applications outside of Argo CD's own namespace are tracked as NAMESPACE_NAME.
    let (namespace, name) = name.split_once('_').unwrap_or((ARGO_NAMESPACE, &name));
    let (api_version, kind) = ARGO;
    Some(Applier { api_version, kind, namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Whether a target is of a kind that applies others.
pub(crate) fn is_applier(target: &TargetRef) -> bool {
    switch_of(target).is_some()
}

/// Pointer to the switch of what applies.
fn switch_of(target: &TargetRef) -> Option<&'static str> {
    let group = |api_version: &str| api_version.split_once('/').map(|(group, _)| group.to_owned());
    let is = |api_version: &str, kind: &str| {
        kind == target.kind && group(api_version) == group(&target.api_version)
    };
    if is(ARGO.0, ARGO.1) {
        return Some(SKIP_POINTER);
    }
    FLUX.iter().any(|(_, api_version, kind)| is(api_version, kind)).then_some("/spec/suspend")
}

/// Whether what applies does so in this cluster, and not in another one with equal names.
fn is_local(applier: &Value) -> bool {
    if applier.get("kind").and_then(Value::as_str) != Some("Application") {
        return applier.pointer("/spec/kubeConfig").is_none();
    }
    let destination =
        |key: &str| applier.pointer("/spec/destination")?.get(key)?.as_str().filter(|to| !to.is_empty());
    match (destination("server"), destination("name")) {
        (Some(server), None) => server == ARGO_LOCAL.0,
        (None, Some(name)) => name == ARGO_LOCAL.1,
        _ => false,
    }
}

/// Whether what applies says that it applies the target: by what it applied last, as its status has it, and by the cluster
/// that it applies to. A HelmRelease that keeps no inventory says in which namespace it installs.
pub(crate) fn applies(applier: &Value, target: &TargetRef) -> bool {
    if !is_local(applier) {
        return false;
    }
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |pointer: &str| applier.pointer(pointer).and_then(Value::as_array);
    let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
    let TargetRef { kind, namespace, name, .. } = target;
    if let Some(entries) = list("/status/inventory/entries") {
        let id = format!("{namespace}_{name}_{group}_{kind}");
        return entries.iter().any(|entry| text(entry, "id") == id);
    }
    match applier.get("kind").and_then(Value::as_str) {
        Some("HelmRelease") => {
            applier.pointer("/spec/targetNamespace").and_then(Value::as_str) == Some(namespace)
        }
        Some("Application") => list("/status/resources").into_iter().flatten().any(|resource| {
            let found = ["group", "kind", "namespace", "name"].map(|key| text(resource, key));
            found == [group, kind, namespace, name]
        }),
        _ => false,
    }
}

/// Whether what applies is suspended.
pub(crate) fn is_suspended(applier: &Value) -> bool {
    applier.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true)
        || annotation(applier, SKIP) == Some("true")
}

/// Who has suspended what applies, as far as its managedFields tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Causeway,
    SomebodyElse,
    /// It does not show who writes its fields.
    Untold,
}

fn holder(applier: &Value, target: &TargetRef) -> Holder {
    let entries = applier.pointer("/metadata/managedFields").and_then(Value::as_array);
    match switch_of(target) {
        Some(switch) if entries.is_some_and(|entries| !entries.is_empty()) => {
            if owner_of_field(switch, applier) == Owner::Ours {
                Holder::Causeway
            } else {
                Holder::SomebodyElse
            }
        }
        _ => Holder::Untold,
    }
}

/// What a target shows of a mutation. Of a switch only whether it is turned counts: next to it others may write.
pub(crate) fn state(mutation: &Mutation, live: Option<&Value>) -> LiveState {
    match (switched(mutation), live) {
        (Some(to), Some(live)) if to == is_suspended(live) => LiveState::New,
        (Some(_), Some(_)) => LiveState::Old,
        _ => live_state(mutation, live),
    }
}

/// Why there is nothing to resume, where a mutation resumes: it is resumed, or somebody else has suspended it since.
pub(crate) fn nothing_to_resume(mutation: &Mutation, live: Option<&Value>) -> Option<&'static str> {
    let live = live.filter(|_| switched(mutation) == Some(false))?;
    match is_suspended(live) {
        false => Some("it is resumed already"),
        true if holder(live, mutation.target()) == Holder::SomebodyElse => {
            Some("somebody else has suspended it since: it is left so")
        }
        true => None,
    }
}

/// Whether a mutation resumes what Causeway has suspended, for sure, and nobody since.
pub(crate) fn resumes_ours(mutation: &Mutation, live: Option<&Value>) -> bool {
    switched(mutation) == Some(false)
        && live.is_some_and(|live| is_suspended(live) && holder(live, mutation.target()) == Holder::Causeway)
}

/// Whether a mutation suspends what somebody else has suspended already.
pub(crate) fn is_others(mutation: &Mutation, live: Option<&Value>) -> bool {
    switched(mutation) == Some(true)
        && live
            .is_some_and(|live| is_suspended(live) && holder(live, mutation.target()) == Holder::SomebodyElse)
}

/// Whether a mutation suspends, and its switch is not as it was when that was planned.
pub(crate) fn is_stale(mutation: &Mutation, live: Option<&Value>) -> bool {
    let as_planned =
        |live| !is_suspended(live) && switches(live).is_ok_and(|(suspend, ..)| suspend == *mutation);
    switched(mutation) == Some(true) && !live.is_some_and(as_planned)
}

/// What a run has suspended and not resumed, by name. What can't be seen any more counts as it was left.
pub(crate) fn left_suspended(view: &RemediationView, observed: &Observed) -> Vec<String> {
    let mut left: Vec<&Mutation> = Vec::new();
    for result in &view.progress.results {
        let Some(mutation) = view.mutation(result.step, result.direction) else { continue };
        let Some(to) = switched(mutation) else { continue };
        match result.state {
            StepState::Done => left.retain(|other| other.target() != mutation.target()),
            StepState::Unknown if to => {}
            StepState::Failed | StepState::Unknown => continue,
        }
        if to {
            left.push(mutation);
        }
    }
    let mut names = Vec::new();
    for mutation in left {
        let target = mutation.target();
        match observed.live_of(mutation) {
            None => names.push(format!("{target} (which can't be read any more)")),
            Some(live) if is_suspended(live) && holder(live, target) != Holder::SomebodyElse => {
                names.push(target.to_string());
            }
            Some(_) => {}
        }
    }
    names
}

/// What suspends it, what resumes it afterwards, and how it is then.
///
/// # Errors
/// The object has no identity.
pub(crate) fn switches(applier: &Value) -> Result<(Mutation, Mutation, Value), String> {
    let target = target_ref(applier).map_err(|error| error.to_string())?;
    let (mut suspended, mut resumed) = (applier.clone(), applier.clone());
    if switch_of(&target) == Some(SKIP_POINTER) {
        suspended["metadata"]["annotations"][SKIP] = Value::from("true");
        // Without any annotation there is nothing that a patch could add the next one to, and others may write some
        // meanwhile: so this one stays.
        if applier.pointer("/metadata/annotations").is_none() {
            resumed["metadata"]["annotations"][SKIP] = Value::from("false");
        }
    } else {
        suspended["spec"]["suspend"] = Value::from(true);
    }
    let patch = |operations: Vec<Value>| {
        Mutation::JsonPatch(JsonPatch { target: target.clone(), patch: Value::Array(operations).to_string() })
    };
    let suspend = patch(diff::operations(applier, &suspended));
    Ok((suspend, patch(diff::operations(&suspended, &resumed)), resumed))
}

/// Whether a mutation suspends (`true`) or resumes (`false`) what applies; nothing if it is no such change, or touches
/// anything else.
pub(crate) fn switched(mutation: &Mutation) -> Option<bool> {
    let Mutation::JsonPatch(patch) = mutation else { return None };
    let switch = switch_of(&patch.target)?;
    let mut to = None;
    for operation in &patch.operations().ok()?.0 {
        let value = match operation {
            PatchOperation::Test(_) => continue,
            PatchOperation::Add(add) if add.path.as_str() == switch => &add.value,
            PatchOperation::Replace(replace) if replace.path.as_str() == switch => &replace.value,
            PatchOperation::Remove(remove) if remove.path.as_str() == switch => &Value::Null,
            PatchOperation::Add(add)
                if switch == SKIP_POINTER && add.path.as_str() == "/metadata/annotations" =>
            {
                let annotations = add.value.as_object().filter(|annotations| annotations.len() == 1)?;
                annotations.get(SKIP)?
            }
            _ => return None,
        };
        to = Some(*value == true || *value == "true");
    }
    to
}

/// Whether one of `mutations` suspends what applies `live`.
pub(crate) fn suspends(mutations: &[Mutation], live: &Value) -> bool {
    let Some(applier) = applier_of(live) else { return false };
    mutations.iter().any(|mutation| {
        let target = mutation.target();
        switched(mutation) == Some(true)
            && (target.kind.as_str(), &target.namespace, &target.name)
                == (applier.kind, &applier.namespace, &applier.name)
    })
}

/// What a namespace has to have before something in it is suspended for another one.
pub fn how_to_opt_in(namespace: &str) -> String {
    format!(
        "to let it be suspended, make in {namespace} the ServiceAccount causeway-fixer with a Role to patch it, a Role and a \
         RoleBinding by which causeway-executor may impersonate causeway-fixer, and one by which causeway-operator and \
         causeway-executor may get it (docs/gitops.md; with the chart: tenants, namespace {namespace}, suspends)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::fixture;

    fn application(annotations: Value) -> Value {
        let mut object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "a", "namespace": "argocd", "uid": "uid-a"}, "spec": {}});
        if !annotations.is_null() {
            object["metadata"]["annotations"] = annotations;
        }
        object
    }

    fn kustomization(spec: Value) -> Value {
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system", "uid": "uid-apps"}, "spec": spec})
    }

    #[test]
    fn appliers_are_known_by_their_marks() {
        let of =
            |metadata: Value| applier_of(&json!({"metadata": metadata})).map(|applier| applier.to_string());
        for (metadata, want) in [
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "f"}}),
                Some("Kustomization f/a"),
            ),
            (
                json!({"labels": {"helm.toolkit.fluxcd.io/name": "a", "helm.toolkit.fluxcd.io/namespace": "f"}}),
                Some("HelmRelease f/a"),
            ),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop_a:apps/Deployment:shop/web"}}),
                Some("Application shop/a"),
            ),
            (json!({"labels": {"argocd.argoproj.io/instance": "a"}}), Some("Application argocd/a")),
            (json!({"labels": {"helm.toolkit.fluxcd.io/name": "a"}}), None),
            (json!({}), None),
        ] {
            assert_eq!(of(metadata).as_deref(), want);
        }
    }

    #[test]
    fn only_who_says_so_applies() {
        let target = fixture::target("web");
        let says = |kind: &str, spec: Value, status: Value| {
            applies(&json!({"kind": kind, "spec": spec, "status": status}), &target)
        };
        let inventory = |id: &str| json!({"inventory": {"entries": [{"id": "shop__ConfigMap", "v": "v1"}, {"id": id, "v": "v1"}]}});
        for kind in ["Kustomization", "HelmRelease"] {
            assert!(says(kind, json!({}), inventory("shop_web_apps_Deployment")));
            let other = json!({"targetNamespace": "shop"});
            assert!(!says(kind, other, inventory("other_web_apps_Deployment")), "{kind}");
        }
        assert!(!says("Kustomization", json!({"targetNamespace": "shop"}), json!({})));
        assert!(says("HelmRelease", json!({"targetNamespace": "shop"}), json!({})));
        assert!(!says("HelmRelease", json!({"targetNamespace": "cart"}), json!({})));
        assert!(!says("HelmRelease", json!({}), json!({})));
        let argo = |namespace: &str| json!({"resources": [{"group": "apps", "kind": "Deployment", "namespace": namespace, "name": "web"}]});
        let here =
            || json!({"destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"}});
        assert!(says("Application", here(), argo("shop")));
        assert!(!says("Application", here(), argo("cart")));
        // Clusters are often equal down to the names of objects.
        for kind in ["Kustomization", "HelmRelease"] {
            let elsewhere =
                json!({"kubeConfig": {"secretRef": {"name": "paris"}}, "targetNamespace": "shop"});
            assert!(!says(kind, elsewhere.clone(), inventory("shop_web_apps_Deployment")), "{kind}");
            assert!(!says(kind, elsewhere, json!({})), "{kind}");
        }
        for (destination, is_here) in [
            (json!({"name": "in-cluster"}), true),
            (json!({"name": "in-cluster", "server": ""}), true),
            (json!({"server": "https://kubernetes.default.svc", "name": ""}), true),
            (json!({"server": "https://paris.example.com"}), false),
            (json!({"name": "paris"}), false),
            (json!({"server": "https://paris.example.com", "name": "in-cluster"}), false),
            (json!({"server": "https://kubernetes.default.svc", "name": "paris"}), false),
            (json!({}), false),
            (Value::Null, false),
        ] {
            let spec = json!({"destination": destination});
            assert_eq!(says("Application", spec, argo("shop")), is_here, "{destination}");
        }
    }

    #[test]
    fn a_switch_is_turned_and_turned_back() {
        for object in [
            kustomization(json!({"path": "a"})),
            kustomization(json!({"suspend": false})),
            application(Value::Null),
            application(json!({"a": "b"})),
            application(json!({"argocd.argoproj.io/skip-reconcile": "false"})),
        ] {
            let (suspend, resume, resumed) = switches(&object).unwrap();
            assert_eq!((switched(&suspend), switched(&resume)), (Some(true), Some(false)), "{object}");
            let mut live = object.clone();
            let apply = |live: &mut Value, mutation: &Mutation| {
                let Mutation::JsonPatch(patch) = mutation else { panic!("{mutation:?}") };
                json_patch::patch(live, &patch.operations().unwrap()).unwrap();
            };
            apply(&mut live, &suspend);
            assert!(is_suspended(&live));
            let is_argo = object["kind"] == "Application";
            if is_argo {
                live["metadata"]["annotations"]["argocd.argoproj.io/refresh"] = "hard".into();
            }
            apply(&mut live, &resume);
            assert!(!is_suspended(&live));
            if !is_argo {
                assert_eq!((&live, &resumed), (&object, &object));
            }
            // And once more, on the way back.
            let (suspend, resume, _) = switches(&resumed).unwrap();
            apply(&mut live, &suspend);
            assert!(is_suspended(&live));
            apply(&mut live, &resume);
            assert!(!is_suspended(&live), "{live}");
            if is_argo {
                assert_eq!(live["metadata"]["annotations"]["argocd.argoproj.io/refresh"], "hard");
            }
        }
    }

    #[test]
    fn anything_besides_the_switch_is_no_switch() {
        let mutation = |object: &Value, patch: Value| {
            let target = target_ref(object).unwrap();
            Mutation::JsonPatch(JsonPatch { target, patch: patch.to_string() })
        };
        let (flux, argo) = (kustomization(json!({})), application(Value::Null));
        let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
        let suspend = add("/spec/suspend", json!(true));
        for (object, patch) in [
            (&flux, json!([suspend, add("/spec/path", json!("/"))])),
            (&flux, json!([add("/spec", json!({"suspend": true}))])),
            (&flux, json!([add(SKIP_POINTER, json!("true"))])),
            (&flux, json!([{"op": "move", "from": "/spec/path", "path": "/spec/suspend"}])),
            (&flux, json!([{"op": "test", "path": "/spec/suspend", "value": true}])),
            (&argo, json!([suspend])),
            (&argo, json!([add("/metadata/annotations", json!({SKIP: "true", "a": "b"}))])),
            (&argo, json!([add("/metadata/annotations", json!({"a": "true"}))])),
            (&argo, json!([{"op": "remove", "path": "/metadata/annotations"}])),
            (
                &json!({"apiVersion": "apps/v1", "kind": "Kustomization", "metadata": {"name": "a", "namespace": "b", "uid": "c"}}),
                json!([suspend]),
            ),
        ] {
            assert_eq!(switched(&mutation(object, patch.clone())), None, "{patch}");
        }
        assert_eq!(switched(&mutation(&flux, json!([suspend]))), Some(true));
    }
}
