//! CustomResourceDefinitions turned into served kinds.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::builtin;
use crate::kind::{Column, Kind, Origin, ScalePaths, Scope, Shape};
use crate::schema::{Schema, compile_errors};
use crate::status::Cause;

/// Shelf of the definitions themselves.
pub(crate) const SHELF: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// What is wrong with a definition beyond its own schema.
pub(crate) fn check(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let expected = format!("{}.{}", text(definition, "/spec/names/plural"), text(definition, "/spec/group"));
    let name = text(definition, "/metadata/name");
    if name != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &name.into(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if builtin::groups().iter().any(|group| *group == text(definition, "/spec/group")) {
        let group = &definition["spec"]["group"];
        causes.push(Cause::invalid("spec.group", group, "is a group of the server itself"));
    }
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let storage = versions.into_iter().flatten().filter(|v| flag(v, "/storage")).count();
    if storage != 1 {
        let found = definition.pointer("/spec/versions").cloned().unwrap_or_default();
        causes.push(Cause::invalid(
            "spec.versions",
            &found,
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.into_iter().flatten().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(path, "")),
            Some(schema) => {
                for error in compile_errors(schema) {
                    causes.push(Cause::invalid(
                        &path,
                        &Value::from("object"),
                        format!("rule does not compile: {error}"),
                    ));
                }
            }
        }
    }
    causes
}

/// The status that a real server's controllers would write: names accepted, established.
pub(crate) fn status(definition: &Value, now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        let since = definition
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .and_then(|list| list.iter().find(|c| c["type"] == kind))
            .and_then(|c| c["lastTransitionTime"].as_str())
            .unwrap_or(now)
            .to_owned();
        json!({ "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since })
    };
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let stored: Vec<&Value> =
        versions.into_iter().flatten().filter(|v| flag(v, "/storage")).map(|v| &v["name"]).collect();
    json!({
        "acceptedNames": definition["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    })
}

/// Fills in the names that a definition may leave out.
pub(crate) fn complete(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    if let Some(names) = definition.pointer_mut("/spec/names").and_then(Value::as_object_mut) {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    if let Some(spec) = definition.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("conversion").or_insert_with(|| json!({ "strategy": "None" }));
    }
}

/// The kinds a definition serves, one a served version.
pub(crate) fn kinds(definition: &Value) -> Vec<Arc<Kind>> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    versions
        .into_iter()
        .flatten()
        .filter(|v| flag(v, "/served"))
        .map(|v| Arc::new(kind(definition, v)))
        .collect()
}

fn kind(definition: &Value, version: &Value) -> Kind {
    let names = &definition["spec"]["names"];
    let name = text(names, "/kind").to_owned();
    let list_kind = match text(names, "/listKind") {
        "" => format!("{name}List"),
        given => given.to_owned(),
    };
    let scale = version.pointer("/subresources/scale").map(|scale| ScalePaths {
        spec_replicas: text(scale, "/specReplicasPath").to_owned(),
        status_replicas: text(scale, "/statusReplicasPath").to_owned(),
        selector: scale.get("labelSelectorPath").and_then(Value::as_str).map(str::to_owned),
    });
    Kind {
        group: text(definition, "/spec/group").to_owned(),
        version: text(version, "/name").to_owned(),
        list_kind,
        plural: text(names, "/plural").to_owned(),
        singular: match text(names, "/singular") {
            "" => name.to_lowercase(),
            given => given.to_owned(),
        },
        kind: name,
        short_names: texts(names, "/shortNames"),
        categories: texts(names, "/categories"),
        scope: if text(definition, "/spec/scope") == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
        origin: Origin::Custom,
        shape: Shape::Stored,
        store: text(definition, "/metadata/name").into(),
        schema: Schema::new(root_schema(version)),
        status: version.pointer("/subresources/status").is_some(),
        scale,
        columns: columns(version),
        selectable: version
            .pointer("/selectableFields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|field| text(field, "/jsonPath").trim_start_matches('.').to_owned())
            .collect(),
        counts_generations: true,
    }
}

/// The version's schema, with the metadata that every object has.
fn root_schema(version: &Value) -> Value {
    let mut root =
        version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_else(|| json!({ "type": "object" }));
    let mut metadata = builtin::object_meta().clone();
    if let Some(own) = root.pointer("/properties/metadata").filter(|own| own.get("properties").is_some()) {
        metadata["allOf"] = json!([own]);
    }
    if let Some(map) = root.as_object_mut() {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        properties["metadata"] = metadata;
        for name in ["apiVersion", "kind"] {
            if properties.get(name).is_none() {
                properties[name] = json!({ "type": "string" });
            }
        }
    }
    root
}

fn columns(version: &Value) -> Vec<Column> {
    let given: Vec<Column> = version
        .pointer("/additionalPrinterColumns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|column| Column {
            name: text(column, "/name").to_owned(),
            kind: text(column, "/type").to_owned(),
            format: text(column, "/format").to_owned(),
            description: match text(column, "/description") {
                "" => format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    text(column, "/jsonPath")
                ),
                given => given.to_owned(),
            },
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            path: text(column, "/jsonPath").to_owned(),
        })
        .collect();
    if !given.is_empty() {
        return given;
    }
    vec![Column {
        name: "Age".into(),
        kind: "date".into(),
        format: String::new(),
        description: "Time since the object was created".into(),
        priority: 0,
        path: ".metadata.creationTimestamp".into(),
    }]
}
