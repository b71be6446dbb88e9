//! Pruning and defaulting: the passes that change an object's shape.

use serde_json::{Map, Value};

use super::{flag, join};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

pub(super) fn prune(schema: &Value, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_map(schema, map, path, dropped),
        Value::Array(items) => {
            if let Some(item) = schema.get("items") {
                for (index, value) in items.iter_mut().enumerate() {
                    prune(item, value, &format!("{path}[{index}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

fn prune_map(schema: &Value, map: &mut Map<String, Value>, path: &str, dropped: &mut Vec<String>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let extra = schema.get("additionalProperties");
    let keep_unknown = flag(schema, PRESERVE) || extra == Some(&Value::Bool(true));
    let embedded = flag(schema, EMBEDDED);
    map.retain(|key, child| {
        if let Some(known) = properties.and_then(|p| p.get(key)) {
            prune(known, child, &join(path, key), dropped);
            return true;
        }
        if let Some(extra) = extra.filter(|e| e.is_object()) {
            prune(extra, child, &join(path, key), dropped);
            return true;
        }
        let keep = keep_unknown || (embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
        if !keep {
            dropped.push(join(path, key));
        }
        keep
    });
}

pub(super) fn decode(schema: &Value, value: &mut Value) {
    if value.is_number() && schema.get("format").and_then(Value::as_str) == Some("quantity") {
        *value = value.to_string().into();
    }
    each_child(schema, value, &mut |schema, child| decode(schema, child));
    if let Value::Object(map) = value {
        let properties = schema.get("properties").and_then(Value::as_object);
        map.retain(|key, child| {
            !child.is_null() || properties.is_none_or(|p| p.get(key).is_none_or(|s| flag(s, "nullable")))
        });
    }
}

/// A whole number is written without a fraction, whatever the client wrote.
pub(crate) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15);
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        _ => {}
    }
}

pub(super) fn default(schema: &Value, value: &mut Value) {
    if let (Value::Object(map), Some(properties)) =
        (&mut *value, schema.get("properties").and_then(Value::as_object))
    {
        for (key, property) in properties {
            let Some(preset) = property.get("default") else { continue };
            let missing = match map.get(key) {
                None => true,
                Some(Value::Null) => !flag(property, "nullable"),
                Some(_) => false,
            };
            if missing {
                map.insert(key.clone(), preset.clone());
            }
        }
    }
    each_child(schema, value, &mut |schema, child| default(schema, child));
}

/// Calls `visit` for every child value that has a schema of its own.
fn each_child(schema: &Value, value: &mut Value, visit: &mut dyn FnMut(&Value, &mut Value)) {
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let extra = schema.get("additionalProperties").filter(|e| e.is_object());
            for (key, child) in map.iter_mut() {
                if let Some(schema) = properties.and_then(|p| p.get(key)).or(extra) {
                    visit(schema, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = schema.get("items") {
                for child in items {
                    visit(item, child);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prunes_what_no_property_names() {
        let schema = json!({ "type": "object", "properties": {
            "a": { "type": "object", "properties": { "b": { "type": "string" } } },
            "free": { "type": "object", PRESERVE: true },
            "map": { "type": "object", "additionalProperties": { "type": "object", "properties": {} } },
            "list": { "type": "array", "items": { "type": "object", "properties": { "n": {} } } },
        }});
        let mut value = json!({ "a": { "b": "x", "c": 1 }, "free": { "any": 1 }, "map": { "k": { "z": 1 } },
            "list": [{ "n": 1, "m": 2 }], "gone": true });
        let mut dropped = Vec::new();
        prune(&schema, &mut value, "", &mut dropped);
        assert_eq!(
            value,
            json!({ "a": { "b": "x" }, "free": { "any": 1 }, "map": { "k": {} }, "list": [{ "n": 1 }] })
        );
        assert_eq!(dropped, ["a.c", "map.k.z", "list[0].m", "gone"]);
    }

    #[test]
    fn defaults_reach_into_defaults() {
        let schema = json!({ "properties": {
            "outer": { "default": {}, "properties": { "inner": { "default": 3 } } },
            "list": { "items": { "properties": { "proto": { "default": "TCP" } } } },
            "maybe": { "nullable": true, "default": 1 },
            "never": { "default": 1 },
        }});
        let mut value = json!({ "list": [{}, { "proto": "UDP" }], "maybe": null, "never": null });
        default(&schema, &mut value);
        assert_eq!(
            value,
            json!({ "list": [{ "proto": "TCP" }, { "proto": "UDP" }], "maybe": null, "never": 1, "outer": { "inner": 3 } })
        );
    }
}
