//! The JSONPath of printer columns: members, indexes, `[*]`, and filters `[?(@.type=="Ready")]`.

use serde_json::Value;

/// All values that a path such as `.status.conditions[?(@.type=="Ready")].status` finds.
pub(crate) fn find<'a>(path: &str, object: &'a Value) -> Vec<&'a Value> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    let mut found = vec![object];
    for step in steps(path) {
        found = found.into_iter().flat_map(|value| take(&step, value)).collect();
    }
    found.retain(|value| !value.is_null());
    found
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(i64),
    All,
    Where { path: String, equal: bool, value: Value },
    Nothing,
}

fn take<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Member(name), Value::Object(map)) => map.get(name).into_iter().collect(),
        (Step::Index(index), Value::Array(list)) => {
            let at = if *index < 0 { *index + list.len() as i64 } else { *index };
            usize::try_from(at).ok().and_then(|at| list.get(at)).into_iter().collect()
        }
        (Step::All, Value::Array(list)) => list.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Where { path, equal, value: wanted }, Value::Array(list)) => list
            .iter()
            .filter(|item| (find(path, item).first().is_some_and(|found| *found == wanted)) == *equal)
            .collect(),
        _ => Vec::new(),
    }
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner);
            steps.push(bracket(&inner[..end]));
            rest = inner.get(end + 1..).unwrap_or_default();
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let mut name = String::new();
        let mut used = 0;
        let mut escaped = false;
        for c in rest.chars() {
            if !escaped && (c == '.' || c == '[') {
                break;
            }
            used += c.len_utf8();
            if !escaped && c == '\\' {
                escaped = true;
                continue;
            }
            escaped = false;
            name.push(c);
        }
        rest = &rest[used..];
        if name == "*" {
            steps.push(Step::All);
        } else if !name.is_empty() {
            steps.push(Step::Member(name));
        }
    }
    steps
}

/// Where the bracket that was opened before `text` closes, quotes respected.
fn closing(text: &str) -> usize {
    let mut quote = None;
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return at,
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn bracket(text: &str) -> Step {
    let text = text.trim();
    if text == "*" {
        return Step::All;
    }
    if let Ok(index) = text.parse() {
        return Step::Index(index);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let (path, equal, value) = match (filter.split_once("=="), filter.split_once("!=")) {
            (Some((path, value)), _) => (path, true, value),
            (None, Some((path, value))) => (path, false, value),
            (None, None) => return Step::Nothing,
        };
        let value = literal(value.trim());
        return Step::Where { path: path.trim().trim_start_matches('@').to_owned(), equal, value };
    }
    match literal(text) {
        Value::String(name) => Step::Member(name),
        _ => Step::Nothing,
    }
}

fn literal(text: &str) -> Value {
    let quoted = |mark: char| text.strip_prefix(mark).and_then(|t| t.strip_suffix(mark));
    match quoted('\'').or_else(|| quoted('"')) {
        Some(inner) => inner.into(),
        None => serde_json::from_str(text).unwrap_or(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let object = json!({ "metadata": { "labels": { "app.io/name": "x", "a": "b" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Other", "status": "False" }],
                "list": [1, 2, 3] } });
        let cases = [
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type != 'Ready')].status", json!(["False"])),
            (".status.list[0]", json!([1])),
            (".status.list[-1]", json!([3])),
            (".status.list[*]", json!([1, 2, 3])),
            (".metadata.labels['app.io/name']", json!(["x"])),
            (".metadata.labels.app\\.io/name", json!(["x"])),
            (".status.missing.deeper", json!([])),
            ("", json!([object.clone()])),
        ];
        for (path, expected) in cases {
            assert_eq!(json!(find(path, &object)), expected, "{path}");
        }
    }
}
