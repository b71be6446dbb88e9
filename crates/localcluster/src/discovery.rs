//! Discovery: `/version`, `/api`, `/apis` and their resource lists, also in the aggregated form.

use serde_json::{Value, json};

use crate::call::Call;
use crate::core::Answer;
use crate::kind::{Kind, Origin, Registry};
use crate::status::{ApiError, ApiResult};

/// Version that the behaviour follows.
const GIT_VERSION: &str = "v1.33.0";

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The same in the order that the API server lists for custom resources.
const VERBS_OF_CUSTOM: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn verbs(kind: &Kind) -> [&'static str; 8] {
    match kind.origin {
        Origin::BuiltIn => VERBS,
        Origin::Custom => VERBS_OF_CUSTOM,
    }
}

/// The answer of `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "33", "gitVersion": format!("{GIT_VERSION}+causeway"), "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Answers a discovery path.
pub(crate) fn answer(registry: &Registry, parts: &[&str], call: &Call) -> ApiResult<Answer> {
    let aggregated = call.accept.contains("as=APIGroupDiscoveryList");
    let body = match parts {
        ["api"] if aggregated => aggregate(registry, call, true),
        ["apis"] if aggregated => aggregate(registry, call, false),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "" }],
        }),
        ["apis"] => json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": registry.groups().iter().filter(|(name, _)| !name.is_empty()).map(|(name, versions)| group(name, versions)).collect::<Vec<Value>>(),
        }),
        ["apis", name] => {
            let groups = registry.groups();
            let versions = groups.get(name).ok_or_else(ApiError::no_such_path)?;
            let mut body = group(name, versions);
            body["kind"] = "APIGroup".into();
            body["apiVersion"] = "v1".into();
            body
        }
        ["api", version] => resources(registry, "", version)?,
        ["apis", name, version] => resources(registry, name, version)?,
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(Answer::ok(body))
}

fn group(name: &str, versions: &[&str]) -> Value {
    let shown: Vec<Value> =
        versions.iter().map(|v| json!({ "groupVersion": format!("{name}/{v}"), "version": v })).collect();
    json!({ "name": name, "versions": shown, "preferredVersion": shown.first() })
}

fn resources(registry: &Registry, group: &str, version: &str) -> ApiResult<Value> {
    let kinds = registry.of(group, version);
    if kinds.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let mut list = Vec::new();
    for kind in &kinds {
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced(), "kind": kind.kind, "verbs": verbs(kind),
        });
        if !kind.short_names.is_empty() {
            entry["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            entry["categories"] = json!(kind.categories);
        }
        list.push(entry);
        for sub in subresources(kind) {
            let mut entry = json!({
                "name": format!("{}/{}", kind.plural, sub.name), "singularName": "", "namespaced": kind.namespaced(),
                "kind": sub.kind, "verbs": ["get", "patch", "update"],
            });
            if sub.name == "scale" {
                entry["group"] = "autoscaling".into();
                entry["version"] = "v1".into();
            }
            list.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(
        json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list }),
    )
}

struct Sub {
    name: &'static str,
    kind: String,
}

fn subresources(kind: &Kind) -> Vec<Sub> {
    let mut subs = Vec::new();
    if kind.status {
        subs.push(Sub { name: "status", kind: kind.kind.clone() });
    }
    if kind.scale.is_some() {
        subs.push(Sub { name: "scale", kind: "Scale".into() });
    }
    subs
}

/// The aggregated form: every group with its versions and resources in one document.
fn aggregate(registry: &Registry, call: &Call, core: bool) -> Value {
    let groups = registry.groups();
    let items: Vec<Value> = groups
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        registry.of(name, version).iter().map(|kind| resource(kind)).collect();
                    json!({ "version": version, "freshness": "Current", "resources": resources })
                })
                .collect();
            let metadata = if core {
                json!({ "creationTimestamp": null })
            } else {
                json!({ "name": name, "creationTimestamp": null })
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    // Clients list what they know in the order they like it.
    let v2 = call.accept.find("v=v2;").or_else(|| call.accept.find("v=v2,")).is_some()
        || !call.accept.contains("v2beta1");
    let version = if v2 { "v2" } else { "v2beta1" };
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items,
    })
}

fn resource(kind: &Kind) -> Value {
    let response =
        |group: &str, version: &str, name: &str| json!({ "group": group, "version": version, "kind": name });
    let subs: Vec<Value> = subresources(kind)
        .iter()
        .map(|sub| {
            let kind = if sub.name == "scale" {
                response("autoscaling", "v1", "Scale")
            } else {
                response(&kind.group, &kind.version, &kind.kind)
            };
            json!({ "subresource": sub.name, "responseKind": kind, "verbs": ["get", "patch", "update"] })
        })
        .collect();
    json!({
        "resource": kind.plural,
        "responseKind": response(&kind.group, &kind.version, &kind.kind),
        "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
        "shortNames": kind.short_names,
        "categories": kind.categories,
        "subresources": subs,
    })
}
