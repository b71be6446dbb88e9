//! Deployments as their controller would bring them about: one ReplicaSet a revision of the pod template.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetSpec, ReplicaSetStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use super::{Place, pod};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// One pass over one Deployment; gives the number of writes, 0 when it is at rest.
pub(super) async fn reconcile(
    client: &Client,
    deployment: &Deployment,
    sets: &[ReplicaSet],
    pods: &HashMap<String, Vec<Pod>>,
    place: Place<'_>,
) -> Result<usize> {
    let namespace = deployment.namespace().unwrap_or_default();
    let spec = deployment.spec.clone().context("has no spec")?;
    if spec.paused == Some(true) {
        return Ok(0);
    }
    let hash = format!("{:010x}", xxh3_64(&serde_json::to_vec(&spec.template)?) >> 24);
    let api = Api::<ReplicaSet>::namespaced(client.clone(), &namespace);
    let newest = sets.iter().map(revision).max().unwrap_or_default();
    let mut writes = 0;
    let current = match sets.iter().find(|s| s.labels().get(HASH) == Some(&hash)) {
        Some(set) => {
            // An old template that is current again becomes the newest revision.
            if revision(set) < newest {
                let patch = json!({"metadata": {"annotations": {REVISION: (newest + 1).to_string()}}});
                api.patch(&set.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
                writes += 1;
            }
            set.clone()
        }
        None => {
            writes += 1;
            api.create(&PostParams::default(), &new_set(deployment, &hash, newest + 1)?).await?
        }
    };
    let wanted = spec.replicas.unwrap_or(1);
    for set in sets.iter().chain((!sets.iter().any(|s| s.uid() == current.uid())).then_some(&current)) {
        let replicas = if set.uid() == current.uid() { wanted } else { 0 };
        let present = set.uid().and_then(|uid| pods.get(&uid)).map(Vec::as_slice).unwrap_or_default();
        writes += settle_set(client, &api, set, replicas, present, place).await?;
    }
    let revision = revision(&current).max(if writes == 0 { newest } else { 0 });
    writes += settle_status(client, deployment, wanted, revision).await?;
    Ok(writes)
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|r| r.parse().ok()).unwrap_or_default()
}

fn new_set(deployment: &Deployment, hash: &str, revision: i64) -> Result<ReplicaSet> {
    let spec = deployment.spec.clone().context("has no spec")?;
    let mut template = spec.template;
    let mut labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    template.metadata.get_or_insert_default().labels = Some(labels.clone());
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.to_owned());
    Ok(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(REVISION.to_owned(), revision.to_string())])),
            owner_references: deployment.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: spec.replicas,
            selector,
            template: Some(template),
            ..ReplicaSetSpec::default()
        }),
        status: None,
    })
}

async fn settle_set(
    client: &Client,
    api: &Api<ReplicaSet>,
    set: &ReplicaSet,
    replicas: i32,
    present: &[Pod],
    place: Place<'_>,
) -> Result<usize> {
    let mut set = set.clone();
    let mut writes = 0;
    if set.spec.as_ref().and_then(|s| s.replicas) != Some(replicas) {
        let patch = json!({"spec": {"replicas": replicas}});
        set = api.patch(&set.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        writes += 1;
    }
    writes += pod::reconcile(client, &set, present, place).await?;
    let status = ReplicaSetStatus {
        replicas,
        ready_replicas: Some(replicas),
        available_replicas: Some(replicas),
        fully_labeled_replicas: Some(replicas),
        observed_generation: set.metadata.generation,
        ..ReplicaSetStatus::default()
    };
    if set.status.as_ref() != Some(&status) {
        set.status = Some(status);
        let set = api.get(&set.name_any()).await.map(|live| ReplicaSet { status: set.status, ..live })?;
        api.replace_status(&set.name_any(), &PostParams::default(), &set).await?;
        writes += 1;
    }
    Ok(writes)
}

async fn settle_status(
    client: &Client,
    deployment: &Deployment,
    wanted: i32,
    revision: i64,
) -> Result<usize> {
    let api = Api::<Deployment>::namespaced(client.clone(), &deployment.namespace().unwrap_or_default());
    let mut writes = 0;
    let mut live = deployment.clone();
    if live.annotations().get(REVISION) != Some(&revision.to_string()) {
        let patch = json!({"metadata": {"annotations": {REVISION: revision.to_string()}}});
        live = api.patch(&live.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        writes += 1;
    }
    let old = live.status.clone().unwrap_or_default();
    // A deadline that has passed stays so until something new is rolled out.
    let stuck =
        old.conditions.iter().flatten().any(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    if stuck && old.observed_generation == live.metadata.generation {
        return Ok(writes);
    }
    let condition = |type_: &str, reason: &str| {
        let known = old.conditions.iter().flatten().find(|c| c.type_ == type_ && c.status == "True");
        DeploymentCondition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            last_transition_time: known
                .and_then(|c| c.last_transition_time.clone())
                .or_else(|| live.metadata.creation_timestamp.clone()),
            ..DeploymentCondition::default()
        }
    };
    let status = DeploymentStatus {
        observed_generation: live.metadata.generation,
        replicas: Some(wanted),
        updated_replicas: Some(wanted),
        ready_replicas: Some(wanted),
        available_replicas: Some(wanted),
        conditions: Some(vec![
            condition("Available", "MinimumReplicasAvailable"),
            condition("Progressing", "NewReplicaSetAvailable"),
        ]),
        ..DeploymentStatus::default()
    };
    if old != status {
        live.status = Some(status);
        let fresh = api.get(&live.name_any()).await?;
        live.metadata.resource_version = fresh.metadata.resource_version;
        api.replace_status(&live.name_any(), &PostParams::default(), &live).await?;
        writes += 1;
    }
    Ok(writes)
}
