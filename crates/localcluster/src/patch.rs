//! The four kinds of patches.

use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
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

const KNOWN: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
const KNOWN_OF_BUILT_IN: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

impl Patch {
    /// Parses the body by its content type.
    pub(crate) fn parse(call: &Call, kind: &Kind) -> ApiResult<Self> {
        let content = call.content_type.split(';').next().unwrap_or_default().trim();
        match content {
            "application/json-patch+json" => {
                let steps: Vec<Value> = serde_json::from_slice(&call.body)
                    .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
                serde_json::from_value(steps.into()).map(Self::Json).map_err(|_| ApiError::rejected_patch())
            }
            "application/merge-patch+json" => Ok(Self::Merge(call.object()?)),
            "application/strategic-merge-patch+json" if kind.origin == Origin::BuiltIn => {
                Ok(Self::Strategic(call.object()?))
            }
            "application/apply-patch+yaml" => Ok(Self::Apply(call.object()?)),
            _ if kind.origin == Origin::BuiltIn => Err(ApiError::unsupported_media(KNOWN_OF_BUILT_IN)),
            _ => Err(ApiError::unsupported_media(KNOWN)),
        }
    }
}

/// One operation. To replace a member that is not there adds it, as in the API server.
fn step(object: &mut Value, operation: &PatchOperation) -> Result<(), json_patch::PatchError> {
    let absent = |replace: &ReplaceOperation| {
        let path = replace.path.as_str();
        let parent = path.rsplit_once('/').and_then(|(parent, _)| object.pointer(parent));
        parent.is_some_and(Value::is_object) && object.pointer(path).is_none()
    };
    match operation {
        PatchOperation::Replace(replace) if absent(replace) => {
            let add = AddOperation { path: replace.path.clone(), value: replace.value.clone() };
            json_patch::patch(object, &[PatchOperation::Add(add)])
        }
        other => json_patch::patch(object, std::slice::from_ref(other)),
    }
}

/// Runs a patch on an object as the client sees it.
pub(crate) fn run(patch: &Patch, kind: &Kind, shown: &Value) -> ApiResult<Value> {
    let mut object = shown.clone();
    match patch {
        Patch::Json(patch) => {
            for operation in &patch.0 {
                step(&mut object, operation).map_err(|_| ApiError::rejected_patch())?;
            }
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
