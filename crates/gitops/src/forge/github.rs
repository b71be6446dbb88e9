//! GitHub: REST API 2022-11-28, `/repos/{owner}/{repo}/pulls`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, State};

pub(super) fn find(repository: &str, from: &str, into: &str) -> Ask {
    let owner = repository.split('/').next().unwrap_or_default();
    let query = vec![
        // Branches of forks have the same names: the owner tells them apart.
        ("head", format!("{owner}:{from}")),
        ("base", into.to_owned()),
        ("state", "all".to_owned()),
        ("per_page", "1".to_owned()),
    ];
    Ask { method: Method::GET, path: format!("/repos/{repository}/pulls"), query, body: None }
}

pub(super) fn open(repository: &str, from: &str, into: &str, title: &str, text: &str) -> Ask {
    let body =
        json!({"title": title, "head": from, "base": into, "body": text, "maintainer_can_modify": true});
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
    let state = match (found.get("state")?.as_str()?, found.get("merged_at").is_some_and(|at| !at.is_null()))
    {
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
