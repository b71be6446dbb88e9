//! A Git server over HTTP with basic auth (`git http-backend` behind a small route), and stand-ins for the APIs of GitHub,
//! GitLab and Gitea that keep what they were asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

pub(crate) const USER: &str = "bot";
pub(crate) const PASSWORD: &str = "let-me-in";

/// A request to the API of a forge.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Inner {
    asked: Vec<Asked>,
    /// The one pull request: `None` before it is opened.
    state: Option<&'static str>,
    /// What begins with this path is redirected.
    moved: Option<&'static str>,
    /// Whether the API answers much more than it was asked for.
    is_talkative: bool,
}

/// The server; repositories are `ROOT/NAME.git`.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) root: Arc<tempfile::TempDir>,
    pub(crate) address: std::net::SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (server, router) = Self::at(listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    /// One that is to be served at this address.
    pub(crate) fn at(address: std::net::SocketAddr) -> (Self, Router) {
        let root = Arc::new(tempfile::tempdir().unwrap());
        let server = Self { root, address, inner: Arc::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        (server, router)
    }

    /// A repository `shop/apps` with these files on `main`.
    pub(crate) fn repository(&self, files: &[(&str, &str)]) -> Repository {
        let bare = self.root.path().join("shop/apps.git");
        std::fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        git(&bare, &["config", "http.receivepack", "true"]);
        let repository = Repository {
            bare,
            url: format!("http://{}/shop/apps.git", self.address),
            work: self.root.path().join("work"),
        };
        std::fs::create_dir_all(&repository.work).unwrap();
        git(&repository.work, &["clone", "--quiet", "--", repository.bare.to_str().unwrap(), "."]);
        git(&repository.work, &["checkout", "--quiet", "-b", "main"]);
        repository.push(files, "begin");
        repository
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner.lock().unwrap().asked.clone()
    }

    /// Somebody merges or closes the pull request.
    pub(crate) fn decide(&self, state: &'static str) {
        self.inner.lock().unwrap().state = Some(state);
    }

    /// As if no pull request had ever been opened.
    pub(crate) fn forgets(&self) {
        self.inner.lock().unwrap().state = None;
    }

    /// What begins with this path is elsewhere from now on.
    pub(crate) fn moves(&self, path: &'static str) {
        self.inner.lock().unwrap().moved = Some(path);
    }

    /// The API answers 2 MiB from now on.
    pub(crate) fn talks(&self) {
        self.inner.lock().unwrap().is_talkative = true;
    }

    pub(crate) fn state(&self) -> Option<&'static str> {
        self.inner.lock().unwrap().state
    }
}

/// A repository of the server, and somebody's clone of it.
pub(crate) struct Repository {
    pub(crate) bare: PathBuf,
    pub(crate) url: String,
    work: PathBuf,
}

impl Repository {
    /// Somebody else's commit.
    pub(crate) fn push(&self, files: &[(&str, &str)], message: &str) {
        if !message.starts_with("begin") {
            git(&self.work, &["pull", "--quiet", "--ff-only", "origin", "main"]);
        }
        for (name, text) in files {
            let path = self.work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&self.work, &["add", "-A"]);
        git(&self.work, &["commit", "--quiet", "--allow-empty", "-m", message]);
        git(&self.work, &["push", "--quiet", "origin", "main"]);
    }

    /// Installs a hook.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        let hook = self.bare.join("hooks").join(name);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub(crate) fn read(&self, reference: &str, file: &str) -> String {
        git(&self.bare, &["show", &format!("{reference}:{file}")])
    }

    /// Messages of a branch, newest first.
    pub(crate) fn log(&self, reference: &str) -> Vec<String> {
        let log = git(&self.bare, &["log", "-z", "--format=%B", reference]);
        log.split('\0')
            .map(|message| message.trim().to_owned())
            .filter(|message| !message.is_empty())
            .collect()
    }

    pub(crate) fn head(&self, reference: &str) -> String {
        git(&self.bare, &["rev-parse", reference]).trim().to_owned()
    }

    /// Merges a branch into main.
    pub(crate) fn merge(&self, branch: &str) {
        git(&self.work, &["pull", "--quiet", "--ff-only", "origin", "main"]);
        git(&self.work, &["fetch", "--quiet", "origin", branch]);
        git(&self.work, &["merge", "--quiet", "--no-ff", "-m", "merge", "FETCH_HEAD"]);
        git(&self.work, &["push", "--quiet", "origin", "main"]);
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "Anna"), ("GIT_AUTHOR_EMAIL", "anna@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Anna"), ("GIT_COMMITTER_EMAIL", "anna@example.com")])
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let moved = server.inner.lock().unwrap().moved;
    if moved.is_some_and(|moved| uri.path().starts_with(moved)) {
        let location = format!("https://elsewhere.example.com{}", uri.path());
        return (StatusCode::MOVED_PERMANENTLY, [("location", location)]).into_response();
    }
    if uri.path().contains(".git/") {
        return backend(&server, &method, &uri, &headers, &body).await;
    }
    forge(&server, &method, &uri, headers, &body)
}

/// The CGI that comes with git.
async fn backend(server: &Server, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != format!("Basic {wanted}") {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"git\"")]).into_response();
    }
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", server.root.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", USER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = body.to_vec();
    let feed = tokio::spawn(async move {
        drop(stdin.write_all(&sent).await);
        drop(stdin.shutdown().await);
    });
    let output = child.wait_with_output().await.unwrap();
    feed.await.unwrap();
    let split = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let (head, content) = output.stdout.split_at(split);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => response = response.status(status.split(' ').next().unwrap()),
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    response.body(axum::body::Body::from(content.get(4..).unwrap_or_default().to_vec())).unwrap()
}

/// One pull request, in the form of the API whose path was asked.
fn forge(server: &Server, method: &Method, uri: &Uri, headers: HeaderMap, body: &[u8]) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let path = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str).to_owned();
    let is_list = !path.contains("/api/v1/");
    let mut inner = server.inner.lock().unwrap();
    inner.asked.push(Asked { method: method.to_string(), path: path.clone(), headers, body: body.clone() });
    if inner.is_talkative {
        return " ".repeat(2 << 20).into_response();
    }
    match method.as_str() {
        "POST" => inner.state = Some("open"),
        "PATCH" | "PUT" => inner.state = Some("closed"),
        _ => {}
    }
    let shown = inner.state.map(|state| {
        let gitlab = if state == "open" { "opened" } else { state };
        let merged = state == "merged";
        if path.contains("/api/v4/") {
            json!({"id": 900, "iid": 7, "state": gitlab, "web_url": "https://gitlab.example.com/shop/apps/-/merge_requests/7"})
        } else {
            json!({"id": 900, "number": 7, "state": if merged { "closed" } else { state }, "merged": merged,
                "merged_at": if merged { json!("2026-11-27T20:00:00Z") } else { Value::Null },
                "html_url": "https://git.example.com/shop/apps/pulls/7"})
        }
    });
    match (method.as_str(), shown) {
        ("POST", Some(shown)) => (StatusCode::CREATED, axum::Json(shown)).into_response(),
        ("GET", shown) if is_list => axum::Json(shown.into_iter().collect::<Vec<_>>()).into_response(),
        (_, Some(shown)) => axum::Json(shown).into_response(),
        (_, None) => (StatusCode::NOT_FOUND, axum::Json(json!({"message": "not found"}))).into_response(),
    }
}
