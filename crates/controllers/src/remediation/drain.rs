//! Empties a node: evicts its pods, round by round, until none is left.

use std::time::Duration;

use causeway_actions::{DrainMutation, TargetRef};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::mutate::{Made, Turn, eviction};
use crate::error::{ControllerError, Doing};

/// One round. What it finds evicted is evicted: a round after a crash does no more than the one that was cut off.
///
/// # Errors
/// No answer.
pub(super) async fn go_on(
    client: &Client,
    drain: &DrainMutation,
    turn: &Turn<'_>,
) -> Result<Made, ControllerError> {
    let pods = match pods_on(client, &drain.target.name).await {
        Ok(pods) => pods,
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
            return Ok(Made::Refused(status.message.clone()));
        }
        Err(error) => return Err(error).doing(|| format!("listing the pods of {}", drain.target)),
    };
    if pods.is_empty() {
        return Ok(Made::done());
    }
    if pods.len() > usize::try_from(drain.max_pods).unwrap_or(0) {
        return Ok(Made::Refused(format!(
            "{} pods run on the node, at most {} may be evicted",
            pods.len(),
            drain.max_pods
        )));
    }
    let mut held = String::new();
    for pod in &pods {
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let target = reference(pod);
        let api: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
        match api.evict(&target.name, &eviction(&target, false)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(kube::Error::Api(status)) if status.code == 429 => {
                held = format!(", {target} is held up: {}", status.message);
            }
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                return Ok(Made::Refused(format!("{target}: {}", status.message)));
            }
            Err(error) => return Err(error).doing(|| format!("evicting {target}")),
        }
    }
    let within = Duration::from_secs(60 * u64::from(drain.within_minutes.unsigned_abs()));
    Ok(turn.later(within, format!("{} pods are left{held}", pods.len())))
}

/// Pods on a node that an eviction moves elsewhere: not those that are over, static, or of a DaemonSet.
pub(super) async fn pods_on(client: &Client, node: &str) -> Result<Vec<Pod>, kube::Error> {
    let api: Api<Pod> = Api::all(client.clone());
    let found = api.list(&ListParams::default().fields(&format!("spec.nodeName={node}"))).await?;
    Ok(found.items.into_iter().filter(moves).collect())
}

fn moves(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let is_static = pod.annotations().contains_key("kubernetes.io/config.mirror");
    let of_daemon_set = pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet");
    !matches!(phase, "Succeeded" | "Failed") && !is_static && !of_daemon_set
}

fn reference(pod: &Pod) -> TargetRef {
    TargetRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
    }
}
