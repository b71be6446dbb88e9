//! OpenAPI v3 documents, one a group and version: enough for `kubectl explain`, `apply` and dry runs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::builtin;
use crate::call::Call;
use crate::core::Answer;
use crate::kind::{Kind, Origin, Registry};
use crate::status::{ApiError, ApiResult};

/// Answers `/openapi/…`.
pub(crate) fn answer(registry: &Registry, parts: &[&str], _call: &Call) -> ApiResult<Answer> {
    match parts {
        ["openapi", "v3"] => Ok(Answer::ok(index(registry))),
        ["openapi", "v3", "api", version] => document(registry, "", version),
        ["openapi", "v3", "apis", group, version] => document(registry, group, version),
        ["openapi", "v2"] => Err(ApiError::left_out("OpenAPI v2")),
        _ => Err(ApiError::no_such_path()),
    }
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path = prefix(group, version);
            paths.insert(path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}") }));
        }
    }
    json!({ "paths": paths })
}

fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(registry: &Registry, group: &str, version: &str) -> ApiResult<Answer> {
    let kinds = registry.of(group, version);
    if kinds.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for kind in kinds {
        let name = schema_name(kind);
        let mut schema = match kind.origin {
            Origin::BuiltIn => builtin::definitions().get(&name).cloned().unwrap_or_default(),
            Origin::Custom => custom(kind),
        };
        schema["x-kubernetes-group-version-kind"] =
            json!([{ "group": kind.group, "version": kind.version, "kind": kind.kind }]);
        take_references(&schema, &mut schemas);
        schemas.insert(name, schema);
        let collection = if kind.namespaced() {
            format!("/{}/namespaces/{{namespace}}/{}", prefix(group, version), kind.plural)
        } else {
            format!("/{}/{}", prefix(group, version), kind.plural)
        };
        paths.insert(collection.clone(), operations(kind, &["get", "post", "delete"]));
        paths.insert(format!("{collection}/{{name}}"), operations(kind, &["get", "put", "patch", "delete"]));
        if kind.namespaced() {
            paths.insert(format!("/{}/{}", prefix(group, version), kind.plural), operations(kind, &["get"]));
        }
    }
    Ok(Answer::ok(json!({
        "openapi": "3.0.0",
        "info": { "title": "Causeway local API server", "version": "v1" },
        "paths": paths,
        "components": { "schemas": schemas },
    })))
}

/// A custom kind's schema, its metadata by reference to the published description.
fn custom(kind: &Kind) -> Value {
    let mut schema = kind.schema.root().clone();
    if let Some(properties) = schema.get_mut("properties") {
        properties["metadata"] = json!({
            "description": "Standard object's metadata.",
            "allOf": [{ "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" }],
        });
        properties["apiVersion"] =
            json!({ "type": "string", "description": "Group and version of this object's schema." });
        properties["kind"] = json!({ "type": "string", "description": "Name of the kind of this object." });
    }
    schema
}

fn schema_name(kind: &Kind) -> String {
    match kind.origin {
        Origin::BuiltIn => builtin::definition_name(
            kind.group.split('.').next().unwrap_or_default(),
            &kind.version,
            &kind.kind,
        ),
        Origin::Custom => {
            let mut labels: Vec<&str> = kind.group.split('.').collect();
            labels.reverse();
            format!("{}.{}.{}", labels.join("."), kind.version, kind.kind)
        }
    }
}

/// Adds every definition that a schema refers to, and what those refer to.
fn take_references(schema: &Value, into: &mut Map<String, Value>) {
    let mut open = BTreeSet::new();
    collect(schema, &mut open);
    while let Some(name) = open.pop_first() {
        if into.contains_key(&name) {
            continue;
        }
        if let Some(definition) = builtin::definitions().get(&name) {
            collect(definition, &mut open);
            into.insert(name, definition.clone());
        }
    }
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                names.insert(name.trim_start_matches("#/components/schemas/").to_owned());
            }
            map.values().for_each(|child| collect(child, names));
        }
        Value::Array(list) => list.iter().for_each(|child| collect(child, names)),
        _ => {}
    }
}

fn operations(kind: &Kind, methods: &[&str]) -> Value {
    let reference = json!({ "$ref": format!("#/components/schemas/{}", schema_name(kind)) });
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } });
    let mut item = Map::new();
    for method in methods {
        let action = match *method {
            "get" => "get",
            "post" => "post",
            "put" => "put",
            "patch" => "patch",
            _ => "delete",
        };
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
            "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": reference } } } },
        });
        if *method != "get" {
            operation["parameters"] =
                json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")]);
        }
        if *method == "patch" {
            operation["parameters"] = json!([
                parameter("dryRun"),
                parameter("fieldManager"),
                parameter("fieldValidation"),
                parameter("force")
            ]);
        }
        item.insert((*method).to_owned(), operation);
    }
    Value::Object(item)
}
