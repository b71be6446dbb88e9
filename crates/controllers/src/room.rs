//! How big workloads are, and what nodes have left.

use causeway_actions::quantity::Quantity;
use causeway_kubekit::ObjectKey;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use kube::ResourceExt;

use crate::cluster::views::condition;
use crate::mirrors::Mirrors;
use crate::target_view::Target;

/// A workload; CPU in cores a pod, absent where a container names none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    /// Replicas that are wanted; absent where the nodes decide.
    pub(crate) replicas: Option<i32>,
    /// Limit.
    pub(crate) limit: Option<f64>,
    /// Request.
    pub(crate) request: Option<f64>,
}

/// How big a workload is; `None` when there is no such Deployment, StatefulSet or DaemonSet.
pub(crate) fn size(mirrors: &Mirrors, target: &Target) -> Option<Size> {
    let key = ObjectKey::namespaced(&target.namespace, &target.name);
    match target.kind.as_str() {
        "Deployment" => {
            let spec = mirrors.deployments.get(&key)?.spec.clone()?;
            Some(of(&spec.template, Some(spec.replicas.unwrap_or(1))))
        }
        "StatefulSet" => {
            let spec = mirrors.stateful_sets.get(&key)?.spec.clone()?;
            Some(of(&spec.template, Some(spec.replicas.unwrap_or(1))))
        }
        "DaemonSet" => {
            let spec = mirrors.daemon_sets.get(&key)?.spec.clone()?;
            Some(of(&spec.template, None))
        }
        _ => None,
    }
}

fn of(template: &PodTemplateSpec, replicas: Option<i32>) -> Size {
    let containers = template.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let limit = |container: &Container| cores(&container.resources.as_ref()?.limits.as_ref()?.get("cpu")?.0);
    let request =
        |container: &Container| cores(&container.resources.as_ref()?.requests.as_ref()?.get("cpu")?.0);
    Size {
        replicas,
        limit: containers.iter().map(limit).sum(),
        // What Kubernetes takes for a request that is not named.
        request: containers.iter().map(|container| request(container).or(limit(container))).sum(),
    }
}

fn cores(text: &str) -> Option<f64> {
    Quantity::parse(text).map(Quantity::to_f64)
}

/// CPUs that ready nodes have left for more pods, by what their pods request; `None` where no node says what it has. A
/// cluster that makes nodes as it needs them has more.
pub(crate) fn left(mirrors: &Mirrors) -> Option<f64> {
    let nodes = mirrors.nodes.list();
    let takes_pods = nodes.iter().filter(|node| {
        let ready = condition(&node.status.conditions, "Ready").is_none_or(|ready| ready.status == "True");
        ready && !node.spec.unschedulable
    });
    let mut by_node: std::collections::BTreeMap<String, f64> =
        takes_pods.filter_map(|node| Some((node.name_any(), cores(&node.status.allocatable.cpu)?))).collect();
    for pod in mirrors.pods.list() {
        let Some(left) = by_node.get_mut(&pod.spec.node_name) else { continue };
        if !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
            let requests = pod.spec.containers.iter().filter_map(|c| cores(&c.resources.requests.cpu));
            *left -= requests.sum::<f64>();
        }
    }
    (!by_node.is_empty()).then(|| by_node.values().map(|left| left.max(0.0)).sum())
}
