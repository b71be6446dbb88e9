//! Named tokens: who may speak to the server over HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use http::{HeaderMap, header};

use crate::admission::{Identity, User};
use crate::service::header_text;
use crate::status::{ApiError, ApiResult};

const EVERYBODY: &str = "system:authenticated";

/// Failures of the token file and the kubeconfig.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct TokenError {
    /// The file.
    pub path: String,
    /// What the operating system or the parser said.
    pub source: std::io::Error,
}

/// The users and their tokens.
pub(crate) struct Tokens {
    users: Vec<(User, String)>,
}

impl Tokens {
    /// Gives every user a token; with a file, the same one as before.
    pub(crate) fn open(users: Vec<User>, file: Option<&Path>) -> Result<Self, TokenError> {
        let mut known: BTreeMap<String, String> = match file {
            Some(path) if path.exists() => {
                let wrap = |source| TokenError { path: path.display().to_string(), source };
                let text = fs::read_to_string(path).map_err(wrap)?;
                serde_json::from_str(&text).map_err(|error| wrap(std::io::Error::other(error)))?
            }
            _ => BTreeMap::new(),
        };
        let before = known.len();
        let users = users
            .into_iter()
            .map(|user| {
                let token = known.entry(user.name.clone()).or_insert_with(new_token).clone();
                (user, token)
            })
            .collect();
        if let Some(path) = file.filter(|_| known.len() != before) {
            let text = serde_json::to_string_pretty(&known).unwrap_or_default();
            write_private(path, &text)?;
        }
        Ok(Self { users })
    }

    pub(crate) fn token(&self, name: &str) -> Option<&str> {
        self.users.iter().find(|(user, _)| user.name == name).map(|(_, token)| token.as_str())
    }

    pub(crate) fn first(&self) -> Option<(&User, &str)> {
        self.users.first().map(|(user, token)| (user, token.as_str()))
    }

    /// The user of a name, known or not; callers in this process are trusted with theirs.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let known = self.users.iter().find(|(user, _)| user.name == name);
        let mut groups = known.map(|(user, _)| user.groups.clone()).unwrap_or_default();
        groups.push(EVERYBODY.to_owned());
        let namespaces = known.and_then(|(user, _)| user.namespaces.clone());
        Identity { name: name.to_owned(), groups, impersonated_by: None, namespaces }
    }

    /// Finds the user of a request by its bearer token.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> ApiResult<Identity> {
        let given = header_text(headers, &header::AUTHORIZATION);
        let token = given.strip_prefix("Bearer ").map(str::trim).ok_or_else(ApiError::unauthorized)?;
        let found = self.users.iter().find(|(_, known)| same(known, token));
        found.map(|(user, _)| self.identity(&user.name)).ok_or_else(ApiError::unauthorized)
    }

    /// Applies `Impersonate-User` and `Impersonate-Group`.
    pub(crate) fn impersonate(&self, user: Identity, headers: &HeaderMap) -> ApiResult<Identity> {
        let Some(wanted) = headers.get("impersonate-user").and_then(|value| value.to_str().ok()) else {
            return Ok(user);
        };
        let known = self.users.iter().find(|(known, _)| known.name == user.name);
        let allowed = known
            .is_some_and(|(known, _)| known.may_impersonate.iter().any(|pattern| covers(pattern, wanted)));
        if !allowed {
            return Err(ApiError::forbidden(format!(
                "users {wanted:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API group \"\"",
                user.name
            )));
        }
        let mut identity = self.identity(wanted);
        for group in headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()) {
            identity.groups.push(group.to_owned());
        }
        identity.impersonated_by = Some(user.name);
        Ok(identity)
    }
}

/// Whether a name is meant by a pattern, in which `*` stands for the namespace of a service account.
fn covers(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let between = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    between.is_some_and(|namespace| !namespace.is_empty() && !namespace.contains(':'))
}

fn new_token() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// Takes a token out of a path that begins with `/token/TOKEN`, and puts it where a token belongs.
///
/// Go clients (kubectl) never send a token over a connection without TLS, but they keep the path of the server's
/// address; so the kubeconfig names this path.
pub(crate) fn from_path<B>(request: &mut http::Request<B>) {
    let uri = request.uri().clone();
    let Some(rest) = uri.path_and_query().and_then(|p| p.as_str().strip_prefix("/token/")) else { return };
    let (token, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let value = http::HeaderValue::from_str(&format!("Bearer {token}"));
    let path = format!("/{rest}").parse::<http::Uri>();
    if let (Ok(value), Ok(path)) = (value, path) {
        request.headers_mut().insert(header::AUTHORIZATION, value);
        *request.uri_mut() = path;
    }
}

/// Compares in a time that does not depend on where the texts differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// Writes a file that only its owner can read, in place of an older one.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), TokenError> {
    let wrap = |source| TokenError { path: path.display().to_string(), source };
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&fresh).map_err(wrap)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrap)?;
    fs::rename(&fresh, path).map_err(wrap)
}

/// A kubeconfig for one user of one server.
pub(crate) fn kubeconfig(server: &str, user: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: causeway\n\
         clusters:\n- name: causeway\n  cluster:\n    server: {server}/token/{token}\n\
         users:\n- name: {user:?}\n  user:\n    token: {token:?}\n\
         contexts:\n- name: causeway\n  context:\n    cluster: causeway\n    user: {user:?}\n    namespace: default\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_one_account_in_every_namespace() {
        let pattern = "system:serviceaccount:*:fixer";
        for (name, covered) in [
            ("system:serviceaccount:shop:fixer", true),
            ("system:serviceaccount:shop:other", false),
            ("system:serviceaccount::fixer", false),
            ("system:serviceaccount:a:b:fixer", false),
            ("admin", false),
        ] {
            assert_eq!(covers(pattern, name), covered, "{name}");
        }
        assert!(covers("admin", "admin") && !covers("admin", "admins"));
    }
}
