//! Get and list.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::core::{Answer, Core};
use crate::form::Form;
use crate::kind::Origin;
use crate::prepare::meta;
use crate::selector::Filter;
use crate::status::{ApiError, ApiResult, Cause};

impl Core {
    pub(crate) fn get(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let form = Form::of(call)?;
        let (_, object) = self.find(target)?;
        let shown = target.kind.present(&object);
        Ok(Answer::ok(form.one(&target.kind, shown, (self.now)())))
    }

    pub(crate) fn list(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let kind = &target.kind;
        let form = Form::of(call)?;
        let filter = Filter::parse(kind, call.query("labelSelector"), call.query("fieldSelector"))?;
        let snapshot = self.store.list(&kind.store, target.namespace.as_deref());
        check_match(call)?;
        check_version(call, snapshot.version)?;

        let after = call.query("continue").map(decode_token).transpose()?;
        let limit = match call.query("limit") {
            None => 0,
            Some(text) => {
                let limit: i64 = text.parse().map_err(|_| {
                    ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
                })?;
                usize::try_from(limit).unwrap_or(0)
            }
        };
        let mut rest = snapshot
            .objects
            .iter()
            .filter(|object| after.as_ref().is_none_or(|after| place(object) > *after))
            .map(|object| kind.present(object))
            .filter(|object| filter.keeps(object));
        let mut items: Vec<Value> = Vec::new();
        let mut metadata = json!({ "resourceVersion": snapshot.version.to_string() });
        if kind.origin == Origin::Custom && form == Form::Whole {
            metadata["continue"] = "".into();
        }
        if limit > 0 {
            items.extend(rest.by_ref().take(limit));
            let left = rest.count();
            if left > 0 {
                if let Some(last) = items.last() {
                    metadata["continue"] = encode_token(&place(last)).into();
                }
                if filter.keeps_all() {
                    metadata["remainingItemCount"] = left.into();
                }
            }
        } else {
            items.extend(rest);
        }
        Ok(Answer::ok(form.many(kind, items, metadata, (self.now)())))
    }
}

/// Position of an object in its shelf.
fn place(object: &Value) -> (String, String) {
    (meta(object, "namespace").to_owned(), meta(object, "name").to_owned())
}

fn encode_token(place: &(String, String)) -> String {
    URL_SAFE_NO_PAD.encode(json!([place.0, place.1]).to_string())
}

fn decode_token(token: &str) -> ApiResult<(String, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| ApiError::bad_request("continue key is not valid"))
}

/// What is said of a version that is not a number.
pub(crate) fn not_a_version(text: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
}

/// Parameters of a version that make no sense without each other.
fn check_match(call: &Call) -> ApiResult<()> {
    let field = "resourceVersionMatch";
    let cause = match call.query(field) {
        None => return Ok(()),
        Some(_) if call.query("resourceVersion").is_none() => {
            Cause::forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        Some("Exact" | "NotOlderThan") => return Ok(()),
        Some(other) => {
            Cause::unsupported(field, &other.into(), &["Exact", "NotOlderThan", ""].map(Value::from))
        }
    };
    Err(ApiError::invalid_options("ListOptions", &[cause]))
}

/// Versions that the list may be asked for: any older one as a lower bound, none of the future.
fn check_version(call: &Call, current: u64) -> ApiResult<()> {
    let Some(text) = call.query("resourceVersion") else { return Ok(()) };
    let asked: u64 = text
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid resource version: {}", not_a_version(text))))?;
    if asked > current {
        return Err(ApiError::future_version(asked, current));
    }
    if call.query("resourceVersionMatch") == Some("Exact") && asked != current {
        return Err(ApiError::expired(format!(
            "The provided resource version {asked} is no longer available"
        )));
    }
    Ok(())
}
