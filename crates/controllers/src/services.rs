//! Which service an entity is, which object it runs as, and back.

use causeway_actions::view::NODE_NAMESPACE;
use causeway_crds::MonitoredService;
use causeway_crds::reference::ObjectRef;
use kube::ResourceExt;

use crate::mirrors::{Mirrors, WORKLOADS};
use crate::target_view::Target;
use causeway_kubekit::ObjectKey;

/// Name of a service in telemetry.
pub(crate) fn telemetry_name(service: &MonitoredService) -> String {
    service.spec.telemetry_name.clone().unwrap_or_else(|| service.name_any())
}

/// Entities in telemetry that are this service: its name there, and the same below its namespace.
pub(crate) fn entities(service: &MonitoredService) -> Vec<String> {
    let name = telemetry_name(service);
    let own = service.namespace().unwrap_or_default();
    if name.contains('/') { vec![name] } else { vec![format!("{own}/{name}"), name] }
}

/// Whether `entity` of an incident in `namespace` is this service: `namespace/name` or the bare name.
pub(crate) fn is_entity(service: &MonitoredService, entity: &str, namespace: &str) -> bool {
    let name = telemetry_name(service);
    let own = service.namespace().unwrap_or_default();
    name == entity || format!("{own}/{name}") == entity && (own == namespace || entity.contains('/'))
}

/// Begins of the names of entities that run as no workload.
const NO_WORKLOAD: [&str; 9] = [
    "Node",
    "Database",
    "Queue",
    "External",
    "Function",
    "Agent",
    "Tool",
    "Model",
    "HorizontalPodAutoscaler",
];

/// The object that an entity names or runs as; `None` when there is none.
///
/// In this order: `Kind/namespace/name`; the first workload of a MonitoredService with that telemetry name; the
/// Deployment, StatefulSet or DaemonSet of that name; the one whose pod it is.
pub(crate) fn target_of(mirrors: &Mirrors, entity: &str, namespace: &str) -> Option<Target> {
    let parts: Vec<&str> = entity.split('/').collect();
    if let [kind, own, name] = parts.as_slice() {
        let api_version = match *kind {
            "Deployment" | "StatefulSet" | "DaemonSet" => Some("apps/v1"),
            "ConfigMap" => Some("v1"),
            _ => None,
        };
        if let Some(api_version) = api_version {
            return Some(target(api_version, kind, own, name));
        }
    }
    // Repairs of nodes live in a namespace of their own, with a policy and an account of their own.
    if let ["Node", .., name] = parts.as_slice() {
        return Some(target("v1", "Node", NODE_NAMESPACE, name));
    }
    // Databases and peers run as no workload, whatever else has their name.
    if let [kind, ..] = parts.as_slice()
        && NO_WORKLOAD.contains(kind)
    {
        return None;
    }
    let (own, name) = match parts.as_slice() {
        [name] => (namespace, *name),
        [.., own, name] => (*own, *name),
        [] => return None,
    };
    let bare_matches = |service: &MonitoredService| {
        telemetry_name(service) == name && service.namespace().as_deref() == Some(own)
    };
    let services = mirrors.services.list();
    let declared = services
        .iter()
        .find(|service| is_entity(service, entity, namespace) || bare_matches(service))
        .and_then(|service| service.spec.workloads.first().map(|workload| declared(service, workload)));
    declared.or_else(|| {
        let found = |place: &str, name: &str| {
            let key = ObjectKey::namespaced(place, name);
            let kind = WORKLOADS.iter().find(|kind| mirrors.uid_of_workload(kind, &key).is_some())?;
            Some(target("apps/v1", kind, place, name))
        };
        [own, namespace]
            .into_iter()
            .find_map(|place| workload_names(name).find_map(|candidate| found(place, candidate)))
    })
}

/// The name itself, and what it may be the pod of: without the last, and without the last two dashed parts.
fn workload_names(name: &str) -> impl Iterator<Item = &str> {
    let set = name.rsplit_once('-').map(|(front, _)| front);
    let workload = set.and_then(|set| set.rsplit_once('-')).map(|(front, _)| front);
    [Some(name), workload, set].into_iter().flatten()
}

fn target(api_version: &str, kind: &str, namespace: &str, name: &str) -> Target {
    Target {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn declared(service: &MonitoredService, workload: &ObjectRef) -> Target {
    let own = service.namespace().unwrap_or_default();
    target(
        &workload.api_version,
        &workload.kind,
        workload.namespace.as_deref().unwrap_or(&own),
        &workload.name,
    )
}

/// Whether a service runs on this workload.
pub(crate) fn runs_on(service: &MonitoredService, kind: &str, namespace: &str, name: &str) -> bool {
    let listed = service.spec.workloads.iter().any(|workload| {
        let found = declared(service, workload);
        found.kind == kind && found.namespace == namespace && found.name == name
    });
    let by_name = service.spec.workloads.is_empty()
        && service.namespace().as_deref() == Some(namespace)
        && telemetry_name(service).rsplit('/').next() == Some(name);
    listed || by_name
}

/// Services that run on this workload.
pub(crate) fn services_on(
    mirrors: &Mirrors,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Vec<MonitoredService> {
    let services = mirrors.services.list();
    let own = services.iter().filter(|service| runs_on(service, kind, namespace, name));
    own.map(|service| (**service).clone()).collect()
}

/// Services and what they need: one repair at a time for each.
pub(crate) fn shared_dependencies(services: &[MonitoredService]) -> Vec<String> {
    let mut names = Vec::new();
    for service in services {
        names.push(telemetry_name(service));
        let needs = service.spec.dependencies.iter();
        names.extend(needs.filter_map(|need| need.service.clone().or_else(|| need.external.clone())));
    }
    names.sort_unstable();
    names.dedup();
    names.truncate(16);
    names
}

/// Names in telemetry of what runs on this workload; `namespace/name` when nothing is declared.
pub(crate) fn entities_of(mirrors: &Mirrors, kind: &str, namespace: &str, name: &str) -> Vec<String> {
    let declared = services_on(mirrors, kind, namespace, name);
    if declared.is_empty() {
        return vec![format!("{namespace}/{name}")];
    }
    declared.iter().map(telemetry_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_leads_to_its_workload() {
        let names: Vec<&str> = workload_names("web-5d4f9c-x7k2p").collect();
        assert_eq!(names, ["web-5d4f9c-x7k2p", "web", "web-5d4f9c"]);
        assert_eq!(workload_names("web").collect::<Vec<_>>(), ["web"]);
    }

    #[test]
    fn a_service_is_known_by_both_names() {
        let mut service = MonitoredService::new("web", causeway_crds::MonitoredServiceSpec::default());
        service.metadata.namespace = Some("shop".into());
        assert!(is_entity(&service, "web", "shop"));
        assert!(is_entity(&service, "shop/web", "shop"));
        assert!(!is_entity(&service, "other/web", "shop"));
        service.spec.telemetry_name = Some("train-ticket/web".into());
        assert!(is_entity(&service, "train-ticket/web", "shop"));
    }
}
