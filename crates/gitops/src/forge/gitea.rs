//! Gitea and Forgejo: API v1, `/repos/{owner}/{repo}/pulls`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, pulls};

pub(super) fn find(repository: &str, from: &str, into: &str) -> Ask {
    // The head is the rest of the path, slashes and all; the base is one segment.
    let base = into.replace('/', "%2F");
    Ask {
        method: Method::GET,
        path: format!("{}/{base}/{from}", pulls::path(repository)),
        query: Vec::new(),
        body: None,
    }
}

pub(super) fn open(repository: &str, from: &str, into: &str, title: &str, text: &str) -> Ask {
    pulls::open(repository, json!({"title": title, "head": from, "base": into, "body": text}))
}

pub(super) fn read(found: &Value) -> Option<PullRequest> {
    pulls::read(found, found.get("merged").and_then(Value::as_bool) == Some(true))
}
