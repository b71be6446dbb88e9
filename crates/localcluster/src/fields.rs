//! Sets of fields as `managedFields` records them, and the walks over objects that build and use them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

static NO_SCHEMA: Value = Value::Null;

/// A set of paths as a tree. `own` says that the node itself is in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    own: bool,
    children: BTreeMap<String, FieldSet>,
}

/// How a list's items are told apart.
pub(crate) enum ListKind<'a> {
    Atomic,
    Set,
    Map(Vec<&'a str>),
}

/// Schema of a member of an object; `Null` when unknown.
pub(crate) fn member<'a>(schema: &'a Value, key: &str) -> &'a Value {
    schema
        .get("properties")
        .and_then(|p| p.get(key))
        .or_else(|| schema.get("additionalProperties").filter(|e| e.is_object()))
        .unwrap_or(&NO_SCHEMA)
}

/// Schema of the items of a list.
pub(crate) fn items(schema: &Value) -> &Value {
    schema.get("items").unwrap_or(&NO_SCHEMA)
}

pub(crate) fn list_kind(schema: &Value) -> ListKind<'_> {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListKind::Map(keys.into_iter().flatten().filter_map(Value::as_str).collect())
        }
        _ => ListKind::Atomic,
    }
}

pub(crate) fn is_atomic_map(schema: &Value) -> bool {
    schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
}

/// The path element of a list item, such as `k:{"name":"web"}`.
pub(crate) fn item_key(kind: &ListKind<'_>, schema: &Value, item: &Value) -> Option<String> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Map(keys) => {
            let mut id: BTreeMap<&str, Value> = BTreeMap::new();
            for key in keys {
                let value = item.get(*key).or_else(|| member(items(schema), key).get("default"));
                if let Some(value) = value {
                    id.insert(key, value.clone());
                }
            }
            (!id.is_empty()).then(|| format!("k:{}", json!(id)))
        }
    }
}

/// Children of a value with their path elements and schemas; `None` for leaves and atomic values.
pub(crate) fn children<'s, 'v>(
    schema: &'s Value,
    value: &'v Value,
) -> Option<Vec<(String, &'s Value, &'v Value)>> {
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic_map(schema) => {
            Some(map.iter().map(|(key, child)| (format!("f:{key}"), member(schema, key), child)).collect())
        }
        Value::Array(list) if !list.is_empty() => {
            let kind = list_kind(schema);
            list.iter().map(|item| Some((item_key(&kind, schema, item)?, items(schema), item))).collect()
        }
        _ => None,
    }
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    /// All fields of a value.
    pub(crate) fn of(schema: &Value, value: &Value) -> Self {
        let mut set = Self::default();
        match children(schema, value) {
            None => set.own = true,
            Some(list) => {
                for (element, schema, child) in list {
                    let mut below = Self::of(schema, child);
                    below.own |= element.starts_with("k:");
                    set.children.insert(element, below);
                }
            }
        }
        set
    }

    /// Like [`FieldSet::of`], with every object and list on the way.
    pub(crate) fn whole(schema: &Value, value: &Value) -> Self {
        let mut set = Self { own: true, children: BTreeMap::new() };
        for (element, schema, child) in children(schema, value).into_iter().flatten() {
            set.children.insert(element, Self::whole(schema, child));
        }
        set
    }

    /// Fields of `new` that `old` has not, or has with another value.
    pub(crate) fn changed(schema: &Value, old: Option<&Value>, new: &Value) -> Self {
        let Some(old) = old else { return Self::whole(schema, new) };
        if old == new {
            return Self::default();
        }
        let empty = |value: &Value| {
            value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
        };
        let before = children(schema, old).or_else(|| empty(old).then(Vec::new));
        let (Some(before), Some(after)) = (before, children(schema, new)) else {
            return Self::whole(schema, new);
        };
        let before: BTreeMap<String, &Value> =
            before.into_iter().map(|(element, _, v)| (element, v)).collect();
        let mut set = Self::default();
        for (element, schema, child) in after {
            let earlier = before.get(&element).copied();
            let below = Self::changed(schema, earlier, child);
            if !below.is_empty() {
                set.children.insert(element, below);
            }
        }
        set
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.own |= other.own;
        for (element, below) in &other.children {
            self.children.entry(element.clone()).or_default().union(below);
        }
    }

    /// Takes the members of `other` out of this set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.own &= !other.own;
        for (element, below) in &other.children {
            if let Some(mine) = self.children.get_mut(element) {
                mine.subtract(below);
                if mine.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    /// Members of both sets.
    pub(crate) fn intersect(&self, other: &Self) -> Self {
        let mut both = Self { own: self.own && other.own, children: BTreeMap::new() };
        for (element, below) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                let common = below.intersect(theirs);
                if !common.is_empty() {
                    both.children.insert(element.clone(), common);
                }
            }
        }
        both
    }

    /// Leaves out children of the root.
    pub(crate) fn without_top(mut self, hidden: &[&str]) -> Self {
        self.children.retain(|element, _| !hidden.contains(&element.as_str()));
        self
    }

    pub(crate) fn child_mut(&mut self, element: &str) -> Option<&mut Self> {
        self.children.get_mut(element)
    }

    pub(crate) fn drop_child(&mut self, element: &str) {
        self.children.remove(element);
    }

    /// Takes the node itself out of the set.
    pub(crate) fn disown(&mut self) {
        self.own = false;
    }

    pub(crate) fn retain_children(&mut self, keep: impl Fn(&str) -> bool) {
        self.children.retain(|element, _| keep(element));
    }

    /// Paths of the members as text, such as `.spec.template.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    /// Members of a level come before what is below them.
    fn collect(&self, path: &str, out: &mut Vec<String>) {
        let members = self.children.iter().filter(|(_, below)| below.own);
        out.extend(members.map(|(element, _)| format!("{path}{}", step(element))));
        for (element, below) in &self.children {
            below.collect(&format!("{path}{}", step(element)), out);
        }
    }

    /// Removes the members from a value. List items go when they themselves are members.
    pub(crate) fn remove_from(&self, schema: &Value, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (element, below) in &self.children {
                    let Some(name) = element.strip_prefix("f:") else { continue };
                    let Some(child) = map.get_mut(name) else { continue };
                    if below.children.is_empty() {
                        map.shift_remove(name);
                    } else {
                        below.remove_from(member(schema, name), child);
                        let hollow = child.as_object().is_some_and(Map::is_empty)
                            || child.as_array().is_some_and(Vec::is_empty);
                        if hollow {
                            map.shift_remove(name);
                        }
                    }
                }
            }
            Value::Array(list) => {
                let kind = list_kind(schema);
                list.retain_mut(|item| {
                    let Some(below) = item_key(&kind, schema, item).and_then(|key| self.children.get(&key))
                    else {
                        return true;
                    };
                    if below.own {
                        return false;
                    }
                    below.remove_from(items(schema), item);
                    true
                });
            }
            _ => {}
        }
    }

    /// FieldsV1.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (element, below) in &self.children {
            map.insert(element.clone(), below.to_json());
        }
        Value::Object(map)
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        let Some(map) = value.as_object() else { return Self::default() };
        let mut set = Self { own: map.is_empty() || map.contains_key("."), children: BTreeMap::new() };
        for (element, below) in map.iter().filter(|(element, _)| *element != ".") {
            set.children.insert(element.clone(), Self::from_json(below));
        }
        set
    }
}

/// A path element as messages show it: `.image`, `[name="web"]`.
pub(crate) fn step(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => element.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema() -> Value {
        json!({ "properties": {
            "ports": { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": { "properties": { "protocol": { "default": "TCP" } } } },
            "tags": { "x-kubernetes-list-type": "set" },
            "list": {},
            "labels": { "additionalProperties": { "type": "string" } },
        }})
    }

    #[test]
    fn sets_survive_json() {
        let value = json!({ "ports": [{ "port": 80, "name": "web" }], "tags": ["a", "b"], "list": [1, 2],
            "labels": { "app": "x" }, "empty": {} });
        let set = FieldSet::of(&schema(), &value);
        assert_eq!(
            set.to_json(),
            json!({ "f:empty": {}, "f:labels": { "f:app": {} }, "f:list": {},
                "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {}, "f:port": {} } },
                "f:tags": { "v:\"a\"": {}, "v:\"b\"": {} } })
        );
        assert_eq!(FieldSet::from_json(&set.to_json()), set);
    }

    #[test]
    fn changes_name_only_what_differs() {
        let old = json!({ "ports": [{ "port": 80, "name": "web" }], "labels": { "app": "x" }, "list": [1] });
        let new = json!({ "ports": [{ "port": 80, "name": "www" }], "labels": { "app": "x", "b": "y" }, "list": [1] });
        let changed = FieldSet::changed(&schema(), Some(&old), &new);
        assert_eq!(changed.paths(), [".labels.b", ".ports[port=80,protocol=\"TCP\"].name"]);
    }

    #[test]
    fn removes_members() {
        let mut value = json!({ "ports": [{ "port": 80, "name": "a" }, { "port": 81 }], "labels": { "app": "x" }, "keep": 1 });
        let gone = json!({ "ports": [{ "port": 81 }], "labels": { "app": "x" } });
        FieldSet::of(&schema(), &gone).remove_from(&schema(), &mut value);
        assert_eq!(value, json!({ "ports": [{ "port": 80, "name": "a" }], "keep": 1 }));
    }

    /// Objects of the schema above, with every kind of list.
    fn objects() -> impl Strategy<Value = Value> {
        let ports = prop::collection::btree_map(1..5_i64, "[ab]{1,2}", 0..3);
        let tags = prop::collection::btree_set("[a-d]", 0..3);
        let labels = prop::collection::btree_map("[a-c]", "[xy]", 0..3);
        (ports, tags, labels, prop::collection::vec(0..3_i64, 0..3)).prop_map(
            |(ports, tags, labels, list)| {
                let ports: Vec<Value> =
                    ports.iter().map(|(port, name)| json!({ "port": port, "name": name })).collect();
                json!({ "ports": ports, "tags": tags, "labels": labels, "list": list })
            },
        )
    }

    proptest! {
        #[test]
        fn json_keeps_every_set(value in objects()) {
            let set = FieldSet::of(&schema(), &value);
            prop_assert_eq!(FieldSet::from_json(&set.to_json()), set);
        }

        #[test]
        fn what_is_unchanged_is_not_in_the_changes(old in objects(), new in objects()) {
            let all = FieldSet::whole(&schema(), &new);
            let changed = FieldSet::changed(&schema(), Some(&old), &new);
            prop_assert_eq!(&changed.intersect(&all), &changed, "changes are fields of the new object");
            prop_assert!(FieldSet::changed(&schema(), Some(&new), &new).is_empty());
            let mut rest = all.clone();
            rest.subtract(&changed);
            rest.union(&changed);
            prop_assert_eq!(rest, all);
        }

        #[test]
        fn removing_all_fields_leaves_nothing(value in objects()) {
            let mut left = value.clone();
            FieldSet::of(&schema(), &value).remove_from(&schema(), &mut left);
            prop_assert_eq!(left, json!({}));
        }
    }
}
