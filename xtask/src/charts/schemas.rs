//! JSON Schemas for kubeconform, from the OpenAPI documents of an API server: exactly what that server takes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A kind by the apiVersion and kind of its objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

impl Kind {
    /// Path of the OpenAPI document that has the kind.
    pub(super) fn document(&self) -> String {
        match self.group.as_str() {
            "" => format!("/openapi/v3/api/{}", self.version),
            group => format!("/openapi/v3/apis/{group}/{}", self.version),
        }
    }

    /// File name as kubeconform's `{{ .ResourceKind }}{{ .KindSuffix }}.json` has it.
    pub(super) fn file(&self) -> String {
        let group = self.group.split('.').next().filter(|group| !group.is_empty());
        let suffix = group.map(|group| format!("-{group}")).unwrap_or_default();
        format!("{}{suffix}-{}.json", self.kind.to_lowercase(), self.version)
    }
}

/// The kinds of the objects in a YAML stream, as Helm prints it: with apiVersion and kind at the start of a line.
pub(super) fn kinds(stream: &str) -> BTreeSet<Kind> {
    let mut found = BTreeSet::new();
    for document in stream.split("\n---") {
        let field = |name: &str| document.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let (Some(api_version), Some(kind)) = (field("apiVersion:"), field("kind:")) {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            found.insert(Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
            });
        }
    }
    found
}

/// The schema of a kind with everything that it refers to; fields that it does not name are refused.
pub(super) fn standalone(openapi: &Value, kind: &Kind) -> Option<Value> {
    let schemas = openapi.pointer("/components/schemas")?.as_object()?;
    let wanted = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
    let is_wanted = |schema: &Value| {
        schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|all| all.contains(&wanted))
    };
    let (name, _) = schemas.iter().find(|(_, schema)| is_wanted(schema))?;
    let mut all = schemas.clone();
    for schema in all.values_mut() {
        close(schema);
    }
    Some(json!({
        "allOf": [{ "$ref": format!("#/components/schemas/{name}") }],
        "components": { "schemas": all },
    }))
}

fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let open = object.contains_key("additionalProperties")
        || object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        if !open {
            object.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(inner) {
            close(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_kinds_of_a_stream() {
        let stream = "---\n# Source: a\napiVersion: apps/v1\nkind: Deployment\nspec:\n  kind: Inner\n---\n# b\n\
                      apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Service\n---\n";
        let found: Vec<(String, String)> =
            kinds(stream).iter().map(|kind| (kind.document(), kind.file())).collect();
        let expected = [
            ("/openapi/v3/api/v1", "service-v1.json"),
            ("/openapi/v3/apis/apps/v1", "deployment-apps-v1.json"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_schema_stands_alone_and_refuses_unknown_fields() {
        let openapi = json!({"components": {"schemas": {
            "io.test.Thing": {
                "type": "object",
                "properties": {
                    "spec": {"allOf": [{"$ref": "#/components/schemas/io.test.Spec"}]},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": true},
                    "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
                },
                "x-kubernetes-group-version-kind": [{"group": "test", "version": "v1", "kind": "Thing"}],
            },
            "io.test.Spec": {"type": "object", "properties": {"a": {"type": "string"}}},
        }}});
        let kind = Kind { group: "test".into(), version: "v1".into(), kind: "Thing".into() };
        let schema = standalone(&openapi, &kind).unwrap();
        let thing = &schema["components"]["schemas"]["io.test.Thing"];
        assert_eq!(schema["allOf"][0]["$ref"], "#/components/schemas/io.test.Thing");
        assert_eq!(thing["additionalProperties"], false);
        assert_eq!(thing["properties"]["labels"]["additionalProperties"], json!({"type": "string"}));
        assert_eq!(thing["properties"]["free"].get("additionalProperties"), None);
        assert_eq!(thing["properties"]["list"]["items"]["additionalProperties"], false);
        assert_eq!(schema["components"]["schemas"]["io.test.Spec"]["additionalProperties"], false);
        assert_eq!(standalone(&openapi, &Kind { kind: "Other".into(), ..kind }), None);
    }
}
