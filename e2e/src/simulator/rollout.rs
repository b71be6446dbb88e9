//! Rollouts of a real Deployment controller.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// Longest rollout.
const LONGEST: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// Waits until every Deployment is rolled out; gives the number of those that were not at first.
pub(super) async fn at_rest(client: &Client) -> Result<usize> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let (begun, mut first) = (Instant::now(), None);
    loop {
        let list = deployments.list(&ListParams::default()).await?;
        let moving: Vec<String> = list.iter().filter(|d| !is_rolled_out(d)).map(|d| d.name_any()).collect();
        let first = *first.get_or_insert(moving.len());
        if moving.is_empty() {
            return Ok(first);
        }
        if begun.elapsed() > LONGEST {
            bail!("not rolled out after {} s: {}", LONGEST.as_secs(), moving.join(", "));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether its controller has seen the newest spec and has done what it says.
pub(crate) fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let count = |n: Option<i32>| n.unwrap_or_default();
    status.observed_generation >= deployment.metadata.generation
        && count(status.updated_replicas) == wanted
        && count(status.replicas) == wanted
        && count(status.available_replicas) == wanted
}
