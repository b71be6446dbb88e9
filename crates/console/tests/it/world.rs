//! A console on a port of its own, with two people: `admin` may do everything, `ann` is bound to the namespace `shop`.

use std::sync::{Arc, Mutex};

use causeway_console::{Console, ConsoleConfig, Gate, Remote, Telemetry};
use causeway_crds::{Incident, Remediation};
use causeway_localcluster::{Denied, LocalCluster, Options, Review, User};
use causeway_model::{
    BandPoint, BoxFuture, CallEdge, Caller, Clock, Insight, Micros, QueryError, Rows, ServiceView, TextFormat,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Telemetry that remembers who asked.
#[derive(Default)]
pub(crate) struct FakeInsight {
    pub(crate) callers: Mutex<Vec<Caller>>,
    /// Body of every log line.
    pub(crate) body: Mutex<String>,
}

impl FakeInsight {
    fn note(&self, caller: &Caller) {
        self.callers.lock().unwrap().push(caller.clone());
    }

    /// Namespaces of who asked last.
    pub(crate) fn last_bounds(&self) -> Option<Vec<String>> {
        self.callers.lock().unwrap().last().unwrap().namespaces.clone()
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, QueryError>> {
    Box::pin(async move { Ok(value) })
}

impl Insight for FakeInsight {
    fn rows<'a>(&'a self, caller: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<Rows, QueryError>> {
        self.note(caller);
        if sql.contains("nonsense") {
            return Box::pin(async { Err(QueryError::Invalid("no such table".to_owned())) });
        }
        let line =
            vec!["2026-11-27T20:00:00Z".to_owned(), "ERROR".to_owned(), self.body.lock().unwrap().clone()];
        let header = ["time", "severity_text", "body"].map(str::to_owned).to_vec();
        ready(Rows { rows: vec![header, line], scanned_bytes: 10 })
    }

    fn text<'a>(
        &'a self,
        caller: &'a Caller,
        _: &'a str,
        _: TextFormat,
    ) -> BoxFuture<'a, Result<String, QueryError>> {
        self.note(caller);
        ready("a,b\n1,2\n".to_owned())
    }

    fn series<'a>(
        &'a self,
        caller: &'a Caller,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<BandPoint>, QueryError>> {
        self.note(caller);
        let point = |i: i64| BandPoint {
            at: 1_795_800_000_000_000 + i * 10_000_000,
            value: Some(0.2),
            expected: Some(0.2),
            lower: Some(0.1),
            upper: Some(0.3),
        };
        ready((0..30).map(point).collect())
    }

    fn topology<'a>(
        &'a self,
        caller: &'a Caller,
        at_us: Option<i64>,
    ) -> BoxFuture<'a, Result<Vec<CallEdge>, QueryError>> {
        self.note(caller);
        let edge = CallEdge {
            from: "shop/web".into(),
            to: "shop/cart".into(),
            // What is asked for a time is told apart.
            calls: if at_us == Some(1_795_800_000_000_000) { 7 } else { 3 },
            inferred: false,
            confidence: 1.0,
        };
        ready(vec![edge])
    }

    fn services<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<Vec<ServiceView>, QueryError>> {
        self.note(caller);
        ready(vec![ServiceView { service: "shop/web".into(), namespace: "shop".into(), signals: Vec::new() }])
    }

    fn bundle<'a>(
        &'a self,
        caller: &'a Caller,
        fingerprint: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, QueryError>> {
        self.note(caller);
        ready((fingerprint == "abc0").then(|| b"bundle".to_vec()))
    }

    fn namespaces(&self) -> BoxFuture<'_, Result<Vec<String>, QueryError>> {
        ready(vec!["bank".to_owned(), "shop".to_owned()])
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now_us(&self) -> Micros {
        1_795_810_000_000_000
    }
}

/// As the chart ships it: an Approval is given in one's own name.
fn own_name(review: &Review<'_>) -> Result<(), Denied> {
    let approver = review.object.and_then(|o| o.pointer("/spec/approver")).and_then(Value::as_str);
    if review.resource == "approvals" && approver.is_some_and(|name| name != review.user.name) {
        return Err(Denied { policy: "causeway-approvals".into(), message: "not your own name".into() });
    }
    Ok(())
}

pub(crate) struct World {
    pub(crate) cluster: LocalCluster,
    pub(crate) insight: Arc<FakeInsight>,
    pub(crate) console: String,
    pub(crate) http: reqwest::Client,
    kubernetes: String,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let ann = User { namespaces: Some(vec!["shop".to_owned()]), ..User::new("ann") };
        let cluster = LocalCluster::open(Options {
            crds: causeway_crds::all_crds(),
            users: vec![User::new("admin"), ann],
            admission: vec![Arc::new(own_name)],
            ..Options::default()
        })
        .unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubernetes = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn({
            let (cluster, stop) = (cluster.clone(), stop.clone());
            async move { cluster.serve(listener, stop.cancelled_owned()).await }
        });
        let insight = Arc::new(FakeInsight::default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut world = Self { cluster, insight, console: String::new(), http, kubernetes, stop };
        world.console = world.serve(Telemetry::Here(world.insight.clone())).await;
        for name in ["shop", "bank"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let api: Api<Namespace> = Api::all(world.cluster.client("admin"));
            api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        }
        world
    }

    /// Serves a console; its address.
    pub(crate) async fn serve(&self, telemetry: Telemetry) -> String {
        let console = Console::new(ConsoleConfig {
            gate: Gate::new(kube::Config::new(self.kubernetes.parse().unwrap())),
            telemetry,
            clock: Arc::new(StoppedClock),
            byte_budget: 1 << 30,
            stop: self.stop.clone(),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let all = axum::Router::new().route("/api/v1/all", axum::routing::get(|| async { "everything" }));
        let (router, stop) = (console.router_with(all), self.stop.clone());
        tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        });
        address
    }

    /// A console that has its telemetry from the first one.
    pub(crate) async fn in_front(&self) -> String {
        self.serve(Telemetry::At(Remote::new(&self.console).unwrap())).await
    }

    pub(crate) fn token(&self, user: &str) -> String {
        self.cluster.token(user).unwrap().to_owned()
    }

    /// What a program gets: status and body.
    pub(crate) async fn get(&self, user: &str, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", self.console)).bearer_auth(self.token(user));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What a browser that signed in sends with a form of the console's own.
    pub(crate) fn form(&self, user: &str, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let body: Vec<String> = form.iter().map(|(k, v)| format!("{k}={}", v.replace(' ', "+"))).collect();
        self.http
            .post(format!("{}{path}", self.console))
            .header("cookie", format!("causeway_session={}", self.token(user)))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
    }

    pub(crate) async fn incident(&self, namespace: &str, name: &str, summary: &str) {
        let api: Api<Incident> = Api::namespaced(self.cluster.client("admin"), namespace);
        let object = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Incident", "metadata": {"name": name},
            "spec": {"fingerprint": "abc0", "openedFor": {"service": "shop/web", "signal": "latency"}}});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let status = json!({"status": {"state": "Open", "severity": "Critical", "startedAt": "2026-11-27T20:00:00Z",
            "symptom": {"state": "Firing", "summary": summary},
            "cause": {"id": "c", "kind": "NetworkDelay", "entity": "shop/cart", "confidence": "0.9", "margin": "0.5"},
            "path": [{"from": "shop/cart", "to": "shop/web"}],
            "explanation": [{"text": summary, "evidence": ["e1"]}],
            "evidence": [{"id": "e1", "type": "Metric", "summary": summary, "at": "2026-11-27T20:00:00Z"}],
            "remediations": [{"name": "fix", "phase": "AwaitingApproval"}]}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    /// A plan that waits for an approval.
    pub(crate) async fn remediation(&self, namespace: &str, name: &str) {
        let api: Api<Remediation> = Api::namespaced(self.cluster.client("admin"), namespace);
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": "cart", "uid": "u"});
        let object = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Remediation", "metadata": {"name": name},
            "spec": {"incidentRef": {"name": "slow", "fingerprint": "abc0"},
                "runbookRef": {"name": "restart", "digest": "d"}, "policyRef": {"name": "careful"},
                "cause": {"id": "c", "kind": "NetworkDelay", "entity": "shop/cart", "confidence": "0.9", "margin": "0.5", "evidenceDigest": "e"},
                "actions": ["Scale"], "targets": [target], "summary": "Scale cart", "plannedAt": "2026-11-27T20:01:00Z",
                "planDigest": "plan-digest", "diff": "- replicas: 1\n+ replicas: 2\n",
                "mutations": [{"type": "Scale", "scale": {"target": target, "from": 1, "to": 2}}],
                "inverse": {"type": "Mutations", "mutations": [{"type": "Scale", "scale": {"target": target, "from": 2, "to": 1}}]},
                "verify": {"within": "10m", "hold": "5m"}, "expiresAt": "2026-11-27T21:00:00Z"}});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let status = json!({"status": {"phase": "AwaitingApproval",
            "dryRun": {"digest": "dry-digest", "diff": "+ replicas: 2", "at": "2026-11-27T20:01:00Z"}}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    pub(crate) async fn approvals(&self) -> Vec<causeway_crds::Approval> {
        let api: Api<causeway_crds::Approval> = Api::all(self.cluster.client("admin"));
        api.list(&Default::default()).await.unwrap().items
    }
}
