//! The workload simulator: deployment controller and kubelet for `localcluster`, and the holder of the fault.
//!
//! A process of its own. It alone reads a recording's label, and ends the fault only when the workload that really
//! has it was repaired: a repair of anything else changes nothing. Against a cluster it leaves Deployments to the real
//! controllers, and waits until they are at rest.

mod deployment;
mod fault;
mod pod;
mod rollout;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::api::client;
use fault::Fault;
pub(crate) use rollout::is_rolled_out;

/// Passes after which a rollout that still changes things is an error.
const MAX_PASSES: usize = 10;
/// Where all pods of a recording run.
const NODE: &str = "node-1";

/// Arguments of `simulate`.
#[derive(Args, Debug)]
pub struct SimulatorArguments {
    /// Kubeconfig of the API to play controllers for
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The API has controllers of its own: wait for them
    #[arg(long)]
    real_controllers: bool,
    /// Label of the recording
    #[arg(long)]
    label: PathBuf,
    /// Where to write the address of the control endpoint
    #[arg(long)]
    address_file: PathBuf,
}

/// Answer to a step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepAnswer {
    /// Whether the fault is there.
    pub fault_active: bool,
    /// Objects written in this step.
    pub writes: usize,
}

/// What the simulator knows, for the summary at the very end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Labelled causes.
    pub label: Vec<String>,
    /// Type of the fault.
    pub fault_type: String,
    /// Whether the fault is still there.
    pub fault_active: bool,
}

struct Simulator {
    client: Client,
    real_controllers: bool,
    fault: Mutex<Fault>,
}

type Failure = (StatusCode, String);

/// Serves until it is killed.
///
/// # Errors
/// When the kubeconfig, the label or the address file can't be used.
pub async fn run(arguments: SimulatorArguments) -> Result<()> {
    // Two providers are linked in; without a choice the first handshake would fail.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let client = client(&arguments.kubeconfig).await?;
    let fault = Fault::read(&arguments.label)?;
    let simulator = Arc::new(Simulator {
        client,
        real_controllers: arguments.real_controllers,
        fault: Mutex::new(fault),
    });
    let router = Router::new()
        .route("/step", post(step))
        .route("/begin", post(begin))
        .route("/verdict", get(verdict))
        .with_state(simulator);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    std::fs::write(&arguments.address_file, listener.local_addr()?.to_string())
        .with_context(|| format!("cannot write {}", arguments.address_file.display()))?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn step(State(simulator): State<Arc<Simulator>>) -> Result<Json<StepAnswer>, Failure> {
    simulator.step().await.map(Json).map_err(failure)
}

async fn begin(State(simulator): State<Arc<Simulator>>) -> Result<Json<StepAnswer>, Failure> {
    simulator.begin().await.map(Json).map_err(failure)
}

async fn verdict(State(simulator): State<Arc<Simulator>>) -> Json<Verdict> {
    Json(simulator.fault.lock().await.verdict())
}

fn failure(error: anyhow::Error) -> Failure {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

impl Simulator {
    /// Brings every Deployment to where its controller and kubelet would bring it.
    async fn step(&self) -> Result<StepAnswer> {
        let writes = if self.real_controllers {
            rollout::at_rest(&self.client).await?
        } else {
            play(&self.client, &|_| NODE.to_owned()).await?
        };
        let mut fault = self.fault.lock().await;
        if fault.is_active() {
            let pods = pod::instances(&self.client, fault.workloads()).await?;
            fault.observe(&pods);
        }
        Ok(StepAnswer { fault_active: fault.is_active(), writes })
    }

    async fn begin(&self) -> Result<StepAnswer> {
        let mut fault = self.fault.lock().await;
        let pods = pod::instances(&self.client, fault.workloads()).await?;
        fault.begin(pods)?;
        Ok(StepAnswer { fault_active: fault.is_active(), writes: 0 })
    }
}

/// Chooses the node of a new pod, by its `app` label.
pub(crate) type Place<'a> = &'a (dyn Fn(&str) -> String + Sync);

/// Plays the controllers of Deployments until nothing changes; gives the number of writes.
pub(crate) async fn play(client: &Client, place: Place<'_>) -> Result<usize> {
    let mut writes = 0;
    for _ in 0..MAX_PASSES {
        let changed = pass(client, place).await?;
        writes += changed;
        if changed == 0 {
            return Ok(writes);
        }
    }
    anyhow::bail!("Deployments do not come to rest after {MAX_PASSES} passes")
}

async fn pass(client: &Client, place: Place<'_>) -> Result<usize> {
    let mut writes = 0;
    let all = ListParams::default();
    // Three lists a pass: most Deployments are at rest, and looking at each would cost several calls.
    let sets = by_owner(Api::<ReplicaSet>::all(client.clone()).list(&all).await?.items);
    let pods = by_owner(Api::<Pod>::all(client.clone()).list(&all).await?.items);
    for deployment in Api::<Deployment>::all(client.clone()).list(&all).await? {
        let sets = deployment.uid().and_then(|uid| sets.get(&uid)).map(Vec::as_slice).unwrap_or_default();
        writes += deployment::reconcile(client, &deployment, sets, &pods, place)
            .await
            .with_context(|| format!("Deployment {}", deployment.name_any()))?;
    }
    Ok(writes)
}

/// Objects by the uid of their owner.
fn by_owner<K: kube::Resource>(objects: Vec<K>) -> HashMap<String, Vec<K>> {
    let mut owned: HashMap<String, Vec<K>> = HashMap::new();
    for object in objects {
        let owner = object.meta().owner_references.iter().flatten().next().map(|o| o.uid.clone());
        if let Some(owner) = owner {
            owned.entry(owner).or_default().push(object);
        }
    }
    owned
}
