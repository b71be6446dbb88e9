//! Reads what an action looks at.

use causeway_actions::{GitMode, Reads, TargetRef, TargetView};
use causeway_crds::runbook::RunbookSpec;
use causeway_remediate::{Applier, GitRule, applier_of};
use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ControllerError, Doing};
use crate::objects;

/// Kinds of workloads that load a ConfigMap, in the order in which they are looked at.
const LOADERS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// The object that a repair is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Reads the target and what is around it, live, and what the steps of the runbook ask for. `run` and `now` go into the view:
/// give the same for a plan made anew.
pub(crate) async fn read(
    client: &Client,
    target: &Target,
    runbook: &RunbookSpec,
    git: Option<&GitRule>,
    run: &str,
    now: Timestamp,
) -> Result<TargetView, ControllerError> {
    let mut view = TargetView::empty(run, now);
    let live =
        objects::get(client, &target.api_version, &target.kind, &target.namespace, &target.name).await?;
    let Some(live) = live else { return Ok(view) };
    if target.kind == "ConfigMap" {
        for kind in LOADERS {
            let workloads = objects::list(client, "apps/v1", kind, &target.namespace).await?;
            view.workload = workloads.into_iter().find(|w| objects::loads_config_map(w, &target.name));
            if view.workload.is_some() {
                break;
            }
        }
        view.config_map = Some(live);
        view.config_history =
            objects::list(client, "apps/v1", "ControllerRevision", &target.namespace).await?;
    } else if target.kind == "Node" {
        view.node = Some(live);
    } else if target.kind == "Pod" {
        view.pods = vec![live];
    } else {
        view.workload = Some(live);
    }
    for asked in runbook.steps.iter().flat_map(|step| step.action.reads()) {
        match asked {
            Reads::Pods if view.pods.is_empty() => {
                let all = objects::list(client, "v1", "Pod", &target.namespace).await?;
                let workload = view.workload.as_ref();
                view.pods = all.into_iter().filter(|pod| workload.is_some_and(|w| runs(w, pod))).collect();
            }
            Reads::Pods => {}
            Reads::Object { api_version, kind, name } => {
                view.extra.extend(objects::get(client, api_version, kind, &target.namespace, &name).await?);
            }
        }
    }
    if let Some(workload) = &view.workload {
        let scales = |hpa: &Value| {
            objects::text(hpa, "/spec/scaleTargetRef/kind") == objects::text(workload, "/kind")
                && objects::text(hpa, "/spec/scaleTargetRef/name")
                    == objects::text(workload, "/metadata/name")
        };
        let hpas =
            objects::list(client, "autoscaling/v2", "HorizontalPodAutoscaler", &target.namespace).await?;
        view.hpa = hpas.into_iter().find(scales);
        view.replica_sets = objects::list(client, "apps/v1", "ReplicaSet", &target.namespace).await?;
    }
    if git.is_some_and(|rule| rule.mode == GitMode::SuspendPatchResume) {
        let found = appliers(client, &view).await?;
        view.extra.extend(found);
    }
    Ok(view)
}

/// A view of live objects that a plan was made for, by kind; what is gone is left out.
pub(crate) async fn of_targets(
    client: &Client,
    targets: &[TargetRef],
    run: &str,
    now: Timestamp,
) -> Result<TargetView, ControllerError> {
    let mut view = TargetView::empty(run, now);
    for TargetRef { api_version, kind, namespace, name, .. } in targets {
        let Some(live) = objects::get(client, api_version, kind, namespace, name).await? else { continue };
        match kind.as_str() {
            "HorizontalPodAutoscaler" => view.hpa = Some(live),
            "ConfigMap" => view.config_map = Some(live),
            "Node" => view.node = Some(live),
            "Deployment" | "StatefulSet" | "DaemonSet" => view.workload = Some(live),
            _ => view.extra.push(live),
        }
    }
    Ok(view)
}

/// What applies the objects of the view from Git, as far as it may be read.
async fn appliers(client: &Client, view: &TargetView) -> Result<Vec<Value>, ControllerError> {
    let mut seen: Vec<Applier> = Vec::new();
    let mut found = Vec::new();
    for object in [&view.workload, &view.config_map, &view.hpa].into_iter().flatten() {
        let Some(applier) = applier_of(object) else { continue };
        if seen.contains(&applier) {
            continue;
        }
        let api = objects::api(client, applier.api_version, applier.kind, &applier.namespace);
        match api.get_opt(&applier.name).await {
            Ok(Some(live)) => found.push(objects::json(live, applier.api_version, applier.kind)?),
            Ok(None) => {}
            // The plan says that it can't be suspended.
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(error).doing(|| format!("reading {applier}")),
        }
        seen.push(applier);
    }
    Ok(found)
}

/// The object of the view that the target names.
pub(crate) fn subject<'a>(view: &'a TargetView, target: &Target) -> Option<&'a Value> {
    match target.kind.as_str() {
        "ConfigMap" => view.config_map.as_ref(),
        "Node" => view.node.as_ref(),
        "Pod" => view.pods.first(),
        _ => view.workload.as_ref(),
    }
}

/// Whether the labels of a pod are those that the workload selects.
fn runs(workload: &Value, pod: &Value) -> bool {
    let wanted = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels = pod.pointer("/metadata/labels");
    wanted.is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use causeway_localcluster::{LocalCluster, Options};
    use kube::api::PostParams;
    use serde_json::json;

    use super::*;

    async fn create(client: &Client, api_version: &str, namespace: &str, object: Value) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let api = match kind.as_str() {
            "Namespace" => kube::Api::all_with(client.clone(), &objects::resource(api_version, &kind)),
            _ => objects::api(client, api_version, &kind, namespace),
        };
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn every_kind_of_workload_may_load_a_config_map() {
        let cluster = LocalCluster::open(Options::default()).unwrap();
        let client = cluster.client("admin");
        let api_version =
            |kind: &str| if kind == "Namespace" || kind == "ConfigMap" { "v1" } else { "apps/v1" };
        let spec = json!({"summary": "s", "appliesTo": {"causes": ["BadConfig"], "targets": [{"group": "", "kind": "ConfigMap"}]},
            "steps": [{"name": "revert", "type": "RevertConfigMap", "revertConfigMap": {}}],
            "verify": {"within": "5m", "hold": "2m"}});
        let runbook: RunbookSpec = serde_json::from_value(spec).unwrap();
        for kind in LOADERS {
            let namespace = kind.to_lowercase();
            let named = |kind: &str, more: Value| {
                let mut object = json!({"apiVersion": api_version(kind), "kind": kind,
                    "metadata": {"name": "rates", "namespace": namespace}});
                object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                object
            };
            let template = json!({"metadata": {"labels": {"app": "rates"}}, "spec": {"containers": [
                {"name": "main", "image": "rates:1", "envFrom": [{"configMapRef": {"name": "rates"}}]}]}});
            let workload =
                json!({"spec": {"selector": {"matchLabels": {"app": "rates"}}, "template": template}});
            let place = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            for (api_version, object) in [
                ("v1", place),
                ("v1", named("ConfigMap", json!({"data": {"NL": "0.21"}}))),
                ("apps/v1", named(kind, workload)),
            ] {
                create(&client, api_version, &namespace, object).await;
            }
            let target = Target {
                api_version: "v1".into(),
                kind: "ConfigMap".into(),
                namespace: namespace.clone(),
                name: "rates".into(),
            };
            let view = read(&client, &target, &runbook, None, "run", Timestamp::UNIX_EPOCH).await.unwrap();
            assert_eq!(view.workload.unwrap()["kind"], kind);
        }
    }
}
