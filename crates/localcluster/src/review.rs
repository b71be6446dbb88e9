//! Reviews of rights: whoever has a token may do everything that the admission rules allow, in all namespaces or in those
//! that the user is bound to.

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

/// About somebody else nothing is known, so that only what is asked of oneself can be refused.
fn allowed(call: &Call, review: &Value) -> Value {
    let namespace = review.pointer("/spec/resourceAttributes/namespace").and_then(Value::as_str);
    let asks_of_oneself = review.pointer("/spec/user").is_none();
    if asks_of_oneself && !call.user.may_act_in(namespace.filter(|name| !name.is_empty())) {
        return json!({ "allowed": false, "reason": "the token is bound to other namespaces" });
    }
    json!({ "allowed": true, "reason": "a token of this local API server grants everything" })
}

/// Answers a POST of one of the review kinds.
pub(crate) fn answer(call: &Call, rest: &[&str]) -> ApiResult<Answer> {
    if call.method != Method::POST {
        return Err(ApiError::no_such_path());
    }
    // For most users the answer does not depend on the question, so that a body in protobuf, which kubectl sends here,
    // may stay unread.
    let mut review = match call.object() {
        Err(error) if error.code == 415 && call.user.namespaces.is_none() => {
            json!({ "apiVersion": group_version(call), "kind": kind(rest) })
        }
        read => read?,
    };
    review["status"] = match rest {
        ["selfsubjectaccessreviews" | "subjectaccessreviews"]
        | ["namespaces", _, "localsubjectaccessreviews"] => allowed(call, &review),
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
