//! Pull requests by the API of whoever hosts the repository. One file a host.

mod gitea;
mod github;
mod gitlab;
mod pulls;

use std::time::Duration;

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::credentials::Credentials;
use crate::error::GitError;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// Who hosts a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// GitHub, or GitHub Enterprise Server.
    GitHub,
    /// GitLab, hosted or own.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
}

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Merged,
    Closed,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// Its number within the repository.
    pub(crate) number: i64,
    /// Its page.
    pub(crate) url: String,
    pub(crate) state: State,
}

/// What is asked of an API.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// From the root of the API.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

/// The API of one repository's host.
pub(crate) struct Forge<'a> {
    provider: Provider,
    /// Root of the API, without a slash at the end.
    root: String,
    /// Path of the repository, such as `shop/apps`.
    repository: String,
    token: &'a str,
    http: reqwest::Client,
}

impl<'a> Forge<'a> {
    pub(crate) fn new(
        provider: Provider,
        url: &Url,
        api_url: Option<&str>,
        credentials: &'a Credentials,
        http: &reqwest::Client,
    ) -> Result<Self, GitError> {
        let Some(token) = credentials.token() else {
            let message = "the Secret of spec.gitOps.secretRef has neither password nor bearerToken: pull requests need a token";
            return Err(GitError::Refused(message.to_owned()));
        };
        let repository = url.path().trim_matches('/').trim_end_matches(".git").to_owned();
        let host = url.host_str().unwrap_or_default();
        let root = match (api_url, url.scheme()) {
            (Some(root), _) => root.trim_end_matches('/').to_owned(),
            (None, "http" | "https") => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                provider.root(url.scheme(), &format!("{host}{port}"))
            }
            (None, _) => provider.root("https", host),
        };
        let http = match credentials.authorities() {
            None => http.clone(),
            Some(authorities) => {
                let odd = |why: reqwest::Error| {
                    GitError::Refused(format!("ca.crt of the Secret is not usable: {why}"))
                };
                let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
                for authority in reqwest::Certificate::from_pem_bundle(authorities.as_bytes()).map_err(odd)? {
                    builder = builder.add_root_certificate(authority);
                }
                builder.build().map_err(odd)?
            }
        };
        Ok(Self { provider, root, repository, token, http })
    }

    /// The newest pull request from one branch into the other.
    pub(crate) async fn find(&self, from: &str, into: &str) -> Result<Option<PullRequest>, GitError> {
        let ask = match self.provider {
            Provider::GitHub => github::find(&self.repository, from, into),
            Provider::GitLab => gitlab::find(&self.repository, from, into),
            Provider::Gitea => gitea::find(&self.repository, from, into),
        };
        let Some(answer) = self.send(ask).await? else { return Ok(None) };
        match &answer {
            Value::Array(list) => list.first().map(|found| self.read(found)).transpose(),
            found => self.read(found).map(Some),
        }
    }

    pub(crate) async fn open(
        &self,
        from: &str,
        into: &str,
        title: &str,
        text: &str,
    ) -> Result<PullRequest, GitError> {
        let ask = match self.provider {
            Provider::GitHub => github::open(&self.repository, from, into, title, text),
            Provider::GitLab => gitlab::open(&self.repository, from, into, title, text),
            Provider::Gitea => gitea::open(&self.repository, from, into, title, text),
        };
        match self.send(ask).await? {
            Some(answer) => self.read(&answer),
            None => Err(GitError::Refused(format!("{} has no repository {}", self.root, self.repository))),
        }
    }

    pub(crate) async fn close(&self, found: &PullRequest) -> Result<(), GitError> {
        let ask = match self.provider {
            Provider::GitLab => gitlab::close(&self.repository, found.number),
            Provider::GitHub | Provider::Gitea => pulls::close(&self.repository, found.number),
        };
        self.send(ask).await.map(drop)
    }

    /// Sends it; `None` if what was asked for is not there.
    async fn send(&self, ask: Ask) -> Result<Option<Value>, GitError> {
        let Ask { method, path, query, body } = ask;
        let mut url = Url::parse(&format!("{}{path}", self.root))
            .map_err(|why| GitError::Refused(format!("spec.gitOps.apiUrl is no URL: {why}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(&query);
        }
        let request = self.http.request(method, url).timeout(TIMEOUT).header("user-agent", "causeway");
        let request = self.provider.sign(request, self.token);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.map_err(|why| self.unanswered(why))?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if status.is_redirection() {
            let location = answer.headers().get(LOCATION).map(HeaderValue::as_bytes);
            let location = String::from_utf8_lossy(location.unwrap_or(b"its new address"));
            return Err(GitError::Refused(format!(
                "the API at {} answered {}: redirects are not followed, set spec.gitOps.url or spec.gitOps.apiUrl to what is now at {}",
                self.root,
                status.as_u16(),
                shown(&location)
            )));
        }
        let text = self.text(answer).await?;
        if status.is_success() {
            return serde_json::from_str(&text).map(Some).map_err(|why| {
                GitError::Unclear(format!("the API at {} answered no JSON: {why}", self.root))
            });
        }
        let message = format!("the API at {} answered {}: {}", self.root, status.as_u16(), shown(&text));
        // 409: somebody opened it at the same moment, as the next look shows.
        let may_pass = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
            );
        Err(if may_pass { GitError::Unclear(message) } else { GitError::Refused(message) })
    }

    fn unanswered(&self, why: reqwest::Error) -> GitError {
        GitError::Unclear(format!("the API at {} does not answer: {}", self.root, why.without_url()))
    }

    /// What was answered, unless it is too large.
    async fn text(&self, mut answer: Response) -> Result<String, GitError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|why| self.unanswered(why))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(GitError::Unclear(format!("the API at {} answered more than 1 MiB", self.root)));
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn read(&self, found: &Value) -> Result<PullRequest, GitError> {
        let read = match self.provider {
            Provider::GitHub => github::read(found),
            Provider::GitLab => gitlab::read(found),
            Provider::Gitea => gitea::read(found),
        };
        read.ok_or_else(|| GitError::Unclear(format!("the API at {} answered in another form", self.root)))
    }
}

/// Text of a server as a message may have it.
fn shown(text: &str) -> String {
    causeway_actions::diff::printable(text).chars().take(300).collect()
}

impl Provider {
    /// Root of the API at a host.
    fn root(self, scheme: &str, host: &str) -> String {
        match self {
            Self::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
            Self::GitHub => format!("{scheme}://{host}/api/v3"),
            Self::GitLab => format!("{scheme}://{host}/api/v4"),
            Self::Gitea => format!("{scheme}://{host}/api/v1"),
        }
    }

    fn sign(self, request: RequestBuilder, token: &str) -> RequestBuilder {
        match self {
            Self::GitHub => request
                .bearer_auth(token)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28"),
            Self::GitLab => request.header("private-token", token),
            Self::Gitea => request.header("authorization", format!("token {token}")),
        }
    }
}
