//! Server-side apply: merge by schema, ownership by manager, conflicts for fields of others.

use serde_json::{Map, Value};

use crate::fields::{FieldSet, ListKind, children, is_atomic_map, item_key, items, list_kind, member};
use crate::managed::{Author, Entry, Operation, new_entry, read, tracked, write};
use crate::status::{ApiError, ApiResult};

/// Whether fields of other managers may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    No,
    Yes,
}

/// Merges `applied` into `live` for `author` and records the ownership.
///
/// Fields that the author applied before and no longer sends are removed, unless somebody else owns them too.
pub(crate) fn apply(
    schema: &Value,
    live: Option<&Value>,
    applied: &Value,
    author: &Author,
    force: Force,
) -> ApiResult<Value> {
    let mut entries = live.map(read).unwrap_or_default();
    let wanted = tracked(FieldSet::of(schema, applied));
    let mut object = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));

    // What differs from the live object is taken from its other owners.
    let taken = tracked(FieldSet::changed(schema, live, &merged(schema, live, applied)));
    let conflicts = conflicts(&entries, &taken.intersect(&wanted), author);
    if !conflicts.is_empty() && force == Force::No {
        return Err(ApiError::apply_conflict(&conflicts));
    }
    for entry in entries.iter_mut().filter(|entry| !entry.is_of(author, Operation::Apply)) {
        entry.fields.subtract(&taken);
    }

    let earlier =
        entries.iter().find(|entry| entry.is_of(author, Operation::Apply)).map(|e| e.fields.clone());
    if let Some(mut gone) = earlier.clone() {
        gone.subtract(&wanted);
        for other in entries.iter().filter(|entry| !entry.is_of(author, Operation::Apply)) {
            gone.subtract(&other.fields);
        }
        gone.remove_from(schema, &mut object);
    }
    merge(schema, &mut object, applied);

    // A write that moves nothing but ownership leaves no time.
    let time = if live == Some(&object) { String::new() } else { author.time.clone() };
    match entries.iter_mut().find(|entry| entry.is_of(author, Operation::Apply)) {
        Some(mine) if earlier.as_ref() == Some(&wanted) && live == Some(&object) => {
            mine.api_version.clone_from(&author.api_version);
        }
        Some(mine) => {
            mine.fields = wanted;
            mine.time = time;
            mine.api_version.clone_from(&author.api_version);
        }
        None => entries.push(Entry { time, ..new_entry(author, Operation::Apply, wanted) }),
    }
    write(&mut object, &entries);
    Ok(object)
}

fn conflicts(entries: &[Entry], taken: &FieldSet, author: &Author) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_of(author, Operation::Apply)) {
        if entry.manager == author.manager && entry.subresource == author.subresource {
            continue;
        }
        let how = match (entry.operation, entry.subresource.as_str()) {
            (Operation::Apply, _) => format!("{:?}", entry.manager),
            (Operation::Update, "") => format!("{:?} using {}", entry.manager, entry.api_version),
            (Operation::Update, sub) => {
                format!("{:?} with subresource {sub:?} using {}", entry.manager, entry.api_version)
            }
        };
        found.extend(entry.fields.intersect(taken).paths().into_iter().map(|path| (how.clone(), path)));
    }
    found
}

fn merged(schema: &Value, live: Option<&Value>, applied: &Value) -> Value {
    let mut object = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    merge(schema, &mut object, applied);
    object
}

/// Lays `applied` over `live`: objects by member, keyed lists by item, everything else as a whole.
fn merge(schema: &Value, live: &mut Value, applied: &Value) {
    match (&mut *live, applied) {
        (Value::Object(map), Value::Object(over)) if !is_atomic_map(schema) => {
            for (key, value) in over {
                match map.get_mut(key) {
                    Some(child) => merge(member(schema, key), child, value),
                    None => {
                        map.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(list), Value::Array(over)) => match list_kind(schema) {
            kind @ (ListKind::Set | ListKind::Map(_))
                if children(schema, applied).is_some() || over.is_empty() =>
            {
                for item in over {
                    let id = item_key(&kind, schema, item);
                    match list.iter_mut().find(|known| item_key(&kind, schema, known) == id) {
                        Some(known) => merge(items(schema), known, item),
                        None => list.push(item.clone()),
                    }
                }
            }
            _ => list.clone_from(over),
        },
        (live, applied) => live.clone_from(applied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn author(manager: &str) -> Author {
        Author {
            manager: manager.into(),
            api_version: "v1".into(),
            subresource: String::new(),
            time: "t".into(),
        }
    }

    fn schema() -> Value {
        json!({ "properties": { "spec": { "properties": {
            "env": { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {} },
        }}}})
    }

    fn run(live: Option<&Value>, applied: &Value, manager: &str, force: Force) -> ApiResult<Value> {
        let mut applied = applied.clone();
        applied["metadata"] = json!({ "name": "x" });
        apply(&schema(), live, &applied, &author(manager), force)
    }

    #[test]
    fn two_managers_share_conflict_and_let_go() {
        let first = run(
            None,
            &json!({ "spec": { "a": 1, "env": [{ "name": "A", "value": "1" }] } }),
            "one",
            Force::No,
        )
        .unwrap();
        let both =
            run(Some(&first), &json!({ "spec": { "a": 1, "env": [{ "name": "B" }] } }), "two", Force::No)
                .unwrap();
        assert_eq!(both["spec"], json!({ "a": 1, "env": [{ "name": "A", "value": "1" }, { "name": "B" }] }));

        let refused = run(Some(&both), &json!({ "spec": { "a": 2 } }), "two", Force::No).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (409, "Apply failed with 1 conflict: conflict with \"one\": .spec.a")
        );
        let forced = run(Some(&both), &json!({ "spec": { "a": 2 } }), "two", Force::Yes).unwrap();
        assert_eq!(
            forced["spec"],
            json!({ "a": 2, "env": [{ "name": "A", "value": "1" }] }),
            "two let go of B"
        );

        let less = run(Some(&forced), &json!({ "spec": { "b": 1 } }), "one", Force::No).unwrap();
        assert_eq!(less["spec"], json!({ "a": 2, "b": 1 }), "one let go of A; a is two's by now");
    }
}
