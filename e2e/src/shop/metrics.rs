//! The use of the shop's pods as the resource metrics API (`metrics.k8s.io`), so that the autoscalers of a real cluster see
//! it. Served on loopback behind an APIService, with the key pair of the cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use kube::Client;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, core::GroupVersionKind};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::NAMESPACE;
use super::world::World;

/// Path of the API's only version.
const VERSION: &str = "/apis/metrics.k8s.io/v1beta1";
/// How long the API server may take to find the API, and an autoscaler to look at it twice.
const PATIENCE: Duration = Duration::from_secs(60);

/// Use of the pods, and who has looked.
#[derive(Default)]
struct Told {
    /// Cores by service and pod.
    pods: BTreeMap<String, BTreeMap<String, f64>>,
    /// Times that the pods of a service were asked for since they were told.
    asked: BTreeMap<String, u32>,
}

/// The API; clones are the same one.
#[derive(Clone)]
pub(crate) struct Metrics {
    told: Arc<Mutex<Told>>,
}

impl Metrics {
    /// Serves the API, and registers it in a cluster of `cargo xtask cluster`, whose key pair lies beside its kubeconfig.
    ///
    /// # Errors
    /// When there is no key pair, or the API server does not come to serve the API.
    pub(crate) async fn open(client: &Client, kubeconfig: &Path) -> Result<Self> {
        let listener = Listener::bind(kubeconfig).await?;
        let port = listener.tcp.local_addr()?.port();
        let metrics = Self { told: Arc::default() };
        let router = Router::new()
            .route(VERSION, get(resources))
            .route(&format!("{VERSION}/namespaces/{NAMESPACE}/pods"), get(pods))
            .with_state(metrics.clone());
        // Ends with the scenario.
        tokio::spawn(async move { axum::serve(listener, router).await });
        register(client, port).await?;
        Ok(metrics)
    }

    /// What the pods use now, as autoscalers are to see it.
    pub(crate) fn tell(&self, world: &World) {
        let mut told = self.told.lock();
        told.asked.clear();
        told.pods.clear();
        for instance in &world.instances {
            let service = world.topology.services[instance.service].name.clone();
            let cores = world.usage(instance.service) / 100.0 * instance.cpu;
            told.pods.entry(service).or_default().insert(instance.pod.clone(), cores);
        }
    }

    /// Waits until an autoscaler has finished with what was told: it asks for the second time.
    ///
    /// # Errors
    /// When it does not ask.
    pub(crate) async fn was_seen(&self, service: &str) -> Result<()> {
        let begun = Instant::now();
        while self.told.lock().asked.get(service).is_none_or(|times| *times < 2) {
            if begun.elapsed() > PATIENCE {
                bail!("the autoscaler of {service} does not ask for the use of its pods");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn resources() -> Json<Value> {
    let pods = json!({"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["list"]});
    Json(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [pods]}))
}

async fn pods(State(metrics): State<Metrics>, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
    let service = selector.strip_prefix("app=").unwrap_or_default();
    let mut told = metrics.told.lock();
    *told.asked.entry(service.to_owned()).or_default() += 1;
    let item = |(pod, cores): (&String, &f64)| {
        let cpu = format!("{}n", (cores * 1e9).round());
        json!({"metadata": {"name": pod, "namespace": NAMESPACE, "labels": {"app": service}},
            "timestamp": Timestamp::now(), "window": "10s",
            "containers": [{"name": service, "usage": {"cpu": cpu, "memory": "64Mi"}}]})
    };
    let items: Vec<Value> = told.pods.get(service).into_iter().flatten().map(item).collect();
    Json(
        json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}),
    )
}

/// An API server reaches what is outside of the cluster by a Service of the type ExternalName.
async fn register(client: &Client, port: u16) -> Result<()> {
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "shop-metrics", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}});
    let api_service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": "shop-metrics", "namespace": NAMESPACE, "port": port}}});
    let kind = |group: &str, version: &str, kind: &str| {
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    let parameters = PatchParams::apply("shop").force();
    Api::<DynamicObject>::namespaced_with(client.clone(), NAMESPACE, &kind("", "v1", "Service"))
        .patch("shop-metrics", &parameters, &Patch::Apply(&service))
        .await
        .context("the Service of the metrics API was refused")?;
    let api =
        Api::<DynamicObject>::all_with(client.clone(), &kind("apiregistration.k8s.io", "v1", "APIService"));
    api.patch("v1beta1.metrics.k8s.io", &parameters, &Patch::Apply(&api_service))
        .await
        .context("the metrics API was refused")?;
    let begun = Instant::now();
    loop {
        let live = api.get("v1beta1.metrics.k8s.io").await?;
        let conditions = live.data.pointer("/status/conditions").and_then(Value::as_array);
        let available = conditions.into_iter().flatten().find(|c| c["type"] == "Available");
        if available.is_some_and(|c| c["status"] == "True") {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let why = available.and_then(|c| c["message"].as_str()).unwrap_or("it says nothing");
            bail!("the API server does not serve the metrics API: {why}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// TLS on a free port of the loopback interface.
struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    async fn bind(kubeconfig: &Path) -> Result<Self> {
        let folder = kubeconfig.parent().unwrap_or_else(|| Path::new(".")).join("pki");
        let missing = || {
            format!(
                "{}: the metrics of the shop need the key pair of a cluster of cargo xtask",
                folder.display()
            )
        };
        let certificate =
            CertificateDer::from_pem_file(folder.join("cert.pem")).ok().with_context(missing)?;
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).ok().with_context(missing)?;
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { tcp, tls: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Whoever fails to connect tries again.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
