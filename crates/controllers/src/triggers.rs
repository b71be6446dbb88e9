//! Which objects are looked at again when another one changes.

use causeway_crds::incident::IncidentState;
use causeway_crds::{Incident, Remediation};
use causeway_kubekit::{Mirror, ObjectKey};
use kube::{Resource, ResourceExt};

use crate::what_if;

pub(crate) fn key_beside<K: Resource>(object: &K, name: &str) -> Vec<ObjectKey> {
    ResourceExt::namespace(object)
        .map(|namespace| ObjectKey::namespaced(namespace, name))
        .into_iter()
        .collect()
}

/// All objects of `mirror` in the namespace of what changed.
pub(crate) fn in_namespace_of<K, W>(mirror: &Mirror<K>) -> impl Fn(&W) -> Vec<ObjectKey> + Send + 'static
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
    W: Resource + 'static,
{
    let mirror = mirror.clone();
    move |changed| {
        let namespace = ResourceExt::namespace(changed).unwrap_or_default();
        mirror.list_in(&namespace).iter().map(|object| ObjectKey::of(object.as_ref())).collect()
    }
}

/// All objects of `mirror`.
pub(crate) fn everywhere<K, W: 'static>(mirror: &Mirror<K>) -> impl Fn(&W) -> Vec<ObjectKey> + Send + 'static
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mirror = mirror.clone();
    move |_| mirror.list().iter().map(|object| ObjectKey::of(object.as_ref())).collect()
}

/// The Incident of a Remediation.
pub(crate) fn incident_of(run: &Remediation) -> Vec<ObjectKey> {
    let reference = &run.spec.incident_ref;
    let namespace = reference.namespace.clone().or_else(|| run.namespace()).unwrap_or_default();
    vec![ObjectKey::namespaced(namespace, &reference.name)]
}

/// Incidents that are not over: something that a repair depends on has changed.
pub(crate) fn open_incidents<W: 'static>(
    mirror: &Mirror<Incident>,
) -> impl Fn(&W) -> Vec<ObjectKey> + Send + 'static {
    let mirror = mirror.clone();
    move |_| {
        let incidents = mirror.list();
        let open = incidents.iter().filter(|incident| {
            incident.status.as_ref().is_some_and(|status| status.state != IncidentState::Resolved)
        });
        open.map(|incident| ObjectKey::of(incident.as_ref())).collect()
    }
}

fn is_unfinished(run: &Remediation) -> bool {
    run.status.as_ref().is_none_or(|status| !status.phase.is_final())
}

/// Remediations that are not over.
pub(crate) fn unfinished<W: 'static>(
    mirror: &Mirror<Remediation>,
) -> impl Fn(&W) -> Vec<ObjectKey> + Send + 'static {
    let mirror = mirror.clone();
    move |_| keys(&mirror, |_| true)
}

/// Remediations of an Incident that are not over, or whose effect is still to be noted.
pub(crate) fn unfinished_of(
    mirror: &Mirror<Remediation>,
) -> impl Fn(&Incident) -> Vec<ObjectKey> + Send + 'static {
    let mirror = mirror.clone();
    move |incident| {
        let fingerprint = &incident.spec.fingerprint;
        let runs = mirror.list();
        let own = |run: &&std::sync::Arc<Remediation>| run.spec.incident_ref.fingerprint == *fingerprint;
        let open = runs.iter().filter(own).filter(|run| is_unfinished(run) || what_if::awaits(run));
        open.map(|run| ObjectKey::of(run.as_ref())).collect()
    }
}

/// When one is over, the others may begin.
pub(crate) fn others_waiting(
    mirror: &Mirror<Remediation>,
) -> impl Fn(&Remediation) -> Vec<ObjectKey> + Send + 'static {
    let mirror = mirror.clone();
    move |changed| {
        if is_unfinished(changed) {
            return Vec::new();
        }
        let own = changed.uid();
        keys(&mirror, |run| run.uid() != own)
    }
}

fn keys(mirror: &Mirror<Remediation>, wanted: impl Fn(&Remediation) -> bool) -> Vec<ObjectKey> {
    let runs = mirror.list();
    let runs = runs.iter().filter(|run| is_unfinished(run) && wanted(run));
    runs.map(|run| ObjectKey::of(run.as_ref())).collect()
}
