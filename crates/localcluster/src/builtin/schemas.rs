//! OpenAPI definitions of the built-in kinds, by their published names.

use std::sync::LazyLock;

use k8s_openapi::api::{apps, autoscaling, batch, coordination, core, events};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::overlay;

const REFERENCE: &str = "#/components/schemas/";

/// All definitions by name, with references between them, as OpenAPI documents show them.
pub(crate) fn definitions() -> &'static Map<String, Value> {
    static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(generate);
    &DEFINITIONS
}

/// `io.k8s.api.apps.v1.Deployment` from `apps`, `v1`, `Deployment`; `group` is the first label of the group.
pub(crate) fn definition_name(group: &str, version: &str, kind: &str) -> String {
    match group {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        group => format!("io.k8s.api.{group}.{version}.{kind}"),
    }
}

/// A definition with its references replaced and its descriptions left out.
pub(crate) fn resolved(name: &str) -> Value {
    resolve(definitions().get(name).unwrap_or(&Value::Null), &mut vec![name.to_owned()])
}

fn generate() -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<core::v1::Namespace>();
    generator.subschema_for::<core::v1::Node>();
    generator.subschema_for::<core::v1::Pod>();
    generator.subschema_for::<core::v1::ConfigMap>();
    generator.subschema_for::<core::v1::Secret>();
    generator.subschema_for::<core::v1::Service>();
    generator.subschema_for::<core::v1::ServiceAccount>();
    generator.subschema_for::<core::v1::Event>();
    generator.subschema_for::<events::v1::Event>();
    generator.subschema_for::<apps::v1::Deployment>();
    generator.subschema_for::<apps::v1::ReplicaSet>();
    generator.subschema_for::<apps::v1::StatefulSet>();
    generator.subschema_for::<apps::v1::DaemonSet>();
    generator.subschema_for::<apps::v1::ControllerRevision>();
    generator.subschema_for::<autoscaling::v1::Scale>();
    generator.subschema_for::<autoscaling::v2::HorizontalPodAutoscaler>();
    generator.subschema_for::<batch::v1::Job>();
    generator.subschema_for::<coordination::v1::Lease>();
    generator.subschema_for::<CustomResourceDefinition>();
    generator.subschema_for::<ObjectMeta>();
    let mut definitions = generator.take_definitions(true);
    overlay::complete(&mut definitions);
    definitions
}

/// Replaces references. A type inside itself (only the schema type of definitions is) accepts anything there.
fn resolve(schema: &Value, open: &mut Vec<String>) -> Value {
    match schema {
        Value::Object(map) => {
            if let Some(name) =
                map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(REFERENCE))
            {
                if open.iter().any(|seen| seen == name) {
                    return json!({ "x-kubernetes-preserve-unknown-fields": true });
                }
                open.push(name.to_owned());
                let mut target = resolve(definitions().get(name).unwrap_or(&Value::Null), open);
                open.pop();
                if let Some(target) = target.as_object_mut() {
                    let beside =
                        map.iter().filter(|(key, _)| !matches!(key.as_str(), "$ref" | "description"));
                    target.extend(beside.map(|(key, value)| (key.clone(), value.clone())));
                }
                return target;
            }
            // A reference with neighbours is written as the only branch of an `allOf`.
            if let Some([only]) = map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                let mut target = resolve(only, open);
                if let Some(target) = target.as_object_mut() {
                    let beside =
                        map.iter().filter(|(key, _)| !matches!(key.as_str(), "allOf" | "description"));
                    target.extend(beside.map(|(key, value)| (key.clone(), resolve(value, open))));
                }
                return target;
            }
            let kept = map.iter().filter(|(key, value)| *key != "description" || value.is_object());
            Value::Object(kept.map(|(key, value)| (key.clone(), resolve(value, open))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(|item| resolve(item, open)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn every_kind_resolves_to_an_object_schema() {
        for kind in super::super::kinds() {
            let root = kind.schema.root();
            assert_eq!(root["type"], "object", "{}", kind.kind);
            assert!(root["properties"]["metadata"]["properties"]["name"].is_object(), "{}", kind.kind);
            assert!(!root.to_string().contains("\"$ref\":\"#"), "{}", kind.kind);
        }
    }
}
