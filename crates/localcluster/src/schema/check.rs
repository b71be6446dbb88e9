//! OpenAPI v3 validation with the messages of the API server.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use regex::Regex;
use serde_json::Value;

use super::{flag, join};
use crate::status::Cause;

/// Checks `value` and its children; appends what is wrong.
pub(super) fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if !check_type(schema, value, path, causes) {
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        causes.push(Cause::unsupported(path, value, allowed));
    }
    match value {
        Value::Object(map) => check_object(schema, value, map, path, causes),
        Value::Array(items) => check_array(schema, value, items, path, causes),
        Value::String(text) => check_string(schema, value, text, path, causes),
        Value::Number(number) => check_number(schema, value, number.as_f64(), path, causes),
        Value::Null | Value::Bool(_) => {}
    }
    check_combinations(schema, value, path, causes);
}

fn check_type(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    if flag(schema, "x-kubernetes-int-or-string") {
        let fits = value.is_string() || value.is_i64() || value.is_u64() || value.is_f64();
        if !fits {
            let why = format!("{path} in body must be of type integer or string: {:?}", type_name(value));
            causes.push(Cause::wrong_type(path, &Value::from(type_name(value)), why));
        }
        return fits;
    }
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return true };
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        _ => true,
    };
    if !fits {
        let why = format!("{path} in body must be of type {wanted}: {:?}", type_name(value));
        causes.push(Cause::wrong_type(path, &Value::from(type_name(value)), why));
    }
    fits
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_object(
    schema: &Value,
    value: &Value,
    map: &serde_json::Map<String, Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = name.as_str().filter(|name| !map.contains_key(*name)) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let extra = schema.get("additionalProperties").filter(|e| e.is_object());
    for (key, child) in map {
        if let Some(child_schema) = properties.and_then(|p| p.get(key)).or(extra) {
            check(child_schema, child, &join(path, key), causes);
        }
    }
    bounds(schema, ["minProperties", "maxProperties"], map.len(), value, path, "properties", causes);
}

fn check_array(schema: &Value, value: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    bounds(schema, ["minItems", "maxItems"], items.len(), value, path, "items", causes);
    if let Some(item) = schema.get("items") {
        for (index, child) in items.iter().enumerate() {
            check(item, child, &format!("{path}[{index}]"), causes);
        }
    }
    let keys: Vec<&str> = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .map(|keys| keys.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let identity: Option<Vec<Value>> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Some(items.to_vec()),
        Some("map") => {
            Some(items.iter().map(|item| keys.iter().map(|k| item.get(*k).cloned()).collect()).collect())
        }
        _ => flag(schema, "uniqueItems").then(|| items.to_vec()),
    };
    for (index, id) in identity.iter().flatten().enumerate() {
        if identity.iter().flatten().take(index).any(|earlier| earlier == id) {
            let shown = if keys.is_empty() {
                id.clone()
            } else {
                keys.iter()
                    .map(|k| ((*k).to_owned(), items[index].get(*k).cloned().unwrap_or_default()))
                    .collect()
            };
            causes.push(Cause::duplicate(format!("{path}[{index}]"), &shown));
        }
    }
}

/// How many members or items there may be; `names` are the schema's names of least and most.
fn bounds(
    schema: &Value,
    names: [&str; 2],
    count: usize,
    value: &Value,
    path: &str,
    noun: &str,
    causes: &mut Vec<Cause>,
) {
    let [least, most] = names.map(|name| schema.get(name).and_then(Value::as_u64));
    if let Some(most) = most.filter(|most| count as u64 > *most) {
        causes.push(Cause::too_many(path, count, most, noun));
    }
    if let Some(least) = least.filter(|least| (count as u64) < *least) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body should have at least {least} {noun}"),
        ));
    }
}

fn check_string(schema: &Value, value: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema.get("maxLength").and_then(Value::as_u64).filter(|most| length > *most) {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {most} bytes"),
            field: path.to_owned(),
        });
    }
    if let Some(least) = schema.get("minLength").and_then(Value::as_u64).filter(|least| length < *least) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body should be at least {least} chars long"),
        ));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        match compiled(pattern) {
            Some(regex) if regex.is_match(text) => {}
            Some(_) => {
                causes.push(Cause::invalid(path, value, format!("{path} in body should match '{pattern}'")));
            }
            None => causes.push(Cause::invalid(
                path,
                value,
                format!("the schema's pattern '{pattern}' is not a regular expression"),
            )),
        }
    }
    let well_formed = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
        Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
        Some("byte") => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }
        _ => true,
    };
    if !well_formed {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        causes.push(Cause::wrong_type(
            path,
            value,
            format!("{path} in body must be of type {format}: {value}"),
        ));
    }
}

fn compiled(pattern: &str) -> Option<Arc<Regex>> {
    static CACHE: LazyLock<Mutex<HashMap<String, Option<Arc<Regex>>>>> = LazyLock::new(Mutex::default);
    CACHE.lock().entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok().map(Arc::new)).clone()
}

fn check_number(schema: &Value, value: &Value, number: Option<f64>, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = number else { return };
    let exclusive = |name| flag(schema, name);
    if let Some(most) = schema.get("maximum").and_then(Value::as_f64)
        && (number > most || (exclusive("exclusiveMaximum") && number >= most))
    {
        let how = if exclusive("exclusiveMaximum") { "less than" } else { "less than or equal to" };
        causes.push(Cause::invalid(path, value, format!("{path} in body should be {how} {most}")));
    }
    if let Some(least) = schema.get("minimum").and_then(Value::as_f64)
        && (number < least || (exclusive("exclusiveMinimum") && number <= least))
    {
        let how = if exclusive("exclusiveMinimum") { "greater than" } else { "greater than or equal to" };
        causes.push(Cause::invalid(path, value, format!("{path} in body should be {how} {least}")));
    }
    if let Some(step) = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0)
        && (number / step).fract().abs() > 1e-9
    {
        causes.push(Cause::invalid(path, value, format!("{path} in body should be a multiple of {step}")));
    }
    let range = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        Some("uint8") => (0.0, 255.0),
        Some("uint16") => (0.0, 65_535.0),
        Some("uint64" | "uint") => (0.0, f64::INFINITY),
        _ => return,
    };
    if number < range.0 || number > range.1 {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        causes.push(Cause::invalid(path, value, format!("{path} in body must fit {format}")));
    }
}

fn check_combinations(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let branches =
        |name: &str| schema.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fits = |branch: &Value| {
        let mut found = Vec::new();
        check(branch, value, path, &mut found);
        found.is_empty()
    };
    for branch in branches("allOf") {
        check(branch, value, path, causes);
    }
    let any = branches("anyOf");
    if !any.is_empty() && !any.iter().any(fits) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body must validate at least one schema (anyOf)"),
        ));
    }
    let one = branches("oneOf");
    if !one.is_empty() {
        let count = one.iter().filter(|branch| fits(branch)).count();
        if count != 1 {
            let found = if count == 0 { "none" } else { "several" };
            causes.push(Cause::invalid(
                path,
                value,
                format!("{path} in body must validate one and only one schema (oneOf). Found {found} valid"),
            ));
        }
    }
    if schema.get("not").is_some_and(fits) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body must not validate the schema (not)"),
        ));
    }
}
