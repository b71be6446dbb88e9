//! GitLab: API v4, `/projects/{id}/merge_requests`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, State};

/// A project is named by its path as one segment.
fn project(repository: &str) -> String {
    format!("/projects/{}/merge_requests", repository.replace('/', "%2F"))
}

pub(super) fn find(repository: &str, from: &str, into: &str) -> Ask {
    let query = vec![
        ("source_branch", from.to_owned()),
        ("target_branch", into.to_owned()),
        ("state", "all".to_owned()),
        ("order_by", "created_at".to_owned()),
        ("sort", "desc".to_owned()),
        ("per_page", "1".to_owned()),
    ];
    Ask { method: Method::GET, path: project(repository), query, body: None }
}

pub(super) fn open(repository: &str, from: &str, into: &str, title: &str, text: &str) -> Ask {
    let body = json!({"source_branch": from, "target_branch": into, "title": title, "description": text,
        "remove_source_branch": true});
    Ask { method: Method::POST, path: project(repository), query: Vec::new(), body: Some(body) }
}

pub(super) fn close(repository: &str, number: i64) -> Ask {
    let path = format!("{}/{number}", project(repository));
    Ask { method: Method::PUT, path, query: Vec::new(), body: Some(json!({"state_event": "close"})) }
}

pub(super) fn read(found: &Value) -> Option<PullRequest> {
    let state = match found.get("state")?.as_str()? {
        "merged" => State::Merged,
        "opened" | "locked" => State::Open,
        _ => State::Closed,
    };
    Some(PullRequest {
        number: found.get("iid")?.as_i64()?,
        url: found.get("web_url")?.as_str()?.to_owned(),
        state,
    })
}
