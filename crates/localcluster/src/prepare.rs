//! What every object passes before it is stored: identity, pruning, defaults, validation, generation.

use serde_json::{Map, Value, json};

use crate::kind::{Kind, Origin};
use crate::names;
use crate::scale;
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
    /// Whether the client sent the whole object in place of the stored one.
    pub(crate) replaces: bool,
    /// Whether it sent a patch.
    pub(crate) patches: bool,
    /// What a patch made of the object, before anything is dropped from it.
    pub(crate) patched: Option<Value>,
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

/// Checks that a body is of the kind. Bodies of built-in kinds may leave out `apiVersion` and `kind`.
pub(crate) fn check_type(kind: &Kind, object: &mut Value) -> ApiResult<()> {
    if kind.origin == Origin::Custom {
        check_custom_type(kind, object)?;
    }
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

fn check_custom_type(kind: &Kind, object: &Value) -> ApiResult<()> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, given) = (kind.api_version(), text("kind"));
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{object}' ({object})",
            kind.kind
        )));
    }
    if text("apiVersion") != version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({version})",
            text("apiVersion")
        )));
    }
    if given != kind.kind {
        let cause = Cause::invalid("kind", &given.into(), format!("must be {}", kind.kind));
        return Err(ApiError::invalid_of(given, &kind.group, meta(object, "name"), &[cause]));
    }
    Ok(())
}

/// A new object's side products.
pub(crate) struct Created {
    pub(crate) warnings: Vec<String>,
    /// The object with its defaults, before the server adds what is its own.
    pub(crate) sent: Value,
}

/// Makes a new object of what a client sent.
pub(crate) fn create(
    kind: &Kind,
    object: &mut Value,
    namespace: &str,
    name: Option<&str>,
    around: &Circumstances,
) -> ApiResult<Created> {
    if !meta(object, "resourceVersion").is_empty() {
        return Err(ApiError::unforeseen("resourceVersion should not be set on objects to be created"));
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
    let mut warnings = shape(kind, object, around)?;
    warnings.extend(names::warnings(object));
    let sent = object.clone();
    let name = meta(object, "name").to_owned();
    if let Some(meta) = meta_mut(object) {
        meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
        meta.insert("creationTimestamp".into(), stamp(around.now).into());
        if kind.counts_generations {
            meta.insert("generation".into(), 1.into());
        }
    }
    let mut causes = if name.is_empty() {
        vec![Cause::required("metadata.name", "name or generateName is required")]
    } else {
        names::check_metadata(kind, object)
    };
    if kind.origin == Origin::BuiltIn {
        strategy::create(kind, object, around.now);
    }
    validate(kind, object, None, &mut causes);
    undecodable(kind, object, &causes, around)?;
    if causes.is_empty() {
        Ok(Created { warnings, sent })
    } else {
        Err(ApiError::invalid(kind, &name, &causes))
    }
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
    if around.replaces && meta(object, "name").is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    place(object, meta(old, "namespace"), Some(&name))?;
    let uid = meta(object, "uid");
    let foreign = !uid.is_empty() && uid != meta(old, "uid");
    if foreign && around.replaces {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta(old, "uid")
        );
        return Err(ApiError::conflict(kind, &name, &why));
    }
    if foreign {
        let cause = Cause::invalid("metadata.uid", &uid.into(), "field is immutable");
        return Err(ApiError::invalid(kind, &name, &[cause.clone(), cause]));
    }
    let version = meta(object, "resourceVersion");
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(ApiError::unforeseen(format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    }
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
    causes.extend(names::check_finalizers(kind, old, object));
    validate(kind, object, Some(old), &mut causes);
    undecodable(kind, object, &causes, around)?;
    if part == Part::Status {
        // The schema of the status is put to the status alone.
        for cause in &mut causes {
            if let Some(field) = cause.field.strip_prefix("status.") {
                cause.message =
                    cause.message.replace(&format!("{} in body", cause.field), &format!("{field} in body"));
            }
        }
    }
    if causes.is_empty() { Ok(warnings) } else { Err(ApiError::invalid(kind, &name, &causes)) }
}

/// Values of another type do not get as far as validation where the server decodes into its own types.
fn undecodable(kind: &Kind, object: &Value, causes: &[Cause], around: &Circumstances) -> ApiResult<()> {
    let Some(cause) = causes.iter().find(|cause| cause.reason == "FieldValueTypeInvalid") else {
        return Ok(());
    };
    if kind.origin == Origin::Custom {
        return Ok(());
    }
    let why = format!("{}: {}", cause.field, cause.message);
    Err(if around.patches {
        ApiError::invalid_patch(object, &why)
    } else {
        ApiError::bad_request(format!(
            "{0} in version {1:?} cannot be handled as a {0}: {why}",
            kind.kind, kind.version
        ))
    })
}

/// Schema, rules between fields, CEL.
fn validate(kind: &Kind, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut found = kind.schema.check(object);
    // Of these the checks of names speak in their own words.
    found.retain(|cause| !cause.field.starts_with("metadata.ownerReferences["));
    match kind.origin {
        Origin::Custom => {
            causes.extend(found);
            causes.extend(kind.scale.iter().filter_map(|paths| scale::check(paths, object)));
            let rules = kind.schema.check_rules(object, old, causes);
            causes.extend(rules);
        }
        Origin::BuiltIn => {
            let wrong_type = found.iter().any(|cause| cause.reason == "FieldValueTypeInvalid");
            // So do the rules between fields of duplicate containers and of what is required.
            found.retain(|c| !(c.reason == "FieldValueDuplicate" && c.field.contains("containers[")));
            if !wrong_type {
                let rules = strategy::check(kind, object, old);
                found.retain(|cause| rules.iter().all(|rule| rule.field != cause.field));
                causes.extend(rules);
            }
            causes.extend(found);
        }
    }
}

/// Puts the object where the path says, and refuses one that says otherwise.
fn place(object: &mut Value, namespace: &str, name: Option<&str>) -> ApiResult<()> {
    let given = meta(object, "namespace");
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
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
    schema::whole_numbers(object);
    kind.schema.decode(object);
    if kind.origin == Origin::BuiltIn {
        strategy::normalize(kind, object);
    }
    let mut unknown = kind.schema.prune(object);
    unknown.sort_unstable();
    kind.schema.default(object);
    if kind.origin == Origin::BuiltIn {
        strategy::default(kind, object);
    }
    let texts: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match around.unknown_fields {
        FieldValidation::Strict if !texts.is_empty() => {
            let why = format!("strict decoding error: {}", texts.join(", "));
            match &around.patched {
                Some(patched) => Err(ApiError::invalid_patch(patched, &why)),
                None => Err(ApiError::bad_request(format!(
                    "{0} in version {1:?} cannot be handled as a {0}: {why}",
                    kind.kind, kind.version
                ))),
            }
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
