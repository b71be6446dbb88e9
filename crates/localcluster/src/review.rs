//! Reviews of rights: whoever has a token may do everything that the admission rules allow.

use http::Method;
use serde_json::{Value, json};

use crate::call::Call;
use crate::core::Answer;
use crate::status::{ApiError, ApiResult};

/// Answers a POST of one of the review kinds.
pub(crate) fn answer(call: &Call, rest: &[&str]) -> ApiResult<Answer> {
    if call.method != Method::POST {
        return Err(ApiError::no_such_path());
    }
    let mut review = call.object()?;
    review["status"] = match rest {
        ["selfsubjectaccessreviews" | "subjectaccessreviews"] | ["namespaces", _, "localsubjectaccessreviews"] => {
            json!({ "allowed": true, "reason": "a token of this local API server grants everything" })
        }
        ["selfsubjectrulesreviews"] => json!({
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false,
        }),
        ["selfsubjectreviews"] => {
            json!({ "userInfo": { "username": call.user.name, "groups": call.user.groups } })
        }
        ["tokenreviews"] => return Err(ApiError::left_out("tokenreviews")),
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(Answer::Json { code: 201, body: Value::take(&mut review), warnings: Vec::new() })
}
