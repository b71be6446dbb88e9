//! `metadata.managedFields`: which manager owns which field.

use serde_json::{Value, json};

use crate::builtin;
use crate::fields::FieldSet;
use crate::kind::Kind;

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One manager's entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) time: String,
    pub(crate) subresource: String,
    pub(crate) fields: FieldSet,
}

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) manager: String,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: String,
}

impl Entry {
    pub(crate) fn is_of(&self, author: &Author, operation: Operation) -> bool {
        self.operation == operation
            && self.manager == author.manager
            && self.subresource == author.subresource
    }
}

/// The entries of an object.
pub(crate) fn read(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let text =
        |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    list.into_iter()
        .flatten()
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            operation: if text(entry, "operation") == "Apply" { Operation::Apply } else { Operation::Update },
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            subresource: text(entry, "subresource"),
            fields: entry.get("fieldsV1").map(FieldSet::from_json).unwrap_or_default(),
        })
        .collect()
}

/// Writes the entries; those without fields are left out.
pub(crate) fn write(object: &mut Value, entries: &[Entry]) {
    let list: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.is_empty())
        .map(|entry| {
            let mut json = json!({
                "manager": entry.manager,
                "operation": entry.operation.name(),
                "apiVersion": entry.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.fields.to_json(),
            });
            if !entry.time.is_empty() {
                json["time"] = entry.time.clone().into();
            }
            if !entry.subresource.is_empty() {
                json["subresource"] = entry.subresource.clone().into();
            }
            json
        })
        .collect();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if list.is_empty() {
            meta.shift_remove("managedFields");
        } else {
            meta.insert("managedFields".into(), list.into());
        }
    }
}

/// Fields of an object that managers own: all but identity and what the server sets.
pub(crate) fn tracked(mut set: FieldSet) -> FieldSet {
    set = set.without_top(&["f:apiVersion", "f:kind"]);
    let hollow = set.child_mut("f:metadata").is_some_and(|meta| {
        meta.retain_children(|element| {
            matches!(
                element,
                "f:labels" | "f:annotations" | "f:finalizers" | "f:generateName" | "f:ownerReferences"
            )
        });
        meta.disown();
        meta.is_empty()
    });
    if hollow {
        set.drop_child("f:metadata");
    }
    set
}

/// Records a create in `new`: what was `sent`, with its defaults, but without what the server adds. Members that an
/// object of the kind has without any content are there before they are written, and so are owned by nobody.
pub(crate) fn record_create(kind: &Kind, sent: &Value, new: &mut Value, author: &Author) {
    let fields = tracked(FieldSet::changed(kind.schema.root(), Some(&builtin::empty(kind)), sent));
    write(new, &[new_entry(author, Operation::Update, fields)]);
}

/// Records a replace or patch in `new`, whose entries are taken from `old`.
pub(crate) fn record_update(kind: &Kind, old: &Value, new: &mut Value, author: &Author) {
    let schema = kind.schema.root();
    let mut entries = read(old);
    let changed = tracked(FieldSet::changed(schema, Some(old), new));
    let mut gone = tracked(FieldSet::whole(schema, old));
    gone.subtract(&tracked(FieldSet::whole(schema, new)));
    for entry in &mut entries {
        entry.fields.subtract(&gone);
    }
    for entry in entries.iter_mut().filter(|entry| !entry.is_of(author, Operation::Update)) {
        entry.fields.subtract(&changed);
    }
    if !changed.is_empty() {
        match entries.iter_mut().find(|entry| entry.is_of(author, Operation::Update)) {
            Some(mine) => {
                mine.fields.union(&changed);
                mine.time.clone_from(&author.time);
                mine.api_version.clone_from(&author.api_version);
            }
            None => entries.push(new_entry(author, Operation::Update, changed)),
        }
    }
    write(new, &entries);
}

pub(crate) fn new_entry(author: &Author, operation: Operation, fields: FieldSet) -> Entry {
    Entry {
        manager: author.manager.clone(),
        operation,
        api_version: author.api_version.clone(),
        time: author.time.clone(),
        subresource: author.subresource.clone(),
        fields,
    }
}
