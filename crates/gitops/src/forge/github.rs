//! GitHub: REST API 2022-11-28, `/repos/{owner}/{repo}/pulls`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, PullRequest, pulls};

pub(super) fn find(repository: &str, from: &str, into: &str) -> Ask {
    let owner = repository.split('/').next().unwrap_or_default();
    let query = vec![
        // Branches of forks have the same names: the owner tells them apart.
        ("head", format!("{owner}:{from}")),
        ("base", into.to_owned()),
        ("state", "all".to_owned()),
        ("per_page", "1".to_owned()),
    ];
    Ask { method: Method::GET, path: pulls::path(repository), query, body: None }
}

pub(super) fn open(repository: &str, from: &str, into: &str, title: &str, text: &str) -> Ask {
    let body =
        json!({"title": title, "head": from, "base": into, "body": text, "maintainer_can_modify": true});
    pulls::open(repository, body)
}

pub(super) fn read(found: &Value) -> Option<PullRequest> {
    pulls::read(found, found.get("merged_at").is_some_and(|at| !at.is_null()))
}
