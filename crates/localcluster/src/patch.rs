//! The four kinds of patches.

use serde_json::Value;

use crate::call::Call;
use crate::kind::{Kind, Origin};
use crate::status::{ApiError, ApiResult};
use crate::strategic;

/// A parsed patch.
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

const KNOWN: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json (built-in kinds) and application/apply-patch+yaml";

impl Patch {
    /// Parses the body by its content type.
    pub(crate) fn parse(call: &Call, kind: &Kind) -> ApiResult<Self> {
        let content = call.content_type.split(';').next().unwrap_or_default().trim();
        match content {
            "application/json-patch+json" => {
                let patch = serde_json::from_slice(&call.body)
                    .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
                Ok(Self::Json(patch))
            }
            "application/merge-patch+json" => Ok(Self::Merge(call.object()?)),
            "application/strategic-merge-patch+json" if kind.origin == Origin::BuiltIn => {
                Ok(Self::Strategic(call.object()?))
            }
            "application/apply-patch+yaml" => Ok(Self::Apply(call.object()?)),
            other => Err(ApiError::unsupported_media(other, KNOWN)),
        }
    }
}

/// Runs a patch on an object as the client sees it.
pub(crate) fn run(patch: &Patch, kind: &Kind, shown: &Value) -> ApiResult<Value> {
    let mut object = shown.clone();
    match patch {
        Patch::Json(patch) => {
            json_patch::patch(&mut object, patch).map_err(|e| {
                ApiError::unprocessable(format!(
                    "the server rejected our request due to an error in our request: {e}"
                ))
            })?;
        }
        Patch::Merge(over) => json_patch::merge(&mut object, over),
        Patch::Strategic(over) => strategic::merge(kind.schema.root(), &mut object, over)?,
        Patch::Apply(_) => return Err(ApiError::internal("an apply is not run as a patch")),
    }
    if object.is_object() {
        Ok(object)
    } else {
        Err(ApiError::unprocessable("the patch does not leave an object"))
    }
}
