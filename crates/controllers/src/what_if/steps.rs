//! What the mutations of a plan mean for capacity, releases and configuration.

use causeway_actions::quantity::Quantity;
use causeway_actions::{ActionKind, GitChange, Mutation, TargetView};
use causeway_engine::whatif::Step;
use serde_json::Value;

use crate::plan;

/// Share of the instances that a rollout takes away at once where the workload does not say, as Kubernetes has it.
const AT_ONCE: f64 = 0.25;

/// The steps of a plan with these actions, made on this view. `entity` names the service that runs as a workload of a kind,
/// namespace and name. Where
/// none of them changes capacity, a release or configuration, the only step is [`Step::Nothing`].
#[must_use]
pub fn steps(
    mutations: &[Mutation],
    actions: &[ActionKind],
    view: &TargetView,
    entity: &dyn Fn(&str, &str, &str) -> String,
) -> Vec<Step> {
    let meaning = Meaning { actions, view, entity };
    let mut steps = Vec::new();
    for mutation in mutations {
        for step in meaning.of(mutation) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
    }
    if steps.is_empty() {
        steps.extend(meaning.of_workload().map(|service| Step::Nothing { service }));
    }
    steps
}

struct Meaning<'a> {
    actions: &'a [ActionKind],
    view: &'a TargetView,
    entity: &'a dyn Fn(&str, &str, &str) -> String,
}

impl Meaning<'_> {
    fn of(&self, mutation: &Mutation) -> Vec<Step> {
        let target = mutation.target();
        match mutation {
            Mutation::Scale(scale) => {
                let service = (self.entity)(&target.kind, &target.namespace, &target.name);
                vec![Step::Instances { service, from: scale.from.into(), to: scale.to.into() }]
            }
            Mutation::Delete(_) | Mutation::Evict(_) => {
                vec![Step::Remove {
                    service: self.of_workload().unwrap_or_default(),
                    pod: target.name.clone(),
                }]
            }
            Mutation::Drain(_) => vec![Step::Empty { node: target.name.clone() }],
            Mutation::JsonPatch(patch) => {
                let Some(before) = plan::live(self.view, mutation) else { return Vec::new() };
                let mut after = before.clone();
                let applied = patch.operations().is_ok_and(|ops| json_patch::patch(&mut after, &ops).is_ok());
                if applied { self.between(&target.kind, before, &after) } else { Vec::new() }
            }
            Mutation::GitChange(change) => {
                let Some(before) = plan::live(self.view, mutation) else { return Vec::new() };
                self.between(&target.kind, before, &declared(before, change))
            }
            Mutation::Webhook(_)
            | Mutation::CreateJob(_)
            | Mutation::Wait(_)
            | Mutation::AwaitFields(_)
            | Mutation::FlagChange(_) => Vec::new(),
        }
    }

    /// What leads from an object to another.
    fn between(&self, kind: &str, before: &Value, after: &Value) -> Vec<Step> {
        match kind {
            "HorizontalPodAutoscaler" => self.bounds(after).into_iter().collect(),
            "Deployment" | "StatefulSet" | "DaemonSet" => self.workload(kind, before, after),
            "ConfigMap" if self.actions.contains(&ActionKind::RevertConfigMap) => {
                self.of_workload().map(|service| Step::UndoConfig { service }).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn bounds(&self, hpa: &Value) -> Option<Step> {
        let number = |pointer: &str| hpa.pointer(pointer).and_then(Value::as_f64);
        let text = |pointer: &str| hpa.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let service = (self.entity)(
            text("/spec/scaleTargetRef/kind"),
            text("/metadata/namespace"),
            text("/spec/scaleTargetRef/name"),
        );
        let most = number("/spec/maxReplicas")?;
        let least = number("/spec/minReplicas").unwrap_or(1.0);
        Some(Step::Bounds { service, least, most, target: self.target(hpa) })
    }

    /// Used share of the CPU limit that an autoscaler aims at; NaN where it aims at something else.
    fn target(&self, hpa: &Value) -> f64 {
        let metrics = hpa.pointer("/spec/metrics").and_then(Value::as_array);
        let cpu = metrics
            .into_iter()
            .flatten()
            .find(|metric| metric.pointer("/resource/name").and_then(Value::as_str) == Some("cpu"));
        let percent = cpu.and_then(|metric| metric.pointer("/resource/target/averageUtilization")?.as_f64());
        let Some(percent) = percent else { return f64::NAN };
        let workload = self.view.workload.as_ref();
        let amount = |of: &str| workload.and_then(|workload| cpu_of(workload, of));
        // It is a share of what is requested, which is the limit where nothing else is said.
        let share = match (amount("requests"), amount("limits")) {
            (Some(requests), Some(limits)) if limits > 0.0 => requests / limits,
            _ => 1.0,
        };
        percent / 100.0 * share
    }

    fn workload(&self, kind: &str, before: &Value, after: &Value) -> Vec<Step> {
        let text = |pointer: &str| after.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let service = (self.entity)(kind, text("/metadata/namespace"), text("/metadata/name"));
        let mut steps = Vec::new();
        let replicas =
            |object: &Value| object.pointer("/spec/replicas").and_then(Value::as_f64).unwrap_or(1.0);
        if replicas(before) != replicas(after) {
            let (from, to) = (replicas(before), replicas(after));
            steps.push(Step::Instances { service: service.clone(), from, to });
        }
        if before.pointer("/spec/template") == after.pointer("/spec/template") {
            return steps;
        }
        if self.actions.contains(&ActionKind::RolloutUndo) {
            steps.push(Step::UndoRelease { service: service.clone() });
        }
        if self.actions.contains(&ActionKind::RevertSecretReference) {
            steps.push(Step::UndoConfig { service: service.clone() });
        }
        let hpa = self.view.hpa.as_ref();
        let most = hpa.and_then(|hpa| hpa.pointer("/spec/maxReplicas")?.as_f64()).unwrap_or(f64::NAN);
        let target = hpa.map_or(f64::NAN, |hpa| self.target(hpa));
        if let (Some(old), Some(new)) = (cpu_of(before, "limits"), cpu_of(after, "limits"))
            && (old - new).abs() > 1e-9
            && old > 0.0
        {
            steps.push(Step::Cpu { service: service.clone(), factor: new / old, most, target });
        }
        steps.push(Step::Roll { service, at_once: at_once(before), most, target });
        steps
    }

    /// The service of the workload in the view.
    fn of_workload(&self) -> Option<String> {
        let workload = self.view.workload.as_ref()?;
        let text = |pointer: &str| workload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        Some((self.entity)(text("/kind"), text("/metadata/namespace"), text("/metadata/name")))
    }
}

/// Cores that the containers of a workload request, or may use at most; `None` unless every container says it.
fn cpu_of(workload: &Value, what: &str) -> Option<f64> {
    let containers = workload.pointer("/spec/template/spec/containers").and_then(Value::as_array)?;
    let of = |container: &Value| {
        let text = container.pointer(&format!("/resources/{what}/cpu"))?;
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        Some(Quantity::parse(&text)?.to_f64())
    };
    containers.iter().map(of).sum()
}

/// Share of the instances that may be away during a rollout; a share of them is rounded down, as Kubernetes does.
fn at_once(workload: &Value) -> f64 {
    if workload.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        return 1.0;
    }
    let away = workload
        .pointer("/spec/strategy/rollingUpdate/maxUnavailable")
        .or_else(|| workload.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"));
    let replicas = workload.pointer("/spec/replicas").and_then(Value::as_f64).unwrap_or(1.0).max(1.0);
    let count = match away {
        Some(Value::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
            percent.map(|percent| (percent / 100.0 * replicas).floor())
        }
        Some(number) => number.as_f64(),
        None => None,
    };
    (count.unwrap_or((AT_ONCE * replicas).floor()) / replicas).clamp(0.0, 1.0)
}

/// The object with the fields that are declared in Git.
fn declared(live: &Value, change: &GitChange) -> Value {
    let mut after = live.clone();
    for field in &change.fields {
        let steps = field.steps();
        let Some((last, path)) = steps.split_last() else { continue };
        let Some(place) = path.iter().try_fold(&mut after, |at, step| item(at, step)) else { continue };
        let value = field.values().1;
        if let Value::Object(fields) = place {
            fields.insert(last.clone(), value);
        } else if let Some(place) = item(place, last) {
            *place = value;
        }
    }
    after
}

fn item<'v>(at: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match at {
        Value::Array(items) => match step.strip_prefix("name=") {
            Some(name) => {
                items.iter_mut().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
            }
            None => items.get_mut(step.parse::<usize>().ok()?),
        },
        other => other.get_mut(step),
    }
}

#[cfg(test)]
mod tests {
    use causeway_actions::ActionSpec;
    use serde_json::json;

    use super::*;

    fn metadata(name: &str) -> Value {
        json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}")})
    }

    fn view() -> TargetView {
        let template = |tag: &str| {
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web",
                "image": format!("web:{tag}"), "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m"}}}]}})
        };
        let set = |revision: &str, tag: &str| {
            json!({"metadata": {"name": "set", "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [{"uid": "uid-web"}]}, "spec": {"template": template(tag)}})
        };
        let mut view = TargetView::empty("run", "2026-11-27T20:00:00Z".parse().unwrap());
        view.workload = Some(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("web"),
            "spec": {"replicas": 4, "strategy": {"rollingUpdate": {"maxUnavailable": "50%"}}, "template": template("2")}}),
        );
        view.replica_sets = vec![set("1", "1"), set("2", "2")];
        view
    }

    fn hpa() -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata("web-hpa"), "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 6, "metrics": [{"type": "Resource", "resource":
                {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}})
    }

    fn of(action: Value, view: &TargetView) -> Vec<Step> {
        let action: ActionSpec = serde_json::from_value(action).unwrap();
        let plan = action.plan(view).unwrap();
        let entity = |_: &str, namespace: &str, name: &str| format!("{namespace}/{name}");
        steps(&plan.mutations, &[action.kind()], view, &entity)
    }

    fn service() -> String {
        "shop/web".to_owned()
    }

    #[test]
    fn replicas_and_bounds() {
        let scale = json!({"type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}});
        assert_eq!(of(scale, &view()), [Step::Instances { service: service(), from: 4.0, to: 8.0 }]);
        let bounds = json!({"type": "SetHPABounds", "setHPABounds": {"maxReplicasFactor": "2", "cap": 20}});
        let with = TargetView { hpa: Some(hpa()), ..view() };
        // 80 % of what is requested is 40 % of the limit.
        assert_eq!(
            of(bounds, &with),
            [Step::Bounds { service: service(), least: 2.0, most: 12.0, target: 0.4 }]
        );
    }

    #[test]
    fn rollouts_by_what_they_are_for() {
        let with = TargetView { hpa: Some(hpa()), ..view() };
        let roll = Step::Roll { service: service(), at_once: 0.5, most: 6.0, target: 0.4 };
        let restart = of(json!({"type": "RolloutRestart", "rolloutRestart": {}}), &with);
        assert_eq!(restart, std::slice::from_ref(&roll));
        let undo = of(json!({"type": "RolloutUndo", "rolloutUndo": {}}), &with);
        assert_eq!(undo, [Step::UndoRelease { service: service() }, roll.clone()]);
        let cpu = json!({"type": "PatchResources", "patchResources": {"cpuFactor": "2", "maxCpu": "4"}});
        let grown = Step::Cpu { service: service(), factor: 2.0, most: 6.0, target: 0.4 };
        assert_eq!(of(cpu, &with), [grown, roll]);
    }

    #[test]
    fn pods_and_nodes() {
        let owner = json!([{"kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true}]);
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("web-1")});
        pod["metadata"]["ownerReferences"] = owner;
        let empty = TargetView::empty("run", "2026-11-27T20:00:00Z".parse().unwrap());
        let of_pod = TargetView { pods: vec![pod], ..empty.clone() };
        let removed = of(json!({"type": "DeletePod", "deletePod": {}}), &of_pod);
        assert_eq!(removed, [Step::Remove { service: String::new(), pod: "web-1".to_owned() }]);
        let node =
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u"}, "spec": {}});
        let of_node = TargetView { node: Some(node), ..empty };
        let drain = of(json!({"type": "Drain", "drain": {"maxPods": 5}}), &of_node);
        assert_eq!(drain, [Step::Empty { node: "n1".to_owned() }]);
        assert_eq!(of(json!({"type": "Cordon", "cordon": {}}), &of_node), []);
    }

    #[test]
    fn what_changes_no_capacity_is_said_to() {
        let pause = json!({"type": "PauseRollout", "pauseRollout": {}});
        assert_eq!(of(pause, &view()), [Step::Nothing { service: service() }]);
    }
}
