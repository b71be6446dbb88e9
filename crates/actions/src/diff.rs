//! The difference between two states of an object: as JSON Patch for the executor and as text for people.
//!
//! Every operation that replaces or removes is guarded by a `test` of the old value, so that a plan made for one state
//! fails by itself on another. Lists of equal length are compared item by item, and an item that has a name is guarded
//! by a `test` of it; other lists are replaced as a whole, so that no operation ever shifts the index of the next.

use serde_json::{Value, json};

use crate::reference::TargetRef;

/// Operations that lead from `before` to `after`.
pub fn operations(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    walk(before, after, &mut String::new(), &mut operations);
    operations
}

fn walk(before: &Value, after: &Value, path: &mut String, out: &mut Vec<Value>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                at(path, key, |path| match new.get(key) {
                    Some(next) => walk(value, next, path, out),
                    None => {
                        out.push(json!({"op": "test", "path": path, "value": value}));
                        out.push(json!({"op": "remove", "path": path}));
                    }
                });
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                at(path, key, |path| out.push(json!({"op": "add", "path": path, "value": value})));
            }
        }
        (Value::Array(old), Value::Array(new)) if same_items(old, new) => {
            for (index, (value, next)) in old.iter().zip(new).enumerate().filter(|(_, (a, b))| a != b) {
                at(path, &index.to_string(), |path| {
                    if let Some(name) = value.get("name") {
                        out.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
                    }
                    walk(value, next, path, out);
                });
            }
        }
        _ => {
            out.push(json!({"op": "test", "path": path.as_str(), "value": before}));
            out.push(json!({"op": "replace", "path": path.as_str(), "value": after}));
        }
    }
}

/// Runs `then` with `key` appended to the JSON pointer (RFC 6901 escapes), and takes it off again.
fn at(path: &mut String, key: &str, then: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    then(path);
    path.truncate(length);
}

/// Whether two lists hold the same items in the same places, by name where they have one.
fn same_items(old: &[Value], new: &[Value]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.get("name") == b.get("name"))
}

/// The difference as indented text: the object's name, the way to each change, and `-`/`+` lines.
pub fn render(target: &TargetRef, before: &Value, after: &Value) -> String {
    let mut text = format!("{target}\n");
    render_into(before, after, 1, &mut text);
    text
}

fn render_into(before: &Value, after: &Value, depth: usize, out: &mut String) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old.iter().filter(|(key, value)| new.get(*key) != Some(*value)) {
                match new.get(key) {
                    Some(next) if nested(value, next) => {
                        line(' ', depth, &format!("{}:", printable(key)), out);
                        render_into(value, next, depth + 1, out);
                    }
                    Some(next) => {
                        field('-', depth, key, value, out);
                        field('+', depth, key, next, out);
                    }
                    None => field('-', depth, key, value, out),
                }
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                field('+', depth, key, value, out);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (value, next)) in old.iter().zip(new).enumerate().filter(|(_, (a, b))| a != b) {
                let name = value.get("name").and_then(Value::as_str);
                let head =
                    name.map_or_else(|| format!("- [{index}]"), |n| format!("- name: {}", printable(n)));
                line(' ', depth, &head, out);
                if nested(value, next) {
                    render_into(value, next, depth + 1, out);
                } else {
                    line('-', depth + 1, &scalar(value), out);
                    line('+', depth + 1, &scalar(next), out);
                }
            }
        }
        _ => {}
    }
}

/// Whether the change is shown inside of the two values instead of as old and new.
fn nested(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) => true,
        (Value::Array(a), Value::Array(b)) => same_items(a, b),
        _ => false,
    }
}

fn field(sign: char, depth: usize, key: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            line(sign, depth, &format!("{}:", printable(key)), out);
            for (key, value) in map {
                field(sign, depth + 1, key, value, out);
            }
        }
        value => line(sign, depth, &format!("{}: {}", printable(key), scalar(value)), out),
    }
}

fn line(sign: char, depth: usize, text: &str, out: &mut String) {
    out.push(sign);
    out.push_str(&" ".repeat(depth * 2 - 1));
    out.push_str(text);
    out.push('\n');
}

fn scalar(value: &Value) -> String {
    printable(&value.to_string())
}

/// Text without control characters and without the marks that change the direction of writing.
pub fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(depth: u32) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c/~]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(depth, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~]{1,2}|name", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-c/~]{1,2}|name", value(2), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    fn apply(mut object: Value, operations: Vec<Value>) -> Option<Value> {
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(operations)).unwrap();
        json_patch::patch(&mut object, &patch).ok().map(|()| object)
    }

    proptest! {
        #[test]
        fn forth_and_back_restores(before in object(), after in object()) {
            let there = apply(before.clone(), operations(&before, &after)).unwrap();
            prop_assert_eq!(&there, &after);
            prop_assert_eq!(apply(there, operations(&after, &before)).unwrap(), before);
        }
    }

    #[test]
    fn a_changed_old_value_fails_the_patch() {
        let (before, after) = (json!({"data": {"NL": "2.1"}}), json!({"data": {"NL": "0.21"}}));
        let operations = operations(&before, &after);
        assert!(apply(json!({"data": {"NL": "9"}}), operations).is_none());
    }

    #[test]
    fn text_shows_the_way_and_both_values() {
        let target = TargetRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "shop".into(),
            name: "tax-rates".into(),
            uid: "u".into(),
        };
        let (before, after) = (
            json!({"data": {"NL": "2.1\u{202e}", "BE": "0.21"}}),
            json!({"data": {"NL": "0.21", "BE": "0.21"}}),
        );
        assert_eq!(
            render(&target, &before, &after),
            "ConfigMap/shop/tax-rates\n  data:\n-   NL: \"2.1\u{fffd}\"\n+   NL: \"0.21\"\n"
        );
    }
}
