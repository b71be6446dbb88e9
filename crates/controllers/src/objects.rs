//! Live objects of any kind, as JSON.

use std::collections::BTreeSet;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use crate::error::{ControllerError, Doing};

/// A kind by its apiVersion (`apps/v1`, `v1`) and name.
pub(crate) fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The API of a kind in a namespace; Nodes have none.
pub(crate) fn api(client: &Client, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let resource = resource(api_version, kind);
    match kind {
        "Node" => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// A live object, with its managedFields; `None` when it, or its kind, does not exist.
pub(crate) async fn get(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, ControllerError> {
    let found = api(client, api_version, kind, namespace).get_opt(name).await;
    let found = found.doing(|| format!("reading {kind} {namespace}/{name}"))?;
    found.map(|object| json(object, api_version, kind)).transpose()
}

/// All live objects of a kind in a namespace; none when the kind does not exist.
pub(crate) async fn list(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> Result<Vec<Value>, ControllerError> {
    let what = || format!("listing {kind} in {namespace}");
    let objects = match api(client, api_version, kind, namespace).list(&ListParams::default()).await {
        Ok(objects) => objects.items,
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error).doing(what),
    };
    objects.into_iter().map(|object| json(object, api_version, kind)).collect()
}

/// As JSON; items of a list come without their kind.
pub(crate) fn json(object: DynamicObject, api_version: &str, kind: &str) -> Result<Value, ControllerError> {
    let mut value = serde_json::to_value(object).doing(|| format!("writing a {kind} as JSON"))?;
    if let Some(map) = value.as_object_mut() {
        map.entry("apiVersion").or_insert_with(|| api_version.into());
        map.entry("kind").or_insert_with(|| kind.into());
    }
    Ok(value)
}

/// The uid of an object.
pub(crate) fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

/// The text at `pointer`, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What the pods of a workload load the data of, by name; Secrets that only pull images are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads {
    pub(crate) config_maps: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
}

impl Loads {
    /// Of the specification of a pod.
    pub(crate) fn of(pod: &Value) -> Self {
        let mut loads = Self::default();
        loads.add(pod);
        loads
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let (names, name) = match key.as_str() {
                        "configMapRef" | "configMapKeyRef" | "configMap" => {
                            (&mut self.config_maps, inner.get("name"))
                        }
                        "secretRef" | "secretKeyRef" => (&mut self.secrets, inner.get("name")),
                        // A volume calls it secretName, a projected source name.
                        "secret" => {
                            (&mut self.secrets, inner.get("secretName").or_else(|| inner.get("name")))
                        }
                        _ => (&mut self.secrets, None),
                    };
                    names.extend(name.and_then(Value::as_str).map(str::to_owned));
                    self.add(inner);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            _ => {}
        }
    }
}

/// Whether the pods of a workload load this ConfigMap.
pub(crate) fn loads_config_map(workload: &Value, name: &str) -> bool {
    let pod = workload.pointer("/spec/template/spec");
    pod.is_some_and(|pod| Loads::of(pod).config_maps.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_config_maps_in_every_place_of_a_pod_template() {
        let with = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
        for spec in [
            json!({"containers": [{"envFrom": [{"configMapRef": {"name": "a"}}]}]}),
            json!({"containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}}]}]}),
            json!({"volumes": [{"configMap": {"name": "a"}}]}),
            json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "a"}}]}}]}),
        ] {
            assert!(loads_config_map(&with(spec.clone()), "a"));
            assert!(!loads_config_map(&with(spec), "b"));
        }
    }
    #[test]
    fn finds_secrets_in_every_place_of_a_pod() {
        let pod = json!({
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [{"name": "db", "envFrom": [{"secretRef": {"name": "a"}}],
                "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "b", "key": "p"}}}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "c"}},
                {"name": "w", "projected": {"sources": [{"secret": {"name": "d"}}]}}]});
        let names: Vec<String> = Loads::of(&pod).secrets.into_iter().collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
