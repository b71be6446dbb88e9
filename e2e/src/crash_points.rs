//! Between a process and the API server: kills the process before and after each of its writes.
//!
//! The proxy sees what the API server sees, so that no crash point is missing and the binary needs no hook. The first time a
//! write is on its way, the process is killed before it arrives, the second time after it was carried out and before the
//! answer comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use causeway_model::BoxFuture;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

/// No write for this long, while it leads: the process has nothing left to do for now.
const AT_REST: Duration = Duration::from_millis(1500);
/// How long it may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(90);
/// Largest request.
const MAX_BODY: usize = 4 << 20;
/// Headers that decide what a request means to the API server, and who makes it.
const FORWARDED: [&str; 6] =
    ["accept", "authorization", "content-type", "user-agent", "impersonate-user", "impersonate-group"];
/// What is written without being part of a repair.
const BESIDE: [&str; 3] = ["leases", "events", "selfsubjectaccessreviews"];

/// How often each write was met by all processes together: killed before it, killed after it, let through.
pub type Met = Arc<Mutex<BTreeMap<String, u32>>>;
/// Kills the process, and starts another.
pub type Die = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;
/// The name of a write to die at; `None` for one that is let through.
pub type Name = fn(&Write) -> Option<String>;

/// A request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// HTTP method.
    pub method: Method,
    /// Empty for what is in none.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    /// Name, empty for a new object.
    pub name: String,
    /// Empty, or the subresource with a slash before it.
    pub subresource: String,
    /// Whether nothing is stored.
    pub is_rehearsal: bool,
    /// Where a Remediation stands: its phase, the last thing that happened, and the reason.
    pub stands: String,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, resource, subresource, .. } = self;
        let rehearsal = if self.is_rehearsal { ", dry run" } else { "" };
        write!(f, "{method} {resource}{subresource}{rehearsal}{}", self.stands)
    }
}

impl Write {
    /// What a request writes, or `None` when it writes nothing that belongs to a repair.
    fn of(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        if !matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            return None;
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        // Behind `/api/v1` or `/apis/GROUP/VERSION`: the namespace, then resource, name, subresource.
        let mut rest = path.split('/').skip(if path.starts_with("/api/") { 3 } else { 4 }).peekable();
        let namespace = rest.next_if_eq(&"namespaces").and_then(|_| rest.next()).unwrap_or_default();
        let resource = rest.next().filter(|resource| !BESIDE.contains(resource))?.to_owned();
        Some(Self {
            method: method.clone(),
            namespace: namespace.to_owned(),
            name: rest.next().unwrap_or_default().to_owned(),
            subresource: rest.next().map(|sub| format!("/{sub}")).unwrap_or_default(),
            is_rehearsal: query.contains("dryRun=") || is_rehearsal(body),
            stands: if resource == "remediations" { stands(body) } else { String::new() },
            resource,
        })
    }
}

/// A deletion and an eviction say it in their body.
fn is_rehearsal(body: &[u8]) -> bool {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let options = [object.pointer("/dryRun"), object.pointer("/deleteOptions/dryRun")];
    options.into_iter().flatten().any(|all| all.as_array().is_some_and(|all| !all.is_empty()))
}

fn stands(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let last =
        object.pointer("/status/timeline").and_then(Value::as_array).and_then(|timeline| timeline.last());
    let last = last.and_then(|entry| entry.get("event")).and_then(Value::as_str).unwrap_or_default();
    let all = [text("/status/phase"), last.to_owned(), text("/status/reason")];
    all.into_iter().filter(|part| !part.is_empty()).map(|part| format!(" {part}")).collect()
}

/// What one process has done.
struct Seen {
    /// When the last request but those for watching and leading was seen.
    active: Instant,
    /// Whether the process of now has been seen at work.
    leads: bool,
}

/// The proxy of one process; clones are the same one.
#[derive(Clone)]
pub struct CrashPoints {
    client: Client,
    name: Name,
    die: Die,
    met: Met,
    made: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Seen>>,
}

impl CrashPoints {
    /// A proxy that is not served: requests are given to [`CrashPoints::through`].
    pub fn new(client: Client, name: Name, die: Die, met: &Met) -> Self {
        let seen = Arc::new(Mutex::new(Seen { active: Instant::now(), leads: false }));
        Self { client, name, die, met: Arc::clone(met), made: Arc::default(), seen }
    }

    /// Serves on a free port in place of the API server of `role`, a kubeconfig, and writes the kubeconfig that leads there.
    ///
    /// # Errors
    /// `role` can't be read, or `written` can't be written.
    pub async fn open(role: &Path, written: &Path, name: Name, die: Die, met: &Met) -> Result<Self> {
        let mut own =
            Kubeconfig::read_from(role).with_context(|| format!("cannot read {}", role.display()))?;
        for user in &mut own.auth_infos {
            // Who calls is told by each request.
            user.auth_info = Some(AuthInfo::default());
        }
        let config = Config::from_custom_kubeconfig(own, &KubeConfigOptions::default()).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut text: Value = serde_saphyr::from_str(&std::fs::read_to_string(role)?)?;
        let server = json!({ "server": format!("http://{}", listener.local_addr()?) });
        let clusters = text.get_mut("clusters").and_then(Value::as_array_mut);
        for cluster in clusters.into_iter().flatten() {
            cluster["cluster"] = server.clone();
        }
        std::fs::write(written, text.to_string())
            .with_context(|| format!("cannot write {}", written.display()))?;
        let points = Self::new(Client::try_from(config)?, name, die, met);
        let router = Router::new().fallback(serve).with_state(points.clone());
        // Ends with the scenario.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(points)
    }

    /// What was changed in the name of somebody else: method and path, in order.
    pub fn made(&self) -> Vec<String> {
        self.made.lock().clone()
    }

    /// Waits until the process leads and has nothing to do.
    ///
    /// # Errors
    /// That takes longer than 90 s.
    pub async fn at_rest(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            {
                let seen = self.seen.lock();
                if seen.leads && seen.active.elapsed() >= AT_REST {
                    return Ok(());
                }
            }
            if begun.elapsed() > PATIENCE {
                bail!("the process does not come to rest within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn crash(&self) -> Result<()> {
        {
            let mut seen = self.seen.lock();
            seen.leads = false;
            seen.active = Instant::now();
        }
        (self.die)().await
    }

    /// Passes a request on, unless it is time to die.
    ///
    /// # Errors
    /// The API server can't be reached, or the process can't be killed.
    pub async fn through(&self, parts: Parts, body: Bytes) -> Result<axum::http::Response<Body>> {
        let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let write = Write::of(&parts.method, &path, &body);
        {
            let mut seen = self.seen.lock();
            // Only the leader looks at Remediations.
            seen.leads |= path.contains("/remediations");
            if !path.contains("/leases") && !path.contains("watch=") {
                seen.active = Instant::now();
            }
        }
        let times = write.as_ref().and_then(self.name).map(|name| {
            let mut met = self.met.lock();
            let times = met.entry(name).or_insert(0);
            *times += 1;
            *times
        });
        if times == Some(1) {
            self.crash().await?;
            return Ok(StatusCode::BAD_GATEWAY.into_response().map(|_| Body::empty()));
        }
        let change = format!("{} {path}", parts.method);
        let mut forwarded = axum::http::Request::builder().method(parts.method).uri(path);
        for name in FORWARDED {
            for value in parts.headers.get_all(name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let answer = self.client.send(forwarded.body(Body::from(body.to_vec()))?).await?;
        let changes = write.is_some_and(|write| !write.is_rehearsal) && answer.status().is_success();
        if changes && parts.headers.contains_key("impersonate-user") {
            self.made.lock().push(change);
        }
        if times == Some(2) {
            self.crash().await?;
        }
        Ok(answer)
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await?;
        let (head, body) = self.through(parts, body).await?.into_parts();
        let mut response = Response::new(axum::body::Body::new(body));
        *response.status_mut() = head.status;
        let kind = HeaderName::from_static("content-type");
        if let Some(value) = head.headers.get(&kind) {
            response.headers_mut().insert(kind, value.clone());
        }
        Ok(response)
    }
}

async fn serve(State(points): State<CrashPoints>, request: Request) -> Response {
    match points.answer(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_apart_and_leases_are_none() {
        let body =
            br#"{"status":{"phase":"Applying","reason":"Progressing","timeline":[{"event":"Claimed"}]}}"#;
        let write =
            |method: Method, path: &str| Write::of(&method, path, body).map(|write| write.to_string());
        let status = "/apis/causeway.dev/v1alpha1/namespaces/shop/remediations/a-1/status";
        assert_eq!(
            write(Method::PUT, status).as_deref(),
            Some("PUT remediations/status Applying Claimed Progressing")
        );
        let workload = "/apis/apps/v1/namespaces/shop/deployments/web";
        assert_eq!(write(Method::PATCH, workload).as_deref(), Some("PATCH deployments"));
        assert_eq!(Write::of(&Method::PATCH, workload, body).unwrap().name, "web");
        let dry = format!("{workload}?&dryRun=All");
        assert_eq!(write(Method::PATCH, &dry).as_deref(), Some("PATCH deployments, dry run"));
        let pod = "/api/v1/namespaces/shop/pods/web-a";
        let delete = |body: &[u8]| Write::of(&Method::DELETE, pod, body).map(|write| write.to_string());
        assert_eq!(delete(br#"{"dryRun":["All"]}"#).as_deref(), Some("DELETE pods, dry run"));
        assert_eq!(delete(b"{}").as_deref(), Some("DELETE pods"));
        assert_eq!(write(Method::PATCH, "/api/v1/nodes/node-1").as_deref(), Some("PATCH nodes"));
        assert_eq!(write(Method::GET, workload), None);
        let new = "/apis/causeway.dev/v1alpha1/namespaces/shop/remediations";
        let found = Write::of(&Method::POST, new, b"{}").map(|write| write.to_string());
        assert_eq!(found.as_deref(), Some("POST remediations"));
        assert_eq!(write(Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/c/leases/x"), None);
    }
}
