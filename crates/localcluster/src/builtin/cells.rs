//! Table cells of the built-in kinds, as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::table::age;

/// Cells of one object in the order of the columns.
pub(crate) fn cells(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let row = Row { object, now };
    match kind.plural.as_str() {
        "namespaces" => vec![row.name(), row.text("/status/phase", ""), row.age()],
        "nodes" => row.node(),
        "pods" => row.pod(),
        "configmaps" => vec![row.name(), (row.count("/data") + row.count("/binaryData")).into(), row.age()],
        "secrets" => vec![row.name(), row.text("/type", ""), row.count("/data").into(), row.age()],
        "services" => row.service(),
        "events" => row.event(),
        "deployments" => row.deployment(),
        "replicasets" => row.replica_set(),
        "statefulsets" => row.stateful_set(),
        "daemonsets" => row.daemon_set(),
        "controllerrevisions" => {
            vec![row.name(), row.owner(), row.number("/revision").into(), row.age()]
        }
        "horizontalpodautoscalers" => row.autoscaler(),
        "jobs" => row.job(),
        "leases" => vec![row.name(), row.text("/spec/holderIdentity", ""), row.age()],
        "customresourcedefinitions" => vec![row.name(), row.text("/metadata/creationTimestamp", "")],
        _ => vec![row.name(), row.age()],
    }
}

struct Row<'a> {
    object: &'a Value,
    now: Timestamp,
}

impl Row<'_> {
    fn at(&self, pointer: &str) -> &Value {
        self.object.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str, absent: &str) -> Value {
        self.at(pointer).as_str().unwrap_or(absent).into()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or(0)
    }

    fn count(&self, pointer: &str) -> usize {
        match self.at(pointer) {
            Value::Object(map) => map.len(),
            Value::Array(list) => list.len(),
            _ => 0,
        }
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn name(&self) -> Value {
        self.text("/metadata/name", "")
    }

    fn age(&self) -> Value {
        age(self.at("/metadata/creationTimestamp").as_str(), self.now).into()
    }

    fn joined(&self, pointer: &str, field: &str) -> Value {
        let parts: Vec<&str> = self.list(pointer).iter().filter_map(|item| item[field].as_str()).collect();
        parts.join(",").into()
    }

    fn selector(&self, pointer: &str) -> Value {
        let Some(map) = self.at(pointer).as_object().filter(|map| !map.is_empty()) else {
            return "<none>".into();
        };
        let parts: Vec<String> =
            map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        parts.join(",").into()
    }

    fn owner(&self) -> Value {
        let owner = self.list("/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
        owner.map_or("<none>".into(), |o| {
            let kind = o["kind"].as_str().unwrap_or_default().to_lowercase();
            format!("{kind}/{}", o["name"].as_str().unwrap_or_default()).into()
        })
    }

    fn node(&self) -> Vec<Value> {
        let ready = self.list("/status/conditions").iter().find(|c| c["type"] == "Ready");
        let mut status = match ready.and_then(|c| c["status"].as_str()) {
            Some("True") => "Ready".to_owned(),
            Some(_) => "NotReady".to_owned(),
            None => "Unknown".to_owned(),
        };
        if self.at("/spec/unschedulable") == true {
            status.push_str(",SchedulingDisabled");
        }
        let labels = self.at("/metadata/labels").as_object();
        let roles: Vec<&str> = labels
            .into_iter()
            .flat_map(|labels| labels.keys())
            .filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
        let address = self.list("/status/addresses").iter().find(|a| a["type"] == "InternalIP");
        let address = address.and_then(|a| a["address"].as_str()).unwrap_or("<none>");
        vec![
            self.name(),
            status.into(),
            roles.into(),
            self.age(),
            self.text("/status/nodeInfo/kubeletVersion", ""),
            address.into(),
        ]
    }

    fn pod(&self) -> Vec<Value> {
        let statuses = self.list("/status/containerStatuses");
        let ready = statuses.iter().filter(|s| s["ready"] == true).count();
        let restarts: i64 = statuses.iter().filter_map(|s| s["restartCount"].as_i64()).sum();
        let mut status = self
            .at("/status/reason")
            .as_str()
            .or(self.at("/status/phase").as_str())
            .unwrap_or("Unknown")
            .to_owned();
        for container in statuses {
            for pointer in ["/state/waiting/reason", "/state/terminated/reason"] {
                if let Some(reason) = container.pointer(pointer).and_then(Value::as_str) {
                    reason.clone_into(&mut status);
                }
            }
        }
        if !self.at("/metadata/deletionTimestamp").is_null() {
            "Terminating".clone_into(&mut status);
        }
        vec![
            self.name(),
            format!("{ready}/{}", self.count("/spec/containers")).into(),
            status.into(),
            restarts.to_string().into(),
            self.age(),
            self.text("/status/podIP", "<none>"),
            self.text("/spec/nodeName", "<none>"),
            self.text("/status/nominatedNodeName", "<none>"),
            self.readiness_gates(),
        ]
    }

    /// How many of the pod's readiness gates are open.
    fn readiness_gates(&self) -> Value {
        let gates = self.at("/spec/readinessGates").as_array().map(Vec::as_slice).unwrap_or_default();
        if gates.is_empty() {
            return "<none>".into();
        }
        let conditions = self.at("/status/conditions").as_array().map(Vec::as_slice).unwrap_or_default();
        let open = |gate: &&Value| {
            conditions.iter().any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
        };
        format!("{}/{}", gates.iter().filter(open).count(), gates.len()).into()
    }

    fn service(&self) -> Vec<Value> {
        let ports: Vec<String> = self
            .list("/spec/ports")
            .iter()
            .map(|p| {
                let node = p["nodePort"].as_i64().map(|n| format!(":{n}")).unwrap_or_default();
                format!("{}{node}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP"))
            })
            .collect();
        let external = match self.at("/spec/type").as_str() {
            Some("ExternalName") => self.text("/spec/externalName", "<none>"),
            Some("LoadBalancer") => "<pending>".into(),
            _ => "<none>".into(),
        };
        let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
        vec![
            self.name(),
            self.text("/spec/type", ""),
            self.text("/spec/clusterIP", "<none>"),
            external,
            ports.into(),
            self.age(),
            self.selector("/spec/selector"),
        ]
    }

    fn event(&self) -> Vec<Value> {
        let (object, message, count) = if self.at("/regarding").is_null() {
            ("/involvedObject", "/message", "/count")
        } else {
            ("/regarding", "/note", "/deprecatedCount")
        };
        let seen = [
            "/series/lastObservedTime",
            "/lastTimestamp",
            "/deprecatedLastTimestamp",
            "/eventTime",
            "/metadata/creationTimestamp",
        ]
        .iter()
        .find_map(|pointer| self.at(pointer).as_str());
        let kind = self.at(object)["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = self.at(object)["name"].as_str().unwrap_or_default();
        let source = self
            .at("/source/component")
            .as_str()
            .or(self.at("/reportingComponent").as_str())
            .or(self.at("/reportingController").as_str())
            .unwrap_or_default();
        let count = self.at("/series/count").as_i64().or(self.at(count).as_i64()).unwrap_or(1);
        vec![
            age(seen, self.now).into(),
            self.text("/type", ""),
            self.text("/reason", ""),
            format!("{kind}/{name}").into(),
            self.at(message).as_str().unwrap_or_default().trim().into(),
            source.into(),
            count.into(),
            self.name(),
        ]
    }

    fn stateful_set(&self) -> Vec<Value> {
        vec![
            self.name(),
            format!("{}/{}", self.number("/status/readyReplicas"), self.number("/spec/replicas")).into(),
            self.age(),
            self.joined("/spec/template/spec/containers", "name"),
            self.joined("/spec/template/spec/containers", "image"),
        ]
    }

    fn daemon_set(&self) -> Vec<Value> {
        vec![
            self.name(),
            self.number("/status/desiredNumberScheduled").into(),
            self.number("/status/currentNumberScheduled").into(),
            self.number("/status/numberReady").into(),
            self.number("/status/updatedNumberScheduled").into(),
            self.number("/status/numberAvailable").into(),
            self.selector("/spec/template/spec/nodeSelector"),
            self.age(),
            self.joined("/spec/template/spec/containers", "name"),
            self.joined("/spec/template/spec/containers", "image"),
            self.selector("/spec/selector/matchLabels"),
        ]
    }

    fn deployment(&self) -> Vec<Value> {
        vec![
            self.name(),
            format!("{}/{}", self.number("/status/readyReplicas"), self.number("/spec/replicas")).into(),
            self.number("/status/updatedReplicas").into(),
            self.number("/status/availableReplicas").into(),
            self.age(),
            self.joined("/spec/template/spec/containers", "name"),
            self.joined("/spec/template/spec/containers", "image"),
            self.selector("/spec/selector/matchLabels"),
        ]
    }

    fn replica_set(&self) -> Vec<Value> {
        vec![
            self.name(),
            self.number("/spec/replicas").into(),
            self.number("/status/replicas").into(),
            self.number("/status/readyReplicas").into(),
            self.age(),
            self.joined("/spec/template/spec/containers", "name"),
            self.joined("/spec/template/spec/containers", "image"),
            self.selector("/spec/selector/matchLabels"),
        ]
    }

    fn autoscaler(&self) -> Vec<Value> {
        let target = self.at("/spec/scaleTargetRef");
        let reference = format!(
            "{}/{}",
            target["kind"].as_str().unwrap_or_default(),
            target["name"].as_str().unwrap_or_default()
        );
        let current = self.list("/status/currentMetrics");
        let targets: Vec<String> = self
            .list("/spec/metrics")
            .iter()
            .map(|metric| {
                let name = metric.pointer("/resource/name").and_then(Value::as_str).unwrap_or_default();
                let Some(wanted) =
                    metric.pointer("/resource/target/averageUtilization").and_then(Value::as_i64)
                else {
                    return metric["type"].as_str().unwrap_or("<unknown>").to_owned();
                };
                let now = current.iter().find(|c| c.pointer("/resource/name") == Some(&json!(name)));
                let now = now
                    .and_then(|c| c.pointer("/resource/current/averageUtilization"))
                    .and_then(Value::as_i64);
                format!("{name}: {}/{wanted}%", now.map_or("<unknown>".to_owned(), |n| format!("{n}%")))
            })
            .collect();
        let targets = if targets.is_empty() { "<none>".to_owned() } else { targets.join(", ") };
        vec![
            self.name(),
            reference.into(),
            targets.into(),
            self.number("/spec/minReplicas").to_string().into(),
            self.number("/spec/maxReplicas").into(),
            self.number("/status/currentReplicas").into(),
            self.age(),
        ]
    }

    fn job(&self) -> Vec<Value> {
        let holds = |kind: &str| {
            self.list("/status/conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
        };
        let status = if holds("Complete") {
            "Complete"
        } else if holds("Failed") {
            "Failed"
        } else if holds("Suspended") {
            "Suspended"
        } else {
            "Running"
        };
        let started = self.at("/status/startTime").as_str();
        let ended: Option<Timestamp> =
            self.at("/status/completionTime").as_str().and_then(|t| t.parse().ok());
        let duration = started.map_or(String::new(), |s| age(Some(s), ended.unwrap_or(self.now)));
        vec![
            self.name(),
            status.into(),
            format!("{}/{}", self.number("/status/succeeded"), self.number("/spec/completions").max(1))
                .into(),
            duration.into(),
            self.age(),
            self.joined("/spec/template/spec/containers", "name"),
            self.joined("/spec/template/spec/containers", "image"),
            self.selector("/spec/selector/matchLabels"),
        ]
    }
}
