//! What the demo asks the running processes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};

use super::installation::Installation;
use crate::process::{Endpoints, Places};
use crate::simulator::{StepAnswer, Verdict};

/// State of the engine after a step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EngineState {
    pub(super) windows: u64,
    pub(super) services: usize,
    pub(super) edges: usize,
    pub(super) baselines: usize,
    pub(super) baselines_ready: usize,
    pub(super) templates: usize,
    pub(super) metrics: usize,
    pub(super) open_findings: Vec<OpenFinding>,
}

/// A finding that is open.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OpenFinding {
    pub(super) entity: String,
    pub(super) signal: String,
    pub(super) observed: Option<f64>,
    pub(super) expected: Option<f64>,
}

/// A client of Causeway, its Kubernetes API, and the simulator.
#[derive(Clone)]
pub(super) struct Remote {
    http: reqwest::Client,
    api: String,
    token: String,
    kubernetes: Client,
    simulator: String,
    /// Where each role is a process of its own.
    pub(super) installation: Option<Installation>,
}

impl Remote {
    pub(super) async fn connect(places: &Places, endpoints: &Endpoints, simulator: &str) -> Result<Self> {
        let path = places.kubeconfig();
        let kubeconfig =
            Kubeconfig::read_from(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let path = places.data.join("token");
        let token =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?,
            api: endpoints.api.clone(),
            token: token.trim().to_owned(),
            kubernetes: Client::try_from(config)?,
            simulator: simulator.to_owned(),
            installation: None,
        })
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Moves the clock and waits until all has settled.
    pub(super) async fn step(&self, now: jiff::Timestamp) -> Result<EngineState> {
        if let Some(installation) = &self.installation {
            return Ok(serde_json::from_value(self.step_roles(installation, now).await?)?);
        }
        let request = self.http.post(format!("{}/api/v1/clock", self.api)).json(&json!({"now": now}));
        let value = self.json(request).await.context("the step did not settle")?;
        Ok(serde_json::from_value(value)?)
    }

    /// The operator, the executor by what it wrote, and the operator again where that wrote something.
    async fn step_roles(&self, installation: &Installation, now: jiff::Timestamp) -> Result<Value> {
        let mut state = installation.step(now, &self.written().await?).await?;
        let written = self.written().await?;
        installation.step_executor(now, &written).await?;
        let answered = self.written().await?;
        if answered != written {
            state = installation.step(now, &answered).await?;
        }
        Ok(state)
    }

    /// Newest versions of what roles tell each other, by plural.
    async fn written(&self) -> Result<Value> {
        let mut versions = serde_json::Map::new();
        for (kind, plural) in [("Incident", "incidents"), ("Remediation", "remediations")] {
            let version =
                |object: &Value| object.pointer("/metadata/resourceVersion")?.as_str()?.parse::<u64>().ok();
            let newest = self.list(kind, plural).await?.iter().filter_map(version).max();
            versions.extend(newest.map(|version| (plural.to_owned(), json!(version.to_string()))));
        }
        Ok(Value::Object(versions))
    }

    /// Band and values of a signal.
    pub(super) async fn series(&self, entity: &str, signal: &str) -> Result<Value> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/series", self.api))?;
        url.query_pairs_mut().append_pair("entity", entity).append_pair("signal", signal);
        self.json(self.http.get(url)).await
    }

    /// Call edges.
    pub(super) async fn topology(&self) -> Result<Value> {
        self.json(self.http.get(format!("{}/api/v1/topology", self.api))).await
    }

    /// A page of the console.
    pub(super) async fn page(&self, path: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.api))?;
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status().with_context(|| format!("the console has no {path}"))?.text().await?)
    }

    /// Rows of a query, the header first.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let request = self.http.post(format!("{}/api/v1/query", self.api)).json(&json!({"sql": sql}));
        let value = self.json(request).await.with_context(|| format!("query failed: {sql}"))?;
        let rows = value.get("rows").cloned().unwrap_or_default();
        Ok(serde_json::from_value(rows)?)
    }

    /// The single number that a query gives.
    pub(super) async fn number(&self, sql: &str) -> Result<i64> {
        let rows = self.query(sql).await?;
        rows.get(1)
            .and_then(|r| r.first())
            .and_then(|c| c.parse().ok())
            .with_context(|| format!("no number: {sql}"))
    }

    /// All objects of a causeway kind.
    pub(super) async fn list(&self, kind: &str, plural: &str) -> Result<Vec<Value>> {
        let gvk = GroupVersionKind::gvk("causeway.dev", "v1alpha1", kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::all_with(self.kubernetes.clone(), &resource);
        let list = api.list(&ListParams::default()).await.with_context(|| format!("cannot list {plural}"))?;
        list.items.into_iter().map(|o| Ok(serde_json::to_value(o)?)).collect()
    }

    /// Incidents, oldest first.
    pub(super) async fn incidents(&self) -> Result<Vec<Value>> {
        let mut incidents = self.list("Incident", "incidents").await?;
        incidents.sort_by_key(created);
        Ok(incidents)
    }

    /// Remediations, oldest first.
    pub(super) async fn remediations(&self) -> Result<Vec<Value>> {
        let mut remediations = self.list("Remediation", "remediations").await?;
        remediations.sort_by_key(created);
        Ok(remediations)
    }

    /// The bundle of an incident, with the objects that a repair was planned on.
    pub(super) async fn bundle(&self, fingerprint: &str) -> Result<Vec<u8>> {
        let request = self.http.get(format!("{}/api/v1/bundles/{fingerprint}", self.api));
        let answer = request.bearer_auth(&self.token).send().await?.error_for_status()?;
        Ok(answer.bytes().await?.to_vec())
    }

    async fn simulator<T: serde::de::DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let answer = request.send().await.context("the workload simulator does not answer")?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("workload simulator: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Lets Deployments come to rest.
    pub(super) async fn simulate(&self) -> Result<StepAnswer> {
        self.simulator(self.http.post(format!("{}/step", self.simulator))).await
    }

    /// Starts the fault.
    pub(super) async fn begin_fault(&self) -> Result<StepAnswer> {
        self.simulator(self.http.post(format!("{}/begin", self.simulator))).await
    }

    /// The label; for the summary only.
    pub(super) async fn verdict(&self) -> Result<Verdict> {
        self.simulator(self.http.get(format!("{}/verdict", self.simulator))).await
    }
}

fn created(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{} {}", text("/metadata/creationTimestamp"), text("/metadata/name"))
}
