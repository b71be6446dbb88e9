//! Between a role and the API server: kills the role's process before and after each of its writes.
//!
//! The proxy sees what the API server sees, so that no crash point is missing and the binary needs no hook. A write is
//! known by its verb, its resource, and where its object stands; the first time one is on its way, the process is
//! killed before it arrives, the second time after it was carried out and before the answer comes back. Of an operator
//! these are its new Incidents and Remediations; of an executor all but Events and its Lease.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use clap::ValueEnum;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::installation::Actor;

/// No write for this long, while it leads: the process has nothing left to do for now.
const AT_REST: Duration = Duration::from_millis(1500);
/// How long it may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(90);
/// Largest request.
const MAX_BODY: usize = 4 << 20;
/// Headers that decide what a request means to the API server, and who makes it.
const FORWARDED: [&str; 6] =
    ["accept", "authorization", "content-type", "user-agent", "impersonate-user", "impersonate-group"];

/// A role that is killed at its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Victim {
    /// Whoever leads of the operators, and the gateway with it
    Operator,
    /// The executor
    Executor,
}

/// How often each write was met by all processes together: killed before it, killed after it, let through.
pub(super) type Met = Arc<Mutex<BTreeMap<String, u32>>>;

struct Inner {
    killed: Vec<Actor>,
    /// When the last request but those for watching and leading was seen.
    active: Instant,
    /// Whether the process of now has been seen at work.
    leads: bool,
}

/// The proxy of one process.
#[derive(Clone)]
pub(super) struct CrashPoints {
    client: Client,
    victim: Victim,
    kubeconfig: PathBuf,
    met: Met,
    inner: Arc<Mutex<Inner>>,
}

impl CrashPoints {
    /// Serves on a free port in place of the API server of `role`, a kubeconfig; processes of one role are told apart by
    /// `index`.
    pub(super) async fn open(
        role: &Path,
        folder: &Path,
        victim: Victim,
        index: usize,
        met: &Met,
    ) -> Result<Self> {
        let read = |path: &Path| {
            Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let mut own = read(role)?;
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
        let kubeconfig = folder.join(format!("{victim:?}-{index}.kubeconfig"));
        std::fs::write(&kubeconfig, text.to_string())
            .with_context(|| format!("cannot write {}", kubeconfig.display()))?;
        let inner = Inner { killed: Vec::new(), active: Instant::now(), leads: false };
        let client = Client::try_from(config)?;
        let met = Arc::clone(met);
        let points = Self { client, victim, kubeconfig, met, inner: Arc::new(Mutex::new(inner)) };
        let router = Router::new().fallback(serve).with_state(points.clone());
        // Ends with the scenario.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(points)
    }

    /// By which the process reaches the proxy.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// The process behind the proxy, and those that die with it.
    pub(super) fn kills(&self, actors: Vec<Actor>) {
        self.inner.lock().killed = actors;
    }

    /// Ends the processes at once, and starts others.
    fn crash(&self) -> Result<()> {
        let killed = {
            let mut inner = self.inner.lock();
            inner.leads = false;
            inner.active = Instant::now();
            inner.killed.clone()
        };
        killed.iter().try_for_each(Actor::crash)
    }

    /// Waits until the executor leads and has nothing to do. An operator says itself when it has settled.
    pub(super) async fn at_rest(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            {
                let inner = self.inner.lock();
                let is_at_rest = inner.leads && inner.active.elapsed() >= AT_REST;
                if self.victim == Victim::Operator || is_at_rest {
                    return Ok(());
                }
            }
            if begun.elapsed() > PATIENCE {
                bail!("the executor does not come to rest within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await?;
        let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let write = write_of(&parts.method, &path, &body).filter(|write| self.counts(write));
        {
            let mut inner = self.inner.lock();
            // Only the leader looks at Remediations.
            inner.leads |= path.contains("/remediations");
            if !path.contains("/leases") && !path.contains("watch=") {
                inner.active = Instant::now();
            }
        }
        let times = write.as_ref().map(|write| {
            let mut met = self.met.lock();
            let times = met.entry(write.clone()).or_insert(0);
            *times += 1;
            *times
        });
        if times == Some(1) {
            self.crash()?;
            return Ok(StatusCode::BAD_GATEWAY.into_response());
        }
        let mut forwarded = axum::http::Request::builder().method(parts.method).uri(path);
        for name in FORWARDED {
            for value in parts.headers.get_all(name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let forwarded = forwarded.body(kube::client::Body::from(body.to_vec()))?;
        let answer = self.client.send(forwarded).await?;
        if times == Some(2) {
            self.crash()?;
        }
        let (head, body) = answer.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = head.status;
        let kind = HeaderName::from_static("content-type");
        if let Some(value) = head.headers.get(&kind) {
            response.headers_mut().insert(kind, value.clone());
        }
        Ok(response)
    }

    /// Whether a write is one to die at.
    fn counts(&self, write: &str) -> bool {
        self.victim == Victim::Executor
            || write.starts_with("POST incidents")
            || write.starts_with("POST remediations")
    }
}

async fn serve(State(points): State<CrashPoints>, request: Request) -> Response {
    match points.forward(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

/// What a request writes, or `None` when it writes nothing that belongs to a repair.
fn write_of(method: &Method, path: &str, body: &Bytes) -> Option<String> {
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return None;
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // Behind `namespaces/NAME/`: resource, name, subresource.
    let mut rest = path.split_once("/namespaces/")?.1.split('/').skip(1);
    let resource = rest.next()?;
    if matches!(resource, "leases" | "events") {
        return None;
    }
    let sub = rest.nth(1).map(|sub| format!("/{sub}")).unwrap_or_default();
    let dry = if query.contains("dryRun=") { ", dry run" } else { "" };
    let at = if resource == "remediations" { stands(body) } else { String::new() };
    Some(format!("{method} {resource}{sub}{dry}{at}"))
}

/// Where the Remediation stands that is written: its phase, and the last thing that happened.
fn stands(body: &Bytes) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let last =
        object.pointer("/status/timeline").and_then(Value::as_array).and_then(|timeline| timeline.last());
    let last = last.and_then(|entry| entry.get("event")).and_then(Value::as_str).unwrap_or_default();
    format!(" {} {last} {}", text("/status/phase"), text("/status/reason")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_apart_and_leases_are_none() {
        let body = Bytes::from(
            r#"{"status":{"phase":"Applying","reason":"Progressing","timeline":[{"event":"Claimed"}]}}"#,
        );
        let write = |method: Method, path: &str| write_of(&method, path, &body);
        let status = "/apis/causeway.dev/v1alpha1/namespaces/shop/remediations/a-1/status";
        assert_eq!(
            write(Method::PUT, status).as_deref(),
            Some("PUT remediations/status Applying Claimed Progressing")
        );
        let workload = "/apis/apps/v1/namespaces/shop/deployments/web";
        assert_eq!(write(Method::PATCH, workload).as_deref(), Some("PATCH deployments"));
        let dry = format!("{workload}?&dryRun=All");
        assert_eq!(write(Method::PATCH, &dry).as_deref(), Some("PATCH deployments, dry run"));
        assert_eq!(write(Method::GET, workload), None);
        assert_eq!(
            write_of(
                &Method::POST,
                "/apis/causeway.dev/v1alpha1/namespaces/shop/remediations",
                &Bytes::from("{}")
            )
            .as_deref(),
            Some("POST remediations")
        );
        assert_eq!(write(Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/c/leases/x"), None);
    }
}
