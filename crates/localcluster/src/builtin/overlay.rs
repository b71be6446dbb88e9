//! What the published types leave out of their schemas: defaults, identities of list items, free-form objects.

use serde_json::{Map, Value, json};

/// (definition, field, default)
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core.v1.PodSpec", "restartPolicy", "\"Always\""),
    ("core.v1.PodSpec", "dnsPolicy", "\"ClusterFirst\""),
    ("core.v1.PodSpec", "schedulerName", "\"default-scheduler\""),
    ("core.v1.PodSpec", "terminationGracePeriodSeconds", "30"),
    ("core.v1.PodSpec", "securityContext", "{}"),
    ("core.v1.Container", "terminationMessagePath", "\"/dev/termination-log\""),
    ("core.v1.Container", "terminationMessagePolicy", "\"File\""),
    ("core.v1.Container", "resources", "{}"),
    ("core.v1.ContainerPort", "protocol", "\"TCP\""),
    ("core.v1.ServicePort", "protocol", "\"TCP\""),
    ("core.v1.ObjectFieldSelector", "apiVersion", "\"v1\""),
    ("core.v1.ConfigMapVolumeSource", "defaultMode", "420"),
    ("core.v1.SecretVolumeSource", "defaultMode", "420"),
    ("core.v1.ProjectedVolumeSource", "defaultMode", "420"),
    ("core.v1.DownwardAPIVolumeSource", "defaultMode", "420"),
    ("core.v1.HTTPGetAction", "scheme", "\"HTTP\""),
    ("core.v1.Probe", "timeoutSeconds", "1"),
    ("core.v1.Probe", "periodSeconds", "10"),
    ("core.v1.Probe", "successThreshold", "1"),
    ("core.v1.Probe", "failureThreshold", "3"),
    ("core.v1.ServiceSpec", "type", "\"ClusterIP\""),
    ("core.v1.ServiceSpec", "sessionAffinity", "\"None\""),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", "\"Cluster\""),
    ("core.v1.Secret", "type", "\"Opaque\""),
    ("core.v1.Event", "type", "\"Normal\""),
    ("core.v1.Event", "source", "{}"),
    ("core.v1.Event", "reportingComponent", "\"\""),
    ("core.v1.Event", "reportingInstance", "\"\""),
    ("apps.v1.DeploymentSpec", "replicas", "1"),
    ("apps.v1.DeploymentSpec", "revisionHistoryLimit", "10"),
    ("apps.v1.DeploymentSpec", "progressDeadlineSeconds", "600"),
    ("apps.v1.DeploymentSpec", "strategy", "{}"),
    ("apps.v1.DeploymentStrategy", "type", "\"RollingUpdate\""),
    ("apps.v1.RollingUpdateDeployment", "maxSurge", "\"25%\""),
    ("apps.v1.RollingUpdateDeployment", "maxUnavailable", "\"25%\""),
    ("apps.v1.ReplicaSetSpec", "replicas", "1"),
    ("apps.v1.StatefulSetSpec", "replicas", "1"),
    ("apps.v1.StatefulSetSpec", "revisionHistoryLimit", "10"),
    ("apps.v1.StatefulSetSpec", "podManagementPolicy", "\"OrderedReady\""),
    ("apps.v1.StatefulSetSpec", "updateStrategy", "{}"),
    ("apps.v1.StatefulSetUpdateStrategy", "type", "\"RollingUpdate\""),
    ("apps.v1.RollingUpdateStatefulSetStrategy", "partition", "0"),
    ("apps.v1.DaemonSetSpec", "revisionHistoryLimit", "10"),
    ("apps.v1.DaemonSetSpec", "updateStrategy", "{}"),
    ("apps.v1.DaemonSetUpdateStrategy", "type", "\"RollingUpdate\""),
    ("apps.v1.RollingUpdateDaemonSet", "maxSurge", "0"),
    ("apps.v1.RollingUpdateDaemonSet", "maxUnavailable", "1"),
    ("batch.v1.JobSpec", "parallelism", "1"),
    ("batch.v1.JobSpec", "completions", "1"),
    ("batch.v1.JobSpec", "backoffLimit", "6"),
    ("batch.v1.JobSpec", "completionMode", "\"NonIndexed\""),
    ("batch.v1.JobSpec", "suspend", "false"),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas", "1"),
];

/// (definition, field, keys that tell the items of the list apart)
const KEYED_LISTS: &[(&str, &str, &[&str])] = &[
    ("core.v1.PodSpec", "containers", &["name"]),
    ("core.v1.PodSpec", "initContainers", &["name"]),
    ("core.v1.PodSpec", "ephemeralContainers", &["name"]),
    ("core.v1.PodSpec", "volumes", &["name"]),
    ("core.v1.PodSpec", "imagePullSecrets", &["name"]),
    ("core.v1.PodSpec", "hostAliases", &["ip"]),
    ("core.v1.PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("core.v1.PodSpec", "schedulingGates", &["name"]),
    ("core.v1.PodSpec", "resourceClaims", &["name"]),
    ("core.v1.PodStatus", "conditions", &["type"]),
    ("core.v1.PodStatus", "podIPs", &["ip"]),
    ("core.v1.Container", "env", &["name"]),
    ("core.v1.Container", "ports", &["containerPort", "protocol"]),
    ("core.v1.Container", "volumeMounts", &["mountPath"]),
    ("core.v1.Container", "volumeDevices", &["devicePath"]),
    ("core.v1.ServiceSpec", "ports", &["port", "protocol"]),
    ("core.v1.ServiceStatus", "conditions", &["type"]),
    ("core.v1.ServiceAccount", "secrets", &["name"]),
    ("core.v1.NodeStatus", "conditions", &["type"]),
    ("core.v1.NodeStatus", "addresses", &["type"]),
    ("core.v1.NamespaceStatus", "conditions", &["type"]),
    ("apps.v1.DeploymentStatus", "conditions", &["type"]),
    ("apps.v1.ReplicaSetStatus", "conditions", &["type"]),
    ("apps.v1.StatefulSetStatus", "conditions", &["type"]),
    ("apps.v1.DaemonSetStatus", "conditions", &["type"]),
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", "conditions", &["type"]),
    ("meta.v1.ObjectMeta", "ownerReferences", &["uid"]),
];

/// Lists where strategic merge patches match items by other keys than server-side apply, or where apply takes
/// the list as a whole: (definition, field, key).
const PATCH_KEYS: &[(&str, &str, &str)] = &[
    ("core.v1.Container", "ports", "containerPort"),
    ("core.v1.ServiceSpec", "ports", "port"),
    ("core.v1.PodSpec", "topologySpreadConstraints", "topologyKey"),
    ("core.v1.NodeSpec", "taints", "key"),
    ("batch.v1.JobStatus", "conditions", "type"),
];

/// (definition, field) of lists whose items are a set.
const SETS: &[(&str, &str)] = &[("meta.v1.ObjectMeta", "finalizers"), ("core.v1.NodeSpec", "podCIDRs")];

/// Definitions that hold anything.
const FREE_FORM: &[&str] = &["runtime.RawExtension", "meta.v1.FieldsV1"];

/// (definition, field) of maps that server-side apply takes as a whole.
const ATOMIC_MAPS: &[(&str, &str)] =
    &[("core.v1.ServiceSpec", "selector"), ("core.v1.PodSpec", "nodeSelector")];

/// Definitions that server-side apply takes as a whole.
const ATOMIC: &[&str] = &[
    "meta.v1.LabelSelector",
    "core.v1.ObjectReference",
    "core.v1.LocalObjectReference",
    "core.v1.ConfigMapKeySelector",
    "core.v1.SecretKeySelector",
    "core.v1.ObjectFieldSelector",
    "core.v1.ResourceFieldSelector",
    "core.v1.NodeSelectorTerm",
    "core.v1.NodeSelector",
];

/// Lays the tables over the generated definitions.
pub(super) fn complete(definitions: &mut Map<String, Value>) {
    for (definition, field, default) in DEFAULTS {
        let default: Value = serde_json::from_str(default).unwrap_or_default();
        set(definitions, definition, field, "default", default);
    }
    for (definition, field, keys) in KEYED_LISTS {
        set(definitions, definition, field, "x-kubernetes-list-type", "map".into());
        set(definitions, definition, field, "x-kubernetes-list-map-keys", json!(keys));
        set(definitions, definition, field, "x-kubernetes-patch-merge-key", keys[0].into());
    }
    for (definition, field, key) in PATCH_KEYS {
        set(definitions, definition, field, "x-kubernetes-patch-merge-key", (*key).into());
    }
    for (definition, field) in SETS {
        set(definitions, definition, field, "x-kubernetes-list-type", "set".into());
        set(definitions, definition, field, "x-kubernetes-patch-strategy", "merge".into());
    }
    for (definition, field) in ATOMIC_MAPS {
        set(definitions, definition, field, "x-kubernetes-map-type", "atomic".into());
    }
    for (name, schema) in definitions.iter_mut() {
        if FREE_FORM.iter().any(|free| name.ends_with(&format!(".{free}"))) {
            schema["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
        if name.ends_with(".resource.Quantity") {
            schema["format"] = "quantity".into();
        }
        if ATOMIC.iter().any(|atomic| name.ends_with(&format!(".{atomic}"))) {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
    }
}

fn set(definitions: &mut Map<String, Value>, definition: &str, field: &str, name: &str, value: Value) {
    let suffix = format!(".{definition}");
    let found = definitions.iter_mut().find(|(key, _)| key.ends_with(&suffix)).map(|(_, schema)| schema);
    if let Some(property) = found.and_then(|schema| schema.pointer_mut(&format!("/properties/{field}"))) {
        property[name] = value;
    }
}

#[cfg(test)]
mod tests {
    use crate::builtin::definitions;

    #[test]
    fn every_line_of_the_tables_names_a_field_that_exists() {
        let exists = |definition: &str, field: &str| {
            let found = definitions().iter().find(|(key, _)| key.ends_with(&format!(".{definition}")));
            found.is_some_and(|(_, schema)| schema["properties"].get(field).is_some())
        };
        let names = super::DEFAULTS.iter().map(|(d, f, _)| (*d, *f));
        let names = names.chain(super::KEYED_LISTS.iter().map(|(d, f, _)| (*d, *f)));
        let names = names.chain(super::PATCH_KEYS.iter().map(|(d, f, _)| (*d, *f)));
        for (definition, field) in names.chain(super::SETS.iter().chain(super::ATOMIC_MAPS).copied()) {
            assert!(exists(definition, field), "{definition}.{field}");
        }
    }
}
