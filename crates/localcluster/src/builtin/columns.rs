//! Table columns of the built-in kinds, as `kubectl get` shows them.

/// (name, format, priority); priority 1 shows only with `-o wide`.
type ColumnRow = (&'static str, &'static str, i64);

const NAME: ColumnRow = ("Name", "name", 0);
const AGE: ColumnRow = ("Age", "", 0);

/// Whether a column holds numbers.
pub(super) fn is_integer(plural: &str, column: &str) -> bool {
    match plural {
        "replicasets" => matches!(column, "Desired" | "Current" | "Ready"),
        "daemonsets" => matches!(column, "Desired" | "Current" | "Ready" | "Up-to-date" | "Available"),
        _ => false,
    }
}

/// Columns of a built-in kind by its plural name.
pub(super) fn of(plural: &str) -> &'static [ColumnRow] {
    match plural {
        "namespaces" => &[NAME, ("Status", "", 0), AGE],
        "nodes" => {
            &[NAME, ("Status", "", 0), ("Roles", "", 0), AGE, ("Version", "", 0), ("Internal-IP", "", 1)]
        }
        "pods" => &[
            NAME,
            ("Ready", "", 0),
            ("Status", "", 0),
            ("Restarts", "", 0),
            AGE,
            ("IP", "", 1),
            ("Node", "", 1),
            ("Nominated Node", "", 1),
            ("Readiness Gates", "", 1),
        ],
        "configmaps" => &[NAME, ("Data", "", 0), AGE],
        "secrets" => &[NAME, ("Type", "", 0), ("Data", "", 0), AGE],
        "services" => &[
            NAME,
            ("Type", "", 0),
            ("Cluster-IP", "", 0),
            ("External-IP", "", 0),
            ("Port(s)", "", 0),
            AGE,
            ("Selector", "", 1),
        ],
        "events" => &[
            ("Last Seen", "", 0),
            ("Type", "", 0),
            ("Reason", "", 0),
            ("Object", "", 0),
            ("Message", "", 0),
            ("Source", "", 1),
            ("Count", "", 1),
            ("Name", "name", 1),
        ],
        "deployments" => &[
            NAME,
            ("Ready", "", 0),
            ("Up-to-date", "", 0),
            ("Available", "", 0),
            AGE,
            ("Containers", "", 1),
            ("Images", "", 1),
            ("Selector", "", 1),
        ],
        "replicasets" => &[
            NAME,
            ("Desired", "", 0),
            ("Current", "", 0),
            ("Ready", "", 0),
            AGE,
            ("Containers", "", 1),
            ("Images", "", 1),
            ("Selector", "", 1),
        ],
        "statefulsets" => &[NAME, ("Ready", "", 0), AGE, ("Containers", "", 1), ("Images", "", 1)],
        "daemonsets" => &[
            NAME,
            ("Desired", "", 0),
            ("Current", "", 0),
            ("Ready", "", 0),
            ("Up-to-date", "", 0),
            ("Available", "", 0),
            ("Node Selector", "", 0),
            AGE,
            ("Containers", "", 1),
            ("Images", "", 1),
            ("Selector", "", 1),
        ],
        "controllerrevisions" => &[NAME, ("Controller", "", 0), ("Revision", "", 0), AGE],
        "horizontalpodautoscalers" => &[
            NAME,
            ("Reference", "", 0),
            ("Targets", "", 0),
            ("MinPods", "", 0),
            ("MaxPods", "", 0),
            ("Replicas", "", 0),
            AGE,
        ],
        "jobs" => &[
            NAME,
            ("Status", "", 0),
            ("Completions", "", 0),
            ("Duration", "", 0),
            AGE,
            ("Containers", "", 1),
            ("Images", "", 1),
            ("Selector", "", 1),
        ],
        "leases" => &[NAME, ("Holder", "", 0), AGE],
        "customresourcedefinitions" => &[NAME, ("Created At", "", 0)],
        _ => &[NAME, AGE],
    }
}
