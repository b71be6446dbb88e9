//! The form in which a client wants objects: whole, metadata only, or as a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::kind::{Kind, Origin};
use crate::status::{ApiError, ApiResult};
use crate::table;

/// How much of the object a table row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// What the `Accept` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
    Table(Include),
}

impl Form {
    /// Takes the first form of the header that can be served.
    pub(crate) fn of(call: &Call) -> ApiResult<Self> {
        if call.accept.is_empty() {
            return Ok(Self::Whole);
        }
        for choice in call.accept.split(',').map(str::trim) {
            let mut parts = choice.split(';').map(str::trim);
            if !matches!(parts.next(), Some("application/json" | "*/*" | "application/*")) {
                continue;
            }
            let form = parts.find_map(|part| part.strip_prefix("as="));
            match form {
                None => return Ok(Self::Whole),
                Some("Table") if choice.contains("v=v1") && !choice.contains("v1beta1") => {
                    let include = match call.query("includeObject") {
                        Some("None") => Include::None,
                        Some("Object") => Include::Object,
                        _ => Include::Metadata,
                    };
                    return Ok(Self::Table(include));
                }
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => return Ok(Self::Metadata),
                Some(_) => {}
            }
        }
        Err(ApiError::not_acceptable())
    }

    /// One object.
    pub(crate) fn one(self, kind: &Kind, object: Value, now: Timestamp) -> Value {
        match self {
            Self::Whole => object,
            Self::Metadata => partial(&object),
            Self::Table(include) => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                table::table(kind, &[object], &metadata, include, now)
            }
        }
    }

    /// A list.
    pub(crate) fn many(self, kind: &Kind, items: Vec<Value>, metadata: Value, now: Timestamp) -> Value {
        match self {
            Self::Whole => json!({
                "kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": metadata,
                "items": in_list(kind, items),
            }),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": items.iter().map(partial).collect::<Vec<Value>>(),
            }),
            Self::Table(include) => table::table(kind, &items, &metadata, include, now),
        }
    }
}

/// Items of a list; those of built-in kinds leave out what the list says already.
pub(crate) fn in_list(kind: &Kind, mut items: Vec<Value>) -> Vec<Value> {
    if kind.origin == Origin::BuiltIn {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.shift_remove("kind");
            item.shift_remove("apiVersion");
        }
    }
    items
}

/// An object's metadata as `PartialObjectMetadata`.
pub(crate) fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}
