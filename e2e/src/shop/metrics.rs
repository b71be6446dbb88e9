//! The use of the shop's pods as the resource metrics API (`metrics.k8s.io`), so that the autoscalers of a real cluster see
//! it. Served on loopback behind an APIService, with the key pair of the cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::serve::Listener as _;
use axum::{Json, Router};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::world::World;
use crate::api::until;
use crate::tls::TlsListener;

/// Path of the API's only version.
const VERSION: &str = "/apis/metrics.k8s.io/v1beta1";
/// Its name in the API server.
const API: &str = "v1beta1.metrics.k8s.io";
/// How long the API server may take to find the API, and an autoscaler to look at it twice.
const PATIENCE: Duration = Duration::from_secs(60);

/// Use of the pods of a service, and who has looked.
#[derive(Default)]
struct Told {
    /// Cores by pod.
    pods: BTreeMap<String, f64>,
    /// Times that they were asked for since they were told.
    asked: u32,
}

/// The API; clones are the same one.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// By service.
    told: Arc<Mutex<BTreeMap<String, Told>>>,
}

impl Metrics {
    /// Serves the API, and registers it in a cluster of `cargo xtask cluster`, whose key pair lies beside its kubeconfig.
    ///
    /// # Errors
    /// When there is no key pair, or the API server does not come to serve the API.
    pub(crate) async fn open(client: &Client, kubeconfig: &Path) -> Result<Self> {
        let keys = kubeconfig.with_file_name("pki");
        let listener = TlsListener::bind(&keys).await.with_context(|| {
            format!("{}: the shop's metrics need the key pair of a cluster of cargo xtask", keys.display())
        })?;
        let port = listener.local_addr()?.port();
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
        told.clear();
        for instance in &world.instances {
            let service = world.topology.services[instance.service].name.clone();
            let cores = world.usage[instance.service] / 100.0 * instance.cpu;
            told.entry(service).or_default().pods.insert(instance.pod.clone(), cores);
        }
    }

    /// Waits until an autoscaler has finished with what was told: it asks for the second time.
    ///
    /// # Errors
    /// When it does not ask.
    pub(crate) async fn was_seen(&self, service: &str) -> Result<()> {
        until(PATIENCE, async || {
            let waits = self.told.lock().get(service).is_none_or(|told| told.asked < 2);
            Ok(waits.then(|| format!("the autoscaler of {service} does not ask for the use of its pods")))
        })
        .await
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
    let mut all = metrics.told.lock();
    let told = all.entry(service.to_owned()).or_default();
    told.asked += 1;
    let item = |(pod, cores): (&String, &f64)| {
        let cpu = format!("{}n", (cores * 1e9).round());
        json!({"metadata": {"name": pod, "namespace": NAMESPACE, "labels": {"app": service}},
            "timestamp": Timestamp::now(), "window": "10s",
            "containers": [{"name": service, "usage": {"cpu": cpu, "memory": "64Mi"}}]})
    };
    let items: Vec<Value> = told.pods.iter().map(item).collect();
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
        "metadata": {"name": API},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": "shop-metrics", "namespace": NAMESPACE, "port": port}}});
    let parameters = PatchParams::apply("shop").force();
    let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    let applied = services.patch("shop-metrics", &parameters, &Patch::Apply(&service)).await;
    applied.context("the Service of the metrics API was refused")?;
    let apis = Api::<APIService>::all(client.clone());
    let applied = apis.patch(API, &parameters, &Patch::Apply(&api_service)).await;
    applied.context("the metrics API was refused")?;
    until(PATIENCE, async || {
        let conditions = apis.get(API).await?.status.and_then(|status| status.conditions);
        let available = conditions.into_iter().flatten().find(|c| c.type_ == "Available");
        if available.as_ref().is_some_and(|c| c.status == "True") {
            return Ok(None);
        }
        let why = available.and_then(|c| c.message).unwrap_or_else(|| "it says nothing".to_owned());
        Ok(Some(format!("the API server does not serve the metrics API: {why}")))
    })
    .await
}
