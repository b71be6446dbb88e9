//! Gitea and Forgejo: API v1, `/repos/{owner}/{repo}/pulls`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, State};

pub(super) fn find(repository: &str, from: &str, into: &str) -> Ask {
    // The head is the rest of the path, slashes and all; the base is one segment.
    let base = into.replace('/', "%2F");
    Ask {
        method: Method::GET,
        path: format!("/repos/{repository}/pulls/{base}/{from}"),
        query: Vec::new(),
        body: None,
    }
}

pub(super) fn open(repository: &str, from: &str, into: &str, title: &str, text: &str) -> Ask {
    let body = json!({"title": title, "head": from, "base": into, "body": text});
    Ask {
        method: Method::POST,
        path: format!("/repos/{repository}/pulls"),
        query: Vec::new(),
        body: Some(body),
    }
}

pub(super) fn close(repository: &str, number: i64) -> Ask {
    let path = format!("/repos/{repository}/pulls/{number}");
    Ask { method: Method::PATCH, path, query: Vec::new(), body: Some(json!({"state": "closed"})) }
}

pub(super) fn read(found: &Value) -> Option<PullRequest> {
    let state =
        match (found.get("state")?.as_str()?, found.get("merged").and_then(Value::as_bool) == Some(true)) {
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
