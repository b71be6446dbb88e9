//! What GitHub and Gitea have in common: `/repos/{owner}/{repo}/pulls`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, State};

pub(super) fn path(repository: &str) -> String {
    format!("/repos/{repository}/pulls")
}

pub(super) fn open(repository: &str, body: Value) -> Ask {
    Ask { method: Method::POST, path: path(repository), query: Vec::new(), body: Some(body) }
}

pub(super) fn close(repository: &str, number: i64) -> Ask {
    let path = format!("{}/{number}", path(repository));
    Ask { method: Method::PATCH, path, query: Vec::new(), body: Some(json!({"state": "closed"})) }
}

/// They tell in different ways that something was merged.
pub(super) fn read(found: &Value, is_merged: bool) -> Option<PullRequest> {
    let state = match (found.get("state")?.as_str()?, is_merged) {
        (_, true) => State::Merged,
        ("open", _) => State::Open,
        _ => State::Closed,
    };
    Some(PullRequest {
        number: found.get("number")?.as_i64()?,
        url: found.get("html_url")?.as_str()?.to_owned(),
        state,
    })
}
