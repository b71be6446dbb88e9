//! Strategic merge patch: lists whose items have a merge key are merged item by item.

use serde_json::{Map, Value};

use crate::fields::{items, member};
use crate::status::{ApiError, ApiResult};

const DIRECTIVE: &str = "$patch";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";
const RETAIN: &str = "$retainKeys";

/// Merges `patch` into `object`, both described by `schema`.
pub(crate) fn merge(schema: &Value, object: &mut Value, patch: &Value) -> ApiResult<()> {
    let Some(changes) = patch.as_object() else {
        object.clone_from(patch);
        return Ok(());
    };
    match changes.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            *object = Value::Object(without_directives(changes));
            return Ok(());
        }
        Some("delete") => {
            *object = Value::Null;
            return Ok(());
        }
        Some(other) => return Err(ApiError::bad_request(format!("unknown {DIRECTIVE} directive {other:?}"))),
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(map) = object.as_object_mut() else { return Ok(()) };
    if let Some(keep) = changes.get(RETAIN).and_then(Value::as_array) {
        map.retain(|key, _| keep.iter().any(|k| k == key));
    }
    for (key, change) in changes {
        if key.starts_with('$') {
            continue;
        }
        if change.is_null() {
            map.shift_remove(key);
            continue;
        }
        let schema = member(schema, key);
        match (map.get_mut(key), change) {
            (Some(current @ Value::Object(_)), Value::Object(_)) => {
                merge(schema, current, change)?;
                if current.is_null() {
                    map.shift_remove(key);
                }
            }
            (Some(Value::Array(current)), Value::Array(list)) => {
                let before = current.clone();
                merge_list(schema, current, list)?;
                if is_merged(schema) {
                    arrange(schema, current, &before, order_of(changes, key).unwrap_or(list));
                }
            }
            (_, Value::Array(list)) => {
                let mut fresh = Vec::new();
                merge_list(schema, &mut fresh, list)?;
                map.insert(key.clone(), Value::Array(fresh));
            }
            (_, Value::Object(_)) => {
                let mut fresh = Value::Object(Map::new());
                merge(schema, &mut fresh, change)?;
                if !fresh.is_null() {
                    map.insert(key.clone(), fresh);
                }
            }
            (_, scalar) => {
                map.insert(key.clone(), scalar.clone());
            }
        }
    }
    for (key, change) in changes {
        if let (Some(name), Some(gone)) = (key.strip_prefix(DELETE_FROM), change.as_array())
            && let Some(current) = map.get_mut(name).and_then(Value::as_array_mut)
        {
            current.retain(|item| !gone.contains(item));
        }
        if let (Some(name), Some(order)) = (key.strip_prefix(ORDER), change.as_array())
            && !changes.contains_key(name)
            && let Some(current) = map.get_mut(name).and_then(Value::as_array_mut)
        {
            let before = current.clone();
            arrange(member(schema, name), current, &before, order);
        }
    }
    Ok(())
}

fn merge_key(schema: &Value) -> Option<&str> {
    schema.get("x-kubernetes-patch-merge-key").and_then(Value::as_str)
}

fn merge_list(schema: &Value, current: &mut Vec<Value>, list: &[Value]) -> ApiResult<()> {
    let Some(key) = merge_key(schema) else {
        let merged = schema.get("x-kubernetes-patch-strategy").and_then(Value::as_str) == Some("merge");
        if merged {
            for item in list {
                if !current.contains(item) {
                    current.push(item.clone());
                }
            }
        } else {
            *current = list.to_vec();
        }
        return Ok(());
    };
    let directive = |item: &Value| item.get(DIRECTIVE).and_then(Value::as_str).map(str::to_owned);
    if list.iter().any(|item| directive(item).as_deref() == Some("replace") && item.get(key).is_none()) {
        *current = list.iter().filter(|item| directive(item).is_none()).cloned().collect();
        return Ok(());
    }
    for item in list {
        let Some(id) = item.get(key).filter(|id| !id.is_null()) else {
            return Err(ApiError::unforeseen(format!(
                "map: {} does not contain declared merge key: {key}",
                go(item)
            )));
        };
        let place = current.iter().position(|known| known.get(key) == Some(id));
        match (directive(item).as_deref(), place) {
            (Some("delete"), Some(place)) => {
                current.remove(place);
            }
            (Some("delete"), None) => {}
            (_, Some(place)) => merge(items(schema), &mut current[place], item)?,
            (_, None) => {
                let mut fresh = Value::Object(Map::new());
                merge(items(schema), &mut fresh, item)?;
                current.push(fresh);
            }
        }
    }
    Ok(())
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter().filter(|(key, _)| !key.starts_with('$')).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A value as Go prints it.
fn go(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_merged(schema: &Value) -> bool {
    merge_key(schema).is_some()
        || schema.get("x-kubernetes-patch-strategy").and_then(Value::as_str) == Some("merge")
}

fn order_of<'a>(changes: &'a Map<String, Value>, key: &str) -> Option<&'a Vec<Value>> {
    changes.get(&format!("{ORDER}{key}")).and_then(Value::as_array)
}

/// The order of a merged list: items that the patch names stand in the patch's order. Each of the others stands before
/// the next named one that it was before in the live list; behind all that were not there.
fn arrange(schema: &Value, merged: &mut Vec<Value>, before: &[Value], order: &[Value]) {
    let key = merge_key(schema);
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(merged).into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(ours), Some(theirs)) = (named.peek(), others.peek()) {
        let earlier =
            place(before, theirs).zip(place(before, ours)).is_some_and(|(theirs, ours)| theirs < ours);
        merged.extend(if earlier { others.next() } else { named.next() });
    }
    merged.extend(named.chain(others));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_as_the_strategy_says() {
        let schema = json!({ "properties": {
            "containers": { "x-kubernetes-patch-merge-key": "name", "items": { "properties": {
                "env": { "x-kubernetes-patch-merge-key": "name" } } } },
            "finalizers": { "x-kubernetes-patch-strategy": "merge" },
        }});
        let start = json!({ "containers": [
                { "name": "a", "image": "a:1", "env": [{ "name": "X", "value": "1" }] }, { "name": "b", "image": "b:1" }],
            "finalizers": ["f1", "f2"], "args": ["1", "2"], "map": { "k": "v", "l": "w" } });
        let cases = [
            (
                json!({ "containers": [{ "name": "a", "image": "a:2" }] }),
                "/containers/0",
                json!({ "name": "a", "image": "a:2", "env": [{ "name": "X", "value": "1" }] }),
            ),
            (
                json!({ "containers": [{ "name": "a", "$patch": "delete" }] }),
                "/containers",
                json!([{ "name": "b", "image": "b:1" }]),
            ),
            (
                json!({ "containers": [{ "name": "a", "env": [{ "name": "Y", "value": "2" }] }] }),
                "/containers/0/env",
                json!([{ "name": "Y", "value": "2" }, { "name": "X", "value": "1" }]),
            ),
            (
                json!({ "containers": [{ "$patch": "replace" }, { "name": "c" }] }),
                "/containers",
                json!([{ "name": "c" }]),
            ),
            (
                json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] }),
                "/containers/0/name",
                json!("b"),
            ),
            (
                json!({ "$deleteFromPrimitiveList/finalizers": ["f1"], "finalizers": ["f3"] }),
                "/finalizers",
                json!(["f3", "f2"]),
            ),
            (json!({ "args": ["3"] }), "/args", json!(["3"])),
            (json!({ "map": { "k": null } }), "/map", json!({ "l": "w" })),
            (json!({ "map": { "$retainKeys": ["l"] } }), "/map", json!({ "l": "w" })),
            (json!({ "map": { "$patch": "replace", "n": 1 } }), "/map", json!({ "n": 1 })),
            (json!({ "new": { "a": { "b": null, "c": 1 } } }), "/new", json!({ "a": { "c": 1 } })),
        ];
        for (patch, pointer, expected) in cases {
            let mut object = start.clone();
            merge(&schema, &mut object, &patch).unwrap();
            assert_eq!(object.pointer(pointer), Some(&expected), "{patch}");
        }
    }
}
