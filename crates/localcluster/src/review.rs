//! Reviews of rights: whoever has a token may do everything that the admission rules allow.

use http::Method;
use serde_json::{Value, json};

use crate::call::Call;
use crate::core::Answer;
use crate::status::{ApiError, ApiResult};

fn group_version(call: &Call) -> String {
    call.path.trim_start_matches("/apis/").split('/').take(2).collect::<Vec<&str>>().join("/")
}

fn kind(rest: &[&str]) -> &'static str {
    match rest.last() {
        Some(&"selfsubjectaccessreviews") => "SelfSubjectAccessReview",
        Some(&"subjectaccessreviews") => "SubjectAccessReview",
        Some(&"localsubjectaccessreviews") => "LocalSubjectAccessReview",
        Some(&"selfsubjectrulesreviews") => "SelfSubjectRulesReview",
        _ => "SelfSubjectReview",
    }
}

/// Answers a POST of one of the review kinds.
pub(crate) fn answer(call: &Call, rest: &[&str]) -> ApiResult<Answer> {
    if call.method != Method::POST {
        return Err(ApiError::no_such_path());
    }
    // The answer does not depend on the question, so that a body in protobuf, which kubectl sends here, may stay unread.
    let mut review = match call.object() {
        Err(error) if error.code == 415 => json!({ "apiVersion": group_version(call), "kind": kind(rest) }),
        read => read?,
    };
    review["status"] = match rest {
        ["selfsubjectaccessreviews" | "subjectaccessreviews"]
        | ["namespaces", _, "localsubjectaccessreviews"] => {
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
