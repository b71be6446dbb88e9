//! Reads what an action looks at.

use causeway_actions::TargetView;
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use crate::error::ControllerError;
use crate::objects;

/// The object that a repair is about.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Reads the target and what is around it, live. `run` and `now` go into the view: give the same for a plan made anew.
pub(crate) async fn read(
    client: &Client,
    target: &Target,
    run: &str,
    now: Timestamp,
) -> Result<TargetView, ControllerError> {
    let mut view = TargetView::empty(run, now);
    let live =
        objects::get(client, &target.api_version, &target.kind, &target.namespace, &target.name).await?;
    let Some(live) = live else { return Ok(view) };
    if target.kind == "ConfigMap" {
        let workloads = objects::list(client, "apps/v1", "Deployment", &target.namespace).await?;
        view.workload = workloads.into_iter().find(|w| objects::loads_config_map(w, &target.name));
        view.config_map = Some(live);
        view.config_history =
            objects::list(client, "apps/v1", "ControllerRevision", &target.namespace).await?;
    } else {
        view.workload = Some(live);
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
    Ok(view)
}

/// The object of the view that the target names.
pub(crate) fn subject<'a>(view: &'a TargetView, target: &Target) -> Option<&'a Value> {
    if target.kind == "ConfigMap" { view.config_map.as_ref() } else { view.workload.as_ref() }
}
