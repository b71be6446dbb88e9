//! What built-in kinds do beyond their schema: derived fields, immutable fields, rules between fields.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::prepare::meta;
use crate::status::Cause;

/// Brings other spellings of a value to the stored one: `stringData`, numbers where quantities are text.
pub(crate) fn normalize(kind: &Kind, object: &mut Value) {
    if kind.plural == "secrets" {
        let Some(texts) = object.as_object_mut().and_then(|map| map.shift_remove("stringData")) else {
            return;
        };
        for (key, text) in texts.as_object().into_iter().flatten() {
            use base64::Engine;
            let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            object["data"][key] = encoded.into();
        }
    }
}

/// Parameters of a rolling update, where that is the strategy and none are given.
fn rolling(object: &mut Value, strategy: &str, parameters: Value) {
    if let Some(strategy) = object.pointer_mut(strategy)
        && strategy["type"] == "RollingUpdate"
        && strategy["rollingUpdate"].is_null()
    {
        strategy["rollingUpdate"] = parameters;
    }
}

/// Defaults that depend on other fields.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        "namespaces" => {
            // A name that the server makes up is not known yet when defaults are filled in.
            let name = meta(object, "name").to_owned();
            if !name.is_empty() && meta(object, "generateName").is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            }
        }
        "pods" => {
            containers(object, "/spec");
            if object["spec"]["enableServiceLinks"].is_null() {
                object["spec"]["enableServiceLinks"] = true.into();
            }
        }
        "replicasets" | "jobs" => containers(object, "/spec/template/spec"),
        "deployments" => {
            containers(object, "/spec/template/spec");
            rolling(object, "/spec/strategy", json!({ "maxSurge": "25%", "maxUnavailable": "25%" }));
        }
        "statefulsets" => {
            containers(object, "/spec/template/spec");
            rolling(object, "/spec/updateStrategy", json!({ "partition": 0 }));
        }
        "daemonsets" => {
            containers(object, "/spec/template/spec");
            rolling(object, "/spec/updateStrategy", json!({ "maxSurge": 0, "maxUnavailable": 1 }));
        }
        "services" => {
            for port in object.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten()
            {
                if port["targetPort"].is_null() {
                    port["targetPort"] = port["port"].clone();
                }
            }
        }
        "horizontalpodautoscalers" => {
            if let Some(spec) = object.get_mut("spec").filter(|spec| spec["metrics"].is_null()) {
                spec["metrics"] = json!([{ "type": "Resource", "resource":
                    { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }]);
            }
        }
        "customresourcedefinitions" => crate::crd::complete(object),
        _ => {}
    }
}

/// Pull policy follows the tag, as in the API server.
fn containers(object: &mut Value, spec: &str) {
    for list in ["initContainers", "containers"] {
        let containers = object.pointer_mut(&format!("{spec}/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|c| c["imagePullPolicy"].is_null()) {
            let image = container["image"].as_str().unwrap_or_default();
            let name = image.rsplit('/').next().unwrap_or_default();
            let latest = !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
            container["imagePullPolicy"] = if latest { "Always" } else { "IfNotPresent" }.into();
        }
    }
}

/// A Service without an address says so in all of its fields. (Addresses are not given out.)
fn allot(object: &mut Value) {
    if object.pointer("/spec/clusterIP").is_none_or(|ip| ip != "None") {
        return;
    }
    let plan = [
        ("clusterIPs", json!(["None"])),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", "SingleStack".into()),
    ];
    for (field, value) in plan {
        if object["spec"][field].is_null() {
            object["spec"][field] = value;
        }
    }
}

/// What the admission plugins of a default API server add to a pod.
fn admit_pod(object: &mut Value) {
    let spec = &mut object["spec"];
    let account = match spec["serviceAccountName"].as_str() {
        None | Some("") => "default".to_owned(),
        Some(name) => name.to_owned(),
    };
    let toleration = |condition: &str| json!({ "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    for (field, value) in [
        ("serviceAccountName", account.clone().into()),
        ("serviceAccount", account.into()),
        ("priority", 0.into()),
        ("preemptionPolicy", "PreemptLowerPriority".into()),
        ("tolerations", json!([toleration("not-ready"), toleration("unreachable")])),
    ] {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
    let statuses = object.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut);
    for status in statuses.into_iter().flatten().filter_map(Value::as_object_mut) {
        for field in ["state", "lastState"] {
            status.entry(field).or_insert_with(|| json!({}));
        }
    }
}

/// Fields that the server gives a new object.
pub(crate) fn create(kind: &Kind, object: &mut Value, now: Timestamp) {
    match kind.plural.as_str() {
        "namespaces" => {
            let name = meta(object, "name").to_owned();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            object["spec"] = json!({ "finalizers": ["kubernetes"] });
            object["status"] = json!({ "phase": "Active" });
        }
        "pods" => {
            admit_pod(object);
            object["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
        }
        "services" => {
            allot(object);
            object["status"] = json!({ "loadBalancer": {} });
        }
        "horizontalpodautoscalers" => object["status"] = json!({ "desiredReplicas": 0 }),
        "statefulsets" => object["status"] = json!({ "availableReplicas": 0, "replicas": 0 }),
        "daemonsets" => {
            object["status"] = json!({ "currentNumberScheduled": 0, "desiredNumberScheduled": 0,
                "numberMisscheduled": 0, "numberReady": 0 });
        }
        "jobs" if object.pointer("/spec/selector").is_none() => {
            let uid = meta(object, "uid").to_owned();
            object["spec"]["selector"] =
                json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
            let labels = &mut object["spec"]["template"]["metadata"]["labels"];
            labels["batch.kubernetes.io/controller-uid"] = uid.into();
        }
        "customresourcedefinitions" => {
            object["status"] = crate::crd::status(object, &crate::prepare::stamp(now));
        }
        _ => {}
    }
}

/// Fields that an update keeps or derives.
pub(crate) fn update(kind: &Kind, old: &Value, object: &mut Value) {
    match kind.plural.as_str() {
        "namespaces" => object["spec"] = old["spec"].clone(),
        "pods" => admit_pod(object),
        "services" => allot(object),
        "customresourcedefinitions" => {
            let since = meta(old, "creationTimestamp").to_owned();
            object["status"] = crate::crd::status(object, &since);
        }
        _ => {}
    }
}

/// Rules between fields, and fields that never change.
pub(crate) fn check(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind.plural.as_str() {
        "deployments" | "replicasets" => {
            check_selector(object, &mut causes);
            unchanged(object, old, "/spec/selector", &mut causes);
        }
        "jobs" => {
            unchanged(object, old, "/spec/selector", &mut causes);
            unchanged(object, old, "/spec/completions", &mut causes);
        }
        "configmaps" | "secrets" => {
            if old.is_some_and(|old| old["immutable"] == true) {
                for pointer in ["/data", "/binaryData", "/immutable"] {
                    if old.is_some_and(|old| old.pointer(pointer) != object.pointer(pointer)) {
                        let why = "field is immutable when `immutable` is set";
                        causes.push(Cause::forbidden(dotted(pointer), why));
                    }
                }
            }
            unchanged(object, old, "/type", &mut causes);
            check_keys(object, &mut causes);
        }
        "leases" => {
            let seconds = object.pointer("/spec/leaseDurationSeconds");
            if let Some(seconds) = seconds.filter(|s| s.as_i64().is_some_and(|s| s <= 0)) {
                causes.push(Cause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
            }
        }
        // An Event of the new API says once what happened; only its series goes on.
        "events" if old.is_some_and(|old| old.get("eventTime").is_some_and(Value::is_string)) => {
            for pointer in ["/involvedObject", "/reason", "/message", "/action", "/type", "/eventTime"] {
                unchanged(object, old, pointer, &mut causes);
            }
        }
        "services" => check_ports(object, &mut causes),
        "controllerrevisions" => unchanged(object, old, "/data", &mut causes),
        "pods" => check_pod(object, old, &mut causes),
        "horizontalpodautoscalers" => {
            let bound = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
            let (least, most) =
                (bound("/spec/minReplicas").unwrap_or(1), bound("/spec/maxReplicas").unwrap_or(0));
            if most < 1 {
                causes.push(Cause::invalid("spec.maxReplicas", &most.into(), "must be greater than 0"));
            } else if most < least {
                causes.push(Cause::invalid(
                    "spec.maxReplicas",
                    &most.into(),
                    "must be greater than or equal to `minReplicas`",
                ));
            }
        }
        "customresourcedefinitions" => {
            causes.extend(crate::crd::check(object));
            for pointer in ["/spec/group", "/spec/scope", "/spec/names/kind", "/spec/names/plural"] {
                unchanged(object, old, pointer, &mut causes);
            }
        }
        _ => {}
    }
    for pointer in ["/spec/replicas", "/spec/minReplicas"] {
        if let Some(count) = object.pointer(pointer).and_then(Value::as_i64).filter(|count| *count < 0) {
            causes.push(Cause::invalid(dotted(pointer), &count.into(), "must be greater than or equal to 0"));
        }
    }
    causes
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn unchanged(object: &Value, old: Option<&Value>, pointer: &str, causes: &mut Vec<Cause>) {
    let Some(old) = old else { return };
    if object.pointer(pointer) != old.pointer(pointer) {
        let now = object.pointer(pointer).cloned().unwrap_or_default();
        causes.push(Cause::invalid(dotted(pointer), &now, "field is immutable"));
    }
}

fn check_selector(object: &Value, causes: &mut Vec<Cause>) {
    let selector = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let expressions = object.pointer("/spec/selector/matchExpressions").and_then(Value::as_array);
    if selector.is_none_or(serde_json::Map::is_empty) && expressions.is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.selector", ""));
    }
    let labels = object.pointer("/spec/template/metadata/labels");
    let fits = selector.is_some()
        && selector.into_iter().flatten().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value));
    if !fits {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels.cloned().unwrap_or_default(),
            "`selector` does not match template `labels`",
        ));
    }
    check_containers(object, "/spec/template/spec", causes);
}

fn check_containers(object: &Value, spec: &str, causes: &mut Vec<Cause>) {
    let path = format!("{}.containers", dotted(spec));
    let list = object.pointer(&format!("{spec}/containers")).and_then(Value::as_array);
    if list.is_none_or(Vec::is_empty) {
        causes.push(Cause::required(&path, ""));
    }
    let list = list.map(Vec::as_slice).unwrap_or_default();
    for (index, container) in list.iter().enumerate() {
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{path}[{index}].image"), ""));
        }
        if list[..index].iter().any(|other| other["name"] == container["name"]) {
            causes.push(Cause::duplicate(format!("{path}[{index}].name"), &container["name"]));
        }
    }
}

fn check_keys(object: &Value, causes: &mut Vec<Cause>) {
    const WHY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    for field in ["data", "binaryData"] {
        for key in object.get(field).and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
            let path = format!("{field}[{key}]");
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                causes.push(Cause::invalid(path, &key.as_str().into(), WHY));
            } else if field == "data"
                && object.get("binaryData").is_some_and(|other| other.get(key).is_some())
            {
                causes.push(Cause::invalid(
                    path,
                    &key.as_str().into(),
                    "duplicate of key present in binaryData",
                ));
            }
        }
    }
}

fn check_ports(object: &Value, causes: &mut Vec<Cause>) {
    let ports =
        object.pointer("/spec/ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        for field in ["port", "targetPort"] {
            if let Some(number) = port[field].as_i64().filter(|n| !(1..=65_535).contains(n)) {
                let why = "must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("{path}.{field}"), &number.into(), why));
            }
        }
    }
}

/// Of a pod's spec only images, deadlines, tolerations and gates change.
fn check_pod(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    check_containers(object, "/spec", causes);
    let Some(old) = old else { return };
    let frozen = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            for field in
                ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"]
            {
                map.shift_remove(field);
            }
            // Binding to a node is a write of its own in Kubernetes; here the first value may be set once.
            if old.pointer("/spec/nodeName").is_none() {
                map.shift_remove("nodeName");
            }
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        spec
    };
    if frozen(object) != frozen(old) {
        causes.push(Cause {
            reason: "FieldValueForbidden",
            message: "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), `spec.terminationGracePeriodSeconds`".into(),
            field: "spec".into(),
        });
    }
}
