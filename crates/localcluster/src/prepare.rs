//! What every object passes before it is stored: identity, pruning, defaults, validation, generation.

use serde_json::{Map, Value, json};

use crate::builtin;
use crate::kind::{Kind, Origin};
use crate::names;
use crate::schema::{self, FieldValidation};
use crate::status::{ApiError, ApiResult, Cause};
use crate::strategy;

/// Fields of `metadata` that only the server writes.
const SERVER_FIELDS: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

/// Circumstances of a write.
pub(crate) struct Circumstances {
    pub(crate) now: jiff::Timestamp,
    pub(crate) unknown_fields: FieldValidation,
}

/// `2026-05-01T10:00:00Z`, the form of `metav1.Time`.
pub(crate) fn stamp(now: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn meta_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let map = object.as_object_mut()?;
    map.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
}

/// Checks that a body is of the kind, and fills in `apiVersion` and `kind`.
pub(crate) fn check_type(kind: &Kind, object: &mut Value) -> ApiResult<()> {
    for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        match object.get(field) {
            None | Some(Value::Null) => object[field] = expected.into(),
            Some(Value::String(given)) if *given == expected => {}
            Some(given) => {
                let what = if field == "kind" { "kind" } else { "API version" };
                return Err(ApiError::bad_request(format!(
                    "the {what} in the data ({}) does not match the expected {what} ({expected})",
                    given.as_str().unwrap_or("not a string")
                )));
            }
        }
    }
    if !matches!(object.get("metadata"), None | Some(Value::Object(_) | Value::Null)) {
        return Err(ApiError::bad_request("metadata must be an object"));
    }
    Ok(())
}

/// Makes a new object of what a client sent. Returns warnings.
pub(crate) fn create(
    kind: &Kind,
    object: &mut Value,
    namespace: &str,
    name: Option<&str>,
    around: &Circumstances,
) -> ApiResult<Vec<String>> {
    if !meta(object, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    place(object, namespace, name)?;
    // A node registers itself with what it knows about itself.
    if kind.status
        && kind.plural != "nodes"
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    if let Some(meta) = meta_mut(object) {
        for field in SERVER_FIELDS.iter().chain(&["resourceVersion"]) {
            meta.shift_remove(*field);
        }
        let generated = meta.get("generateName").and_then(Value::as_str).unwrap_or_default();
        let missing = meta.get("name").and_then(Value::as_str).unwrap_or_default().is_empty();
        if missing && !generated.is_empty() {
            let name = names::generate(generated);
            meta.insert("name".into(), name.into());
        }
    }
    let warnings = shape(kind, object, around)?;
    let name = meta(object, "name").to_owned();
    if name.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(ApiError::invalid(kind, "", &[cause]));
    }
    if let Some(meta) = meta_mut(object) {
        meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
        meta.insert("creationTimestamp".into(), stamp(around.now).into());
        if kind.counts_generations {
            meta.insert("generation".into(), 1.into());
        }
    }
    let mut causes = names::check_metadata(kind, object);
    if kind.origin == Origin::BuiltIn {
        strategy::create(kind, object, around.now);
    }
    causes.extend(kind.schema.validate(object, None));
    if kind.origin == Origin::BuiltIn && causes.is_empty() {
        causes.extend(strategy::check(kind, object, None));
    }
    if causes.is_empty() { Ok(warnings) } else { Err(ApiError::invalid(kind, &name, &causes)) }
}

/// Makes the next state of an object from what a client sent. Returns warnings.
pub(crate) fn update(
    kind: &Kind,
    old: &Value,
    object: &mut Value,
    part: Part,
    around: &Circumstances,
) -> ApiResult<Vec<String>> {
    let name = meta(old, "name").to_owned();
    place(object, meta(old, "namespace"), Some(&name))?;
    let uid = meta(object, "uid");
    if !uid.is_empty() && uid != meta(old, "uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta(old, "uid")
        );
        return Err(ApiError::conflict(kind, &name, &why));
    }
    let version = meta(object, "resourceVersion");
    if !version.is_empty() && version != "0" && version != meta(old, "resourceVersion") {
        return Err(ApiError::stale(kind, &name));
    }
    if part == Part::Status {
        let status = object.get("status").cloned();
        object.clone_from(old);
        replace(object, "status", status.as_ref());
    } else if kind.status {
        replace(object, "status", old.get("status"));
    }
    if let (Some(meta), Some(before)) = (meta_mut(object), old.get("metadata")) {
        for field in SERVER_FIELDS.iter().chain(&["resourceVersion", "generateName"]) {
            match before.get(*field) {
                Some(value) => meta.insert((*field).to_owned(), value.clone()),
                None => meta.shift_remove(*field),
            };
        }
    }
    let warnings = shape(kind, object, around)?;
    if kind.origin == Origin::BuiltIn {
        strategy::update(kind, old, object);
    }
    if kind.counts_generations && desired(kind, old) != desired(kind, object) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
        if let Some(meta) = meta_mut(object) {
            meta.insert("generation".into(), (generation + 1).into());
        }
    }
    let mut causes = names::check_metadata(kind, object);
    causes.extend(names::check_finalizers(old, object));
    causes.extend(kind.schema.validate(object, Some(old)));
    if kind.origin == Origin::BuiltIn && causes.is_empty() {
        causes.extend(strategy::check(kind, object, Some(old)));
    }
    if causes.is_empty() { Ok(warnings) } else { Err(ApiError::invalid(kind, &name, &causes)) }
}

/// Puts the object where the path says, and refuses one that says otherwise.
fn place(object: &mut Value, namespace: &str, name: Option<&str>) -> ApiResult<()> {
    let given = meta(object, "namespace");
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({given:?} is not {namespace:?})"
        )));
    }
    let given = meta(object, "name");
    if let Some(name) = name.filter(|name| !given.is_empty() && given != *name) {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    if let Some(meta) = meta_mut(object) {
        if namespace.is_empty() {
            meta.shift_remove("namespace");
        } else {
            meta.insert("namespace".into(), namespace.into());
        }
        if let Some(name) = name {
            meta.insert("name".into(), name.into());
        }
    }
    Ok(())
}

/// Pruning and defaults.
fn shape(kind: &Kind, object: &mut Value, around: &Circumstances) -> ApiResult<Vec<String>> {
    if kind.origin == Origin::BuiltIn {
        kind.schema.decode(object);
        strategy::normalize(kind, object);
    } else if let Some(metadata) = object.get_mut("metadata") {
        schema::decode(builtin::object_meta(), metadata);
    }
    let unknown = kind.schema.prune(object);
    kind.schema.default(object);
    if kind.origin == Origin::BuiltIn {
        strategy::default(kind, object);
    }
    let texts: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match around.unknown_fields {
        FieldValidation::Strict if !texts.is_empty() => {
            Err(ApiError::bad_request(format!("strict decoding error: {}", texts.join(", "))))
        }
        FieldValidation::Warn => Ok(texts),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Vec::new()),
    }
}

fn replace(object: &mut Value, field: &str, value: Option<&Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => map.insert(field.to_owned(), value.clone()),
            None => map.shift_remove(field),
        };
    }
}

/// The part of an object whose changes count as generations.
fn desired<'a>(kind: &Kind, object: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let mut fields: Vec<(&String, &Value)> = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| {
            *key != "metadata" && *key != "apiVersion" && *key != "kind" && !(kind.status && *key == "status")
        })
        .collect();
    fields.sort_by_key(|(key, _)| *key);
    fields
}
