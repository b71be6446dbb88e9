//! What server-side apply demands of the object it is sent, before it looks at the stored one: every field is declared,
//! has its type, and every item of a keyed list can be told from the others.

use serde_json::Value;

use crate::fields::{ListKind, item_key, items, list_kind, member, step};
use crate::schema::flag;

/// The first offence, as `PATH: what`.
pub(crate) fn offence(schema: &Value, applied: &Value) -> Option<String> {
    below(schema, applied, "")
}

fn below(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(wrong) = wrong_type(schema, value) {
        return Some(format!("{path}: {wrong}"));
    }
    match value {
        Value::Object(map) => map.iter().find_map(|(key, child)| {
            let path = format!("{path}.{key}");
            let known = schema.pointer(&format!("/properties/{}", key.replace('~', "~0").replace('/', "~1")));
            let open = flag(schema, "x-kubernetes-preserve-unknown-fields")
                || schema.get("additionalProperties").is_some()
                || schema.get("properties").is_none();
            match known {
                None if !open => Some(format!("{path}: field not declared in schema")),
                _ => below(member(schema, key), child, &path),
            }
        }),
        Value::Array(list) => items_of(schema, list, path),
        _ => None,
    }
}

fn items_of(schema: &Value, list: &[Value], path: &str) -> Option<String> {
    let kind = list_kind(schema);
    let mut seen: Vec<String> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let step = match (item_key(&kind, schema, item), &kind) {
            (Some(key), _) => {
                let shown = step(&key);
                if seen.contains(&key) {
                    return Some(format!("{path}: duplicate entries for key {shown}"));
                }
                seen.push(key);
                shown
            }
            (None, ListKind::Map(keys)) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                return Some(format!(
                    "{path}: element {index}: associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    keys.join(" ")
                ));
            }
            (None, _) => format!("[{index}]"),
        };
        if let Some(offence) = below(items(schema), item, &format!("{path}{step}")) {
            return Some(offence);
        }
    }
    None
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if value.is_null() || flag(schema, "x-kubernetes-int-or-string") {
        return None;
    }
    let wanted = match schema.get("type").and_then(Value::as_str)? {
        "string" if !value.is_string() => "string",
        "boolean" if !value.is_boolean() => "boolean",
        "integer" | "number" if !value.is_number() => "numeric (int or float)",
        "array" if !value.is_array() => "list",
        "object" if !value.is_object() => "map",
        _ => return None,
    };
    Some(match value {
        Value::String(_) if wanted.starts_with("numeric") => format!("expected {wanted}, got string"),
        _ => format!("expected {wanted}, got &value.valueUnstructured{{Value:{}}}", plain(value)),
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"))
}
