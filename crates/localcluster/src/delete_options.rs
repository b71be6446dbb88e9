//! Options of a deletion.

use serde_json::Value;

use crate::call::Call;
use crate::core::rehearsed;
use crate::status::{ApiError, ApiResult, Cause};

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a deletion was asked to do.
pub(crate) struct Options {
    pub(crate) propagation: Propagation,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) rehearsed: bool,
}

impl Options {
    /// From the body, or from the parameters.
    pub(crate) fn parse(call: &Call) -> ApiResult<Self> {
        Self::of(&call.parse_body()?, call)
    }

    /// From the `deleteOptions` of an Eviction, or from the parameters.
    pub(crate) fn of_eviction(call: &Call) -> ApiResult<Self> {
        let body = call.parse_body()?;
        Self::of(body.get("deleteOptions").unwrap_or(&Value::Null), call)
    }

    fn of(body: &Value, call: &Call) -> ApiResult<Self> {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let policy =
            text("/propagationPolicy").or_else(|| call.query("propagationPolicy").map(str::to_owned));
        if let (Some(policy), true) = (&policy, body.get("orphanDependents").is_some_and(Value::is_boolean)) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let cause = Cause::invalid("propagationPolicy", &policy.as_str().into(), why);
            return Err(ApiError::invalid_options("DeleteOptions", &[cause]));
        }
        let propagation = match policy.as_deref() {
            None if body.get("orphanDependents") == Some(&Value::Bool(true)) => Propagation::Orphan,
            None | Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"].map(Value::from);
                let cause = Cause::unsupported("propagationPolicy", &other.into(), &known);
                return Err(ApiError::invalid_options("DeleteOptions", &[cause]));
            }
        };
        let dry = body.get("dryRun").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        Ok(Self {
            propagation,
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            rehearsed: dry || rehearsed(call)?,
        })
    }
}
