//! Keeps the values of ConfigMaps as ControllerRevisions that they own, so that a bad change can be taken back.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;

use crate::error::{ControllerError, Doing};

/// Revisions that are kept of each ConfigMap.
const KEPT: usize = 10;

/// Keeps the present values if they are not those of the last revision. A failure is logged: there is nothing else
/// that could be done about it, and the change itself must still be told.
pub(super) async fn keep(client: &Client, object: &ConfigMap) {
    if let Err(error) = try_keep(client, object).await {
        tracing::warn!(
            config_map = object.name_any(),
            error = causeway_kubekit::error_chain(&error),
            "values were not kept"
        );
    }
}

async fn try_keep(client: &Client, object: &ConfigMap) -> Result<(), ControllerError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), &namespace);
    let all = api.list(&ListParams::default()).await;
    let all = all.doing(|| format!("listing ControllerRevisions in {namespace}"))?;
    let uid = object.uid().unwrap_or_default();
    let mut own: Vec<ControllerRevision> = all
        .items
        .into_iter()
        .filter(|revision| revision.owner_references().iter().any(|owner| owner.uid == uid))
        .collect();
    own.sort_by_key(|revision| revision.revision);
    let data = json!({"data": object.data.clone().unwrap_or_default()});
    let last = own.last();
    if last.and_then(|revision| revision.data.as_ref()).is_some_and(|kept| kept.0 == data) {
        return Ok(());
    }
    let number = last.map_or(0, |revision| revision.revision) + 1;
    let mut revision = ControllerRevision {
        data: Some(RawExtension(data)),
        revision: number,
        ..ControllerRevision::default()
    };
    revision.metadata.name = Some(format!("{name}-config-{number}"));
    revision.metadata.namespace = Some(namespace.clone());
    revision.metadata.owner_references = object.controller_owner_ref(&()).map(|owner| vec![owner]);
    match api.create(&PostParams::default(), &revision).await {
        Ok(_) => {}
        // Kept by another look at the same change.
        Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
        Err(error) => {
            return Err(error).doing(|| format!("keeping the values of ConfigMap {namespace}/{name}"));
        }
    }
    let surplus = (own.len() + 1).saturating_sub(KEPT);
    for old in own.iter().take(surplus) {
        let gone = api.delete(&old.name_any(), &DeleteParams::default()).await;
        gone.doing(|| format!("deleting ControllerRevision {namespace}/{}", old.name_any()))?;
    }
    Ok(())
}
