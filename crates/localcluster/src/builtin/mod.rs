//! The kinds that are always served, with schemas taken from the published API types.

mod cells;
mod columns;
mod overlay;
mod schemas;

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

pub(crate) use cells::cells;
pub(crate) use schemas::{definition_name, definitions};

use crate::kind::{Column, Kind, Origin, ScalePaths, Scope, Shape};
use crate::schema::Schema;

/// One line of the table of built-in kinds.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    scope: Scope,
    status: bool,
    scale: bool,
    in_all: bool,
    generations: bool,
    selectable: &'static [&'static str],
}

const CORE: Row = Row {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    short: &[],
    scope: Scope::Namespaced,
    status: false,
    scale: false,
    in_all: false,
    generations: false,
    selectable: &[],
};

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const NEW_EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "reason",
    "reportingController",
    "type",
];

const ROWS: &[Row] = &[
    Row {
        kind: "Namespace",
        plural: "namespaces",
        short: &["ns"],
        scope: Scope::Cluster,
        status: true,
        selectable: &["status.phase"],
        ..CORE
    },
    Row {
        kind: "Node",
        plural: "nodes",
        short: &["no"],
        scope: Scope::Cluster,
        status: true,
        selectable: &["spec.unschedulable"],
        ..CORE
    },
    Row {
        kind: "Pod",
        plural: "pods",
        short: &["po"],
        status: true,
        generations: true,
        in_all: true,
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ..CORE
    },
    Row { kind: "ConfigMap", plural: "configmaps", short: &["cm"], ..CORE },
    Row { kind: "Secret", plural: "secrets", selectable: &["type"], ..CORE },
    Row {
        kind: "Service",
        plural: "services",
        short: &["svc"],
        status: true,
        in_all: true,
        selectable: &["spec.type", "spec.clusterIP"],
        ..CORE
    },
    Row { kind: "ServiceAccount", plural: "serviceaccounts", short: &["sa"], ..CORE },
    Row { kind: "Event", plural: "events", short: &["ev"], selectable: EVENT_FIELDS, ..CORE },
    Row {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        short: &["ev"],
        selectable: NEW_EVENT_FIELDS,
        ..CORE
    },
    Row {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        short: &["deploy"],
        status: true,
        scale: true,
        in_all: true,
        generations: true,
        ..CORE
    },
    Row {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        short: &["rs"],
        status: true,
        scale: true,
        in_all: true,
        generations: true,
        selectable: &["status.replicas"],
        ..CORE
    },
    Row {
        group: "apps",
        kind: "StatefulSet",
        plural: "statefulsets",
        short: &["sts"],
        status: true,
        scale: true,
        in_all: true,
        generations: true,
        ..CORE
    },
    Row {
        group: "apps",
        kind: "DaemonSet",
        plural: "daemonsets",
        short: &["ds"],
        status: true,
        in_all: true,
        generations: true,
        ..CORE
    },
    Row { group: "apps", kind: "ControllerRevision", plural: "controllerrevisions", ..CORE },
    Row {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        short: &["hpa"],
        status: true,
        in_all: true,
        ..CORE
    },
    Row {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        status: true,
        in_all: true,
        generations: true,
        selectable: &["status.successful"],
        ..CORE
    },
    Row { group: "coordination.k8s.io", kind: "Lease", plural: "leases", ..CORE },
    Row {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        short: &["crd", "crds"],
        scope: Scope::Cluster,
        status: true,
        generations: true,
        ..CORE
    },
];

/// Groups of the built-in kinds.
pub(crate) fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = ROWS.iter().map(|row| row.group).collect();
    groups.dedup();
    groups
}

/// The built-in kinds, made once a process.
pub(crate) fn kinds() -> &'static [Arc<Kind>] {
    static KINDS: LazyLock<Vec<Arc<Kind>>> =
        LazyLock::new(|| ROWS.iter().map(|row| Arc::new(kind(row))).collect());
    &KINDS
}

/// What an object of a kind has without any content: the members of its type that can't be absent.
pub(crate) fn empty(kind: &Kind) -> Value {
    if kind.origin == Origin::Custom {
        return json!({ "metadata": {} });
    }
    let template = json!({ "metadata": {}, "spec": { "containers": [] } });
    let (spec, status) = match kind.kind.as_str() {
        "Deployment" => (json!({ "strategy": {}, "template": template }), json!({})),
        "ReplicaSet" | "Job" => (json!({ "template": template }), json!({})),
        "StatefulSet" => (json!({ "template": template, "updateStrategy": {} }), json!({ "replicas": 0 })),
        "DaemonSet" => (
            json!({ "template": template, "updateStrategy": {} }),
            json!({ "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0 }),
        ),
        "Pod" => (json!({ "containers": [] }), json!({})),
        "Service" => (json!({}), json!({ "loadBalancer": {} })),
        "HorizontalPodAutoscaler" => (json!({ "scaleTargetRef": {} }), json!({})),
        "CustomResourceDefinition" => (json!({ "names": {} }), json!({ "acceptedNames": {} })),
        _ => (json!({}), json!({})),
    };
    json!({ "metadata": {}, "spec": spec, "status": status, "involvedObject": {}, "source": {},
        "reportingComponent": "", "reportingInstance": "" })
}

/// Schema of `metadata`, without references.
pub(crate) fn object_meta() -> &'static Value {
    static META: LazyLock<Value> =
        LazyLock::new(|| schemas::resolved("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    &META
}

fn kind(row: &Row) -> Kind {
    let group = row.group.split('.').next().unwrap_or_default();
    let store = match (row.group, row.plural) {
        ("" | "events.k8s.io", plural) => plural.to_owned(),
        (group, plural) => format!("{plural}.{group}"),
    };
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    Kind {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: owned(row.short),
        categories: if row.in_all { owned(&["all"]) } else { Vec::new() },
        scope: row.scope,
        origin: Origin::BuiltIn,
        shape: if row.group == "events.k8s.io" { Shape::NewEvent } else { Shape::Stored },
        store: store.into(),
        schema: Schema::new(schemas::resolved(&schemas::definition_name(group, row.version, row.kind))),
        status: row.status,
        scale: row.scale.then(|| ScalePaths {
            spec_replicas: ".spec.replicas".into(),
            status_replicas: ".status.replicas".into(),
            selector: None,
        }),
        columns: columns::of(row.plural)
            .iter()
            .map(|(name, format, priority)| Column {
                name: (*name).to_owned(),
                kind: if columns::is_integer(row.plural, name) { "integer" } else { "string" }.into(),
                format: (*format).to_owned(),
                description: (*name).to_owned(),
                priority: *priority,
                path: String::new(),
            })
            .collect(),
        selectable: owned(row.selectable),
        counts_generations: row.generations,
    }
}
