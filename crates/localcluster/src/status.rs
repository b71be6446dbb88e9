//! Failures as the API tells them: `Status` objects with code, reason and causes.

use serde_json::{Value, json};

use crate::kind::Kind;

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

/// A value as an error message shows it: compact, and cut so that one bad object cannot fill a screen.
fn brief(value: &Value) -> String {
    const MOST: usize = 240;
    let text = match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain("…\"".chars()).collect() }
}

/// A failure on its way to the client.
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
        self.details = json!({ "name": name, "group": kind.group, "kind": kind.plural });
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

    pub(crate) fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = json!({});
        error
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.qualified())).about(kind, name)
    }

    pub(crate) fn method_not_allowed(method: &http::Method) -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            format!("the server does not allow the method {method} on the requested resource"),
        )
    }

    pub(crate) fn not_acceptable(accept: &str) -> Self {
        let text = format!("only application/json can be served, not {accept}");
        Self::new(406, "NotAcceptable", text)
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.qualified()))
            .about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified());
        Self::new(409, "Conflict", text).about(kind, name)
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
        let list: Vec<String> =
            causes.iter().map(|(manager, field)| format!("conflict with {manager}: {field}")).collect();
        let text =
            format!("Apply failed with {} conflict{}: {}", list.len(), plural(list.len()), list.join(", "));
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

    pub(crate) fn unsupported_media(content_type: &str, known: &str) -> Self {
        let text = format!("the body of the request was in {content_type:?}; this server accepts {known}");
        Self::new(415, "UnsupportedMediaType", text)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(Cause::text).collect();
        let list = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let mut error =
            Self::new(422, "Invalid", format!("{} {name:?} is invalid: {list}", kind.qualified_kind()));
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect();
        error.details = json!({ "name": name, "group": kind.group, "kind": kind.kind, "causes": causes });
        error
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
        self.details = json!({
            "name": name, "group": kind.group, "kind": kind.plural,
            "causes": [{ "reason": reason, "message": message, "field": field }],
        });
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
            "reason": self.reason,
            "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
