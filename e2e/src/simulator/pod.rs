//! Pods as a kubelet would report them.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};

use super::Place;

/// Uids of the running pods of the named workloads, by their `app` label.
pub(super) async fn instances(client: &Client, workloads: &[String]) -> Result<BTreeSet<String>> {
    let mut uids = BTreeSet::new();
    for workload in workloads {
        let selected = ListParams::default().labels(&format!("app={workload}"));
        for pod in Api::<Pod>::all(client.clone()).list(&selected).await? {
            let ready = pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
            if ready && pod.metadata.deletion_timestamp.is_none() {
                uids.extend(pod.uid());
            }
        }
    }
    Ok(uids)
}

/// Creates and deletes pods until the ReplicaSet has as many as it wants, all of them ready. Gives the number of writes.
pub(super) async fn reconcile(
    client: &Client,
    set: &ReplicaSet,
    present: &[Pod],
    place: Place<'_>,
) -> Result<usize> {
    let namespace = set.namespace().unwrap_or_default();
    let api = Api::<Pod>::namespaced(client.clone(), &namespace);
    let spec = set.spec.as_ref();
    let wanted = usize::try_from(spec.and_then(|s| s.replicas).unwrap_or(1)).unwrap_or_default();
    let mut writes = 0;
    for pod in present.iter().skip(wanted) {
        api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        writes += 1;
    }
    let template = spec.and_then(|s| s.template.clone()).unwrap_or_default();
    for _ in present.len()..wanted {
        let labels = template.metadata.as_ref().and_then(|m| m.labels.clone());
        let app = labels.as_ref().and_then(|l| l.get("app")).map(String::as_str).unwrap_or_default();
        let pod = Pod {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", set.name_any())),
                labels: labels.clone(),
                owner_references: set.controller_owner_ref(&()).map(|o| vec![o]),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec { node_name: Some(place(app)), ..template.spec.clone().unwrap_or_default() }),
            status: None,
        };
        let created = api.create(&PostParams::default(), &pod).await?;
        let ready = Pod { status: Some(running(&created)), ..created };
        api.replace_status(&ready.name_any(), &PostParams::default(), &ready).await?;
        writes += 2;
    }
    Ok(writes)
}

fn running(pod: &Pod) -> PodStatus {
    let started = pod.metadata.creation_timestamp.clone();
    let condition = |type_: &str| PodCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        last_transition_time: started.clone(),
        ..PodCondition::default()
    };
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    PodStatus {
        phase: Some("Running".to_owned()),
        start_time: started.clone(),
        conditions: Some(vec![
            condition("PodScheduled"),
            condition("Initialized"),
            condition("ContainersReady"),
            condition("Ready"),
        ]),
        container_statuses: Some(
            containers
                .map(|c| ContainerStatus {
                    name: c.name.clone(),
                    image: c.image.clone().unwrap_or_default(),
                    ready: true,
                    started: Some(true),
                    ..ContainerStatus::default()
                })
                .collect(),
        ),
        ..PodStatus::default()
    }
}
