//! Which service a resource is.

use causeway_model::service_name;

/// Attributes that name the service, the best first, each with the attribute of its namespace.
const NAMES: [(&str, &str); 6] = [
    ("service.name", "service.namespace"),
    ("k8s.deployment.name", "k8s.namespace.name"),
    ("aws.ecs.task.family", ""),
    ("k8s.container.name", "k8s.namespace.name"),
    ("container.name", ""),
    ("host.name", ""),
];

/// The `service` column of a resource: `service.namespace/service.name`, or else what runs it.
/// The name that SDKs set when nobody configured one (`unknown_service:java`) counts as missing.
pub(crate) fn service_of(resource: &[(String, String)]) -> String {
    let get = |key: &str| resource.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.as_str());
    let named = NAMES.iter().find_map(|(name, namespace)| {
        let name = get(name).filter(|n| !n.starts_with("unknown_service"))?;
        Some(service_name(get(namespace).unwrap_or_default(), name))
    });
    named.or_else(|| get("service.name").map(str::to_owned)).unwrap_or_else(|| "unknown_service".to_owned())
}

#[cfg(test)]
mod tests {
    use super::service_of;

    #[test]
    fn falls_back_in_order() {
        for (resource, want) in [
            (vec![("service.name", "a"), ("service.namespace", "shop")], "shop/a"),
            (vec![("service.name", "a"), ("host.name", "h")], "a"),
            (vec![("service.name", "unknown_service:java"), ("k8s.deployment.name", "d")], "d"),
            (vec![("k8s.deployment.name", "d"), ("k8s.namespace.name", "n")], "n/d"),
            (vec![("aws.ecs.task.family", "f"), ("host.name", "h")], "f"),
            (vec![("host.name", "h")], "h"),
            (vec![("service.name", "unknown_service:java")], "unknown_service:java"),
            (vec![], "unknown_service"),
        ] {
            let resource: Vec<_> = resource.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(service_of(&resource), want);
        }
    }
}
