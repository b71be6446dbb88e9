//! Answers without what differs from run to run: identities, versions, times, and what controllers write.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap());
static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap());

/// An object inside of a text, as a refused patch would have left it.
static OBJECT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"Invalid value: "\{\\".*\}": "#).unwrap());
/// Ages in tables.
static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d+s$").unwrap());
/// Versions inside of texts.
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(ResourceVersion in record \(|resourceVersion\\?":\\?")\d+"#).unwrap());

/// Brings an answer to the form in which answers are recorded and compared.
pub(crate) fn normal(answer: &Value, namespace: &str) -> Value {
    match answer {
        Value::Object(map) => {
            let kind = answer["kind"].as_str().unwrap_or_default();
            map.iter()
                .filter(|(key, _)| !(key.as_str() == "status" && written_by_controllers(kind)))
                .map(|(key, value)| (key.clone(), field(key, value, namespace)))
                .filter(|(_, value)| !value.is_null())
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| normal(item, namespace)).collect(),
        Value::String(text) => {
            let text = text.replace(namespace, "NAMESPACE");
            let text = OBJECT.replace_all(&text, "Invalid value: \"OBJECT\": ");
            let text = VERSION.replace_all(&text, "${1}VERSION");
            UID.replace_all(&TIME.replace_all(&text, "TIME"), "UID").into_owned().into()
        }
        other => other.clone(),
    }
}

fn written_by_controllers(kind: &str) -> bool {
    matches!(kind, "Deployment" | "ReplicaSet" | "Job" | "Namespace")
}

fn field(key: &str, value: &Value, namespace: &str) -> Value {
    match (key, value) {
        ("resourceVersion", Value::String(version)) if !version.is_empty() => "VERSION".into(),
        ("serverAddress", Value::String(address)) if !address.is_empty() => "ADDRESS".into(),
        ("continue", Value::String(token)) if !token.is_empty() => "TOKEN".into(),
        ("managedFields", Value::Array(entries)) => {
            let mut entries: Vec<Value> = entries
                .iter()
                .filter(|entry| entry["manager"] != "kube-controller-manager")
                .map(|entry| normal(entry, namespace))
                .collect();
            // Their order depends on whether a second went by between two writes.
            entries.sort_by_key(|entry| {
                [&entry["manager"], &entry["operation"], &entry["subresource"]].map(Value::to_string)
            });
            entries.into()
        }
        ("cells", Value::Array(cells)) => cells
            .iter()
            .map(|cell| match cell.as_str() {
                Some(text) if AGE.is_match(text) => "AGE".into(),
                _ => normal(cell, namespace),
            })
            .collect(),
        ("annotations", Value::Object(map)) => {
            let kept: serde_json::Map<String, Value> = map
                .iter()
                .filter(|(name, _)| *name != "deployment.kubernetes.io/revision")
                .map(|(name, value)| (name.clone(), normal(value, namespace)))
                .collect();
            if kept.is_empty() { Value::Null } else { kept.into() }
        }
        _ => normal(value, namespace),
    }
}

/// The places at which two normal answers differ: JSON pointer, expected, found.
pub(crate) fn compare(expected: &Value, found: &Value, at: &str, out: &mut Vec<(String, Value, Value)>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                compare(&expected[key], &found[key], &at, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &format!("{at}/{index}"), out);
            }
        }
        _ if expected == found => {}
        _ => out.push((at.to_owned(), expected.clone(), found.clone())),
    }
}
