//! `meta.k8s.io/v1` Tables, which `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::builtin;
use crate::form::{Include, partial};
use crate::jsonpath;
use crate::kind::{Column, Kind, Origin};

/// Description of the name's column, that of `metadata.name`.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A table of objects of one kind.
pub(crate) fn table(
    kind: &Kind,
    objects: &[Value],
    metadata: &Value,
    include: Include,
    now: Timestamp,
) -> Value {
    let mut columns: Vec<Value> = Vec::new();
    if kind.origin == Origin::Custom {
        columns.push(json!({ "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": NAME }));
    }
    columns.extend(kind.columns.iter().map(|column| {
        json!({ "name": column.name, "type": column.kind, "format": column.format, "priority": column.priority,
            "description": column.description })
    }));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = match kind.origin {
                Origin::BuiltIn => builtin::cells(kind, object, now),
                Origin::Custom => std::iter::once(object["metadata"]["name"].clone())
                    .chain(kind.columns.iter().map(|column| cell(column, object, now)))
                    .collect(),
            };
            let mut row = json!({ "cells": cells });
            match include {
                Include::None => {}
                Include::Metadata => row["object"] = partial(object),
                Include::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows })
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = jsonpath::find(&column.path, object);
    let Some(first) = found.first() else { return Value::Null };
    match column.kind.as_str() {
        "integer" => {
            first.as_i64().or_else(|| first.as_f64().map(|f| f as i64)).map_or(Value::Null, Value::from)
        }
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => age(first.as_str(), now).into(),
        _ if found.len() > 1 => found.iter().map(|value| plain(value)).collect::<Vec<_>>().join(",").into(),
        _ => plain(first).into(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(Value::to_string).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// Time since `then` as kubectl writes it: `45s`, `5m10s`, `3h20m`, `2d3h`, `40d`, `2y10d`.
pub(crate) fn age(then: Option<&str>, now: Timestamp) -> String {
    let Some(then) = then.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let seconds = now.as_second() - then.as_second();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |a: i64, unit: &str, b: i64, lesser: &str| {
        if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{lesser}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-05-10T12:00:00Z".parse().unwrap();
        let cases = [
            ("2026-05-10T11:59:15Z", "45s"),
            ("2026-05-10T11:54:50Z", "5m10s"),
            ("2026-05-10T11:00:00Z", "60m"),
            ("2026-05-10T08:40:00Z", "3h20m"),
            ("2026-05-08T09:00:00Z", "2d3h"),
            ("2026-05-10T12:00:05Z", "<invalid>"),
            ("2026-04-10T12:00:00Z", "30d"),
            ("2024-05-05T12:00:00Z", "2y5d"),
            ("x", "<unknown>"),
        ];
        for (then, expected) in cases {
            assert_eq!(age(Some(then), now), expected, "{then}");
        }
    }
}
