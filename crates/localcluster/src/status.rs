//! Failures as the API tells them: `Status` objects with code, reason and causes.

use serde_json::{Value, json};

use crate::kind::Kind;

const NO_SUCH_PATH: &str = "404 page not found\n";

/// Result of everything that answers a request.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// One refused field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, …
    pub(crate) reason: &'static str,
    /// Text without the field's name.
    pub(crate) message: String,
    /// Path such as `spec.replicas`.
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: impl AsRef<str>) -> Self {
        let message = format!("Invalid value: {}: {}", brief(value), why.as_ref());
        Self { reason: "FieldValueInvalid", message, field: field.into() }
    }

    /// A value of another type than the schema's.
    pub(crate) fn wrong_type(field: impl Into<String>, value: &Value, why: impl AsRef<str>) -> Self {
        Self { reason: "FieldValueTypeInvalid", ..Self::invalid(field, value, why) }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: impl AsRef<str>) -> Self {
        let message = format!("Forbidden: {}", why.as_ref());
        Self { reason: "FieldValueForbidden", message, field: field.into() }
    }

    pub(crate) fn too_many(field: impl Into<String>, count: usize, most: u64, what: &str) -> Self {
        let message = format!("Too many: {count}: must have at most {most} {what}");
        Self { reason: "FieldValueTooMany", message, field: field.into() }
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, allowed: &[Value]) -> Self {
        let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        Self { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self { reason: "FieldValueDuplicate", message, field: field.into() }
    }

    fn text(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}

/// A value as an error message shows it: JSON, cut so that one bad object cannot fill a screen.
fn brief(value: &Value) -> String {
    const MOST: usize = 10_000;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain("…\"".chars()).collect() }
}

/// A failure on its way to the client. The API server has failures without a reason: 500 for what it did not foresee.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason} ({code}): {message}")]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    details: Value,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = details(name, &kind.group, &kind.plural);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// A path that the server knows nothing of; answered in plain text.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "", NO_SUCH_PATH)
    }

    /// The answer's text, where it is no `Status`.
    pub(crate) fn plain_text(&self) -> Option<&str> {
        (self.code == 404 && self.reason.is_empty()).then_some(NO_SUCH_PATH)
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.qualified())).about(kind, name)
    }

    /// `action` in the words of the API: `create`, `delete`, `update`.
    pub(crate) fn method_not_allowed(kind: &Kind, action: &str) -> Self {
        let text = format!("{action} is not supported on resources of kind {:?}", kind.qualified());
        let mut error = Self::new(405, "MethodNotAllowed", text);
        error.details = details("", &kind.group, &kind.plural);
        error
    }

    pub(crate) fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.qualified()))
            .about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified());
        Self::new(409, "Conflict", text).about(kind, name)
    }

    /// A deletion that was meant for another state of the object; told of the kind, not of the resource.
    pub(crate) fn failed_precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified_kind());
        let mut error = Self::new(409, "Conflict", text);
        error.details = details(name, &kind.group, &kind.kind);
        error
    }

    pub(crate) fn stale(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// A server-side apply that would take fields from other managers.
    pub(crate) fn apply_conflict(causes: &[(String, String)]) -> Self {
        let text = if let [(manager, field)] = causes {
            format!("Apply failed with 1 conflict: conflict with {manager}: {field}")
        } else {
            let mut managers: Vec<&str> = causes.iter().map(|(manager, _)| manager.as_str()).collect();
            managers.sort_unstable();
            managers.dedup();
            let mut lines = Vec::new();
            for manager in managers {
                lines.push(format!("conflicts with {manager}:"));
                let fields = causes.iter().filter(|(of, _)| of == manager);
                lines.extend(fields.map(|(_, field)| format!("- {field}")));
            }
            format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
        };
        let causes: Vec<Value> = causes
            .iter()
            .map(|(manager, field)| {
                json!({ "reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field })
            })
            .collect();
        let mut error = Self::new(409, "Conflict", text);
        error.details = json!({ "causes": causes });
        error
    }

    /// History no longer reaches back to the version asked for.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("the request body is larger than {limit} bytes"))
    }

    pub(crate) fn unsupported_media(known: &str) -> Self {
        let text = format!(
            "the body of the request was in an unknown format - accepted media types include: {known}"
        );
        Self::new(415, "UnsupportedMediaType", text)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_of(&kind.kind, &kind.group, name, causes)
    }

    /// Parameters of a request that contradict each other; `options` is `PatchOptions` or its like.
    pub(crate) fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        Self::invalid_of(options, "meta.k8s.io", "", causes)
    }

    /// A patch whose result is not an object of the kind.
    pub(crate) fn invalid_patch(object: &Value, why: &str) -> Self {
        let mut object = object.clone();
        object.sort_all_objects();
        let shown = Value::from(object.to_string());
        Self::invalid_of("", "", "", &[Cause::invalid("patch", &shown, why)])
    }

    pub(crate) fn invalid_of(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for text in causes.iter().map(Cause::text) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let list = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut error = Self::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {list}"));
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect();
        error.details = details(name, group, kind);
        error.details["causes"] = causes.into();
        error
    }

    /// A patch that does not fit the object. The API server does not say which operation failed.
    pub(crate) fn rejected_patch() -> Self {
        let mut error = Self::unprocessable("the server rejected our request due to an error in our request");
        error.details = json!({});
        error
    }

    /// What the API server answers with 500 and without a reason.
    pub(crate) fn unforeseen(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// A refusal that no single field explains: a patch that does not fit, an admission rule.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// Something that Kubernetes has and this server leaves out on purpose.
    pub(crate) fn left_out(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("{what} is not part of this local API server"))
    }

    pub(crate) fn future_version(asked: u64, current: u64) -> Self {
        let mut error =
            Self::new(504, "Timeout", format!("Too large resource version: {asked}, current: {current}"));
        error.details = json!({
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
            "retryAfterSeconds": 1,
        });
        error
    }

    /// Adds a cause that has no field, such as `NamespaceTerminating`.
    pub(crate) fn with_cause(
        mut self,
        kind: &Kind,
        name: &str,
        reason: &str,
        message: &str,
        field: &str,
    ) -> Self {
        self.details = details(name, &kind.group, &kind.plural);
        self.details["causes"] = json!([{ "reason": reason, "message": message, "field": field }]);
        self
    }

    /// The `Status` object of the answer.
    pub(crate) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

/// Details of a `Status`, without what is empty.
pub(crate) fn details(name: &str, group: &str, kind: &str) -> Value {
    let named = [("name", name), ("group", group), ("kind", kind)].into_iter();
    named
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), Value::from(text)))
        .collect()
}
