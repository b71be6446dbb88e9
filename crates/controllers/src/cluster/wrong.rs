//! What is wrong with a pod or a node in itself. Only what the object says now counts, so that a restart of the operator
//! neither forgets a state nor invents one.

use causeway_engine::StateKind;

use k8s_openapi::api::apps::v1::Deployment;

use super::views::{ConditionView, ContainerView, NodeView, PodView, ReasonView, condition};

/// Restarts from which a container that is not ready counts as ending again and again, between two starts as well.
const RESTARTS: i32 = 3;
/// Why a container waits when its image can't be had.
const IMAGE: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Conditions of a node that are bad when true, and what it then runs out of.
const PRESSURES: [(&str, &str); 3] =
    [("MemoryPressure", "memory"), ("DiskPressure", "disk"), ("PIDPressure", "process ids")];

/// Something wrong, with a figure and a sentence about `who`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    pub(super) kind: StateKind,
    pub(super) value: f64,
    pub(super) note: String,
}

/// What is wrong with a pod; one of a kind. A pod that is being deleted or has done its work has nothing wrong.
pub(super) fn of_pod(pod: &PodView, who: &str) -> Vec<Wrong> {
    if pod.metadata.deletion_timestamp.is_some() || pod.status.phase == "Succeeded" {
        return Vec::new();
    }
    let mut found: Vec<Wrong> = Vec::new();
    let scheduled = condition(&pod.status.conditions, "PodScheduled");
    if let Some(refused) = scheduled.filter(|c| c.status == "False" && c.reason == "Unschedulable") {
        let why = if refused.message.is_empty() { "it says not why" } else { &refused.message };
        let note = format!("no node takes {who}: {}", first_line(why));
        found.push(Wrong { kind: StateKind::Unschedulable, value: 1.0, note });
    }
    for container in pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses) {
        if let Some(wrong) = of_container(container, who)
            && found.iter().all(|known| known.kind != wrong.kind)
        {
            found.push(wrong);
        }
    }
    found
}

fn of_container(container: &ContainerView, who: &str) -> Option<Wrong> {
    let ContainerView { name, restart_count, .. } = container;
    let waiting = container.state.waiting.as_ref();
    if let Some(waiting) = waiting.filter(|w| IMAGE.contains(&w.reason.as_str())) {
        let note = format!("the image of container {name} of {who} can't be pulled: {}", said(waiting));
        return Some(Wrong { kind: StateKind::ImagePull, value: 1.0, note });
    }
    if container.ready {
        return None;
    }
    let ended = container.state.terminated.as_ref().or(container.last_state.terminated.as_ref())?;
    if ended.reason == "OOMKilled" {
        let note = format!(
            "container {name} of {who} was killed because it needs more memory than its limit ({restart_count} restarts)"
        );
        return Some(Wrong { kind: StateKind::OutOfMemory, value: f64::from(*restart_count), note });
    }
    let backs_off = waiting.is_some_and(|w| w.reason == "CrashLoopBackOff");
    // A container that ended well, such as an initial one, has no failure.
    let failed = ended.exit_code != 0 || ended.reason == "Error";
    if backs_off || (failed && *restart_count >= RESTARTS) {
        let why = if ended.message.is_empty() {
            String::new()
        } else {
            format!(": {}", first_line(&ended.message))
        };
        let note = format!(
            "container {name} of {who} ends again and again ({restart_count} restarts), the last time with exit code {}{why}",
            ended.exit_code
        );
        return Some(Wrong { kind: StateKind::CrashLoop, value: f64::from(*restart_count), note });
    }
    None
}

/// Why a node can't run pods, and what it runs out of; nothing when it is well.
pub(super) fn of_node(node: &NodeView, name: &str) -> Vec<Wrong> {
    let conditions = &node.status.conditions;
    let said = |condition: &ConditionView| {
        first_line(if condition.message.is_empty() { &condition.reason } else { &condition.message })
    };
    let mut found = Vec::new();
    if let Some(ready) = condition(conditions, "Ready").filter(|c| c.status != "True") {
        let note = format!("node {name} is not ready: {}", said(ready));
        found.push(Wrong { kind: StateKind::NodeNotReady, value: 1.0, note });
    }
    // One state for all of them: the same is done about each.
    let short = PRESSURES.iter().find_map(|(kind, of)| {
        condition(conditions, kind).filter(|c| c.status == "True").map(|c| (of, said(c)))
    });
    if let Some((of, said)) = short {
        let note = format!("node {name} runs out of {of}: {said}");
        found.push(Wrong { kind: StateKind::NodePressure, value: 1.0, note });
    }
    found
}

/// Why a rollout does not go on; `None` while it does.
pub(super) fn of_deployment(deployment: &Deployment, who: &str) -> Option<Wrong> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let stuck = conditions.iter().find(|c| {
        c.type_ == "Progressing"
            && c.status == "False"
            && c.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })?;
    let why = stuck.message.as_deref().unwrap_or("its deadline has passed");
    let note = format!("the rollout of {who} does not go on: {}", first_line(why));
    Some(Wrong { kind: StateKind::StuckRollout, value: 1.0, note })
}

fn said(reason: &ReasonView) -> String {
    if reason.message.is_empty() { reason.reason.clone() } else { first_line(&reason.message) }
}

/// The first line, at most 200 characters.
fn first_line(text: &str) -> String {
    crate::text::bounded(text.lines().next().unwrap_or_default(), 200)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> PodView {
        serde_json::from_value(json!({"metadata": {"name": "web-1", "namespace": "shop"}, "status": status}))
            .unwrap()
    }

    fn container(ready: bool, restarts: i32, state: Value, last: Value) -> PodView {
        let one = json!({"name": "main", "ready": ready, "restartCount": restarts, "state": state, "lastState": last});
        pod(json!({"phase": "Running", "containerStatuses": [one]}))
    }

    #[test]
    fn states_of_pods() {
        let ended = |reason: &str, code: i32| json!({"terminated": {"reason": reason, "exitCode": code}});
        let waits = |reason: &str| json!({"waiting": {"reason": reason}});
        let runs = json!({"running": {}});
        let cases: [(&str, PodView, Option<StateKind>); 12] = [
            ("runs", container(true, 0, runs.clone(), json!({})), None),
            ("restarted long ago", container(true, 9, runs.clone(), ended("OOMKilled", 137)), None),
            ("starts", container(false, 0, waits("ContainerCreating"), json!({})), None),
            (
                "backs off",
                container(false, 5, waits("CrashLoopBackOff"), ended("Error", 1)),
                Some(StateKind::CrashLoop),
            ),
            (
                "between two starts",
                container(false, 3, runs.clone(), ended("Error", 1)),
                Some(StateKind::CrashLoop),
            ),
            ("one restart", container(false, 1, runs.clone(), ended("Error", 1)), None),
            (
                "killed",
                container(false, 1, runs.clone(), ended("OOMKilled", 137)),
                Some(StateKind::OutOfMemory),
            ),
            (
                "killed now",
                container(false, 0, ended("OOMKilled", 137), json!({})),
                Some(StateKind::OutOfMemory),
            ),
            (
                "no image",
                container(false, 0, waits("ImagePullBackOff"), json!({})),
                Some(StateKind::ImagePull),
            ),
            (
                "no node",
                pod(json!({"phase": "Pending", "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]})),
                Some(StateKind::Unschedulable),
            ),
            (
                "done",
                pod(json!({"phase": "Succeeded", "containerStatuses": [
                {"name": "main", "ready": false, "restartCount": 4, "state": ended("Error", 1)}]})),
                None,
            ),
            ("an initial one that is done", container(false, 3, ended("Completed", 0), json!({})), None),
        ];
        for (name, pod, kind) in cases {
            let found: Vec<StateKind> = of_pod(&pod, "Pod shop/web-1").iter().map(|w| w.kind).collect();
            assert_eq!(found, kind.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn a_node_says_why() {
        let node = |status: &str| -> NodeView {
            serde_json::from_value(json!({"status": {"conditions": [
                {"type": "Ready", "status": status, "message": "Kubelet stopped posting node status."}]}}))
            .unwrap()
        };
        assert_eq!(of_node(&node("True"), "n1"), []);
        let wrong = of_node(&node("Unknown"), "n1");
        assert_eq!(wrong[0].note, "node n1 is not ready: Kubelet stopped posting node status.");
        assert_eq!(of_node(&NodeView::default(), "n1"), [], "it has not said anything yet");
        let short: NodeView = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "False"},
            {"type": "DiskPressure", "status": "True", "message": "kubelet has disk pressure"}]}}))
        .unwrap();
        let wrong = of_node(&short, "n1");
        assert_eq!((wrong.len(), wrong[0].kind), (1, StateKind::NodePressure));
        assert_eq!(wrong[0].note, "node n1 runs out of disk: kubelet has disk pressure");
    }

    #[test]
    fn a_rollout_is_stuck_when_its_deadline_has_passed() {
        let of = |status: &str, reason: &str| {
            let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": "web"},
                "status": {"conditions": [{"type": "Progressing", "status": status, "reason": reason,
                    "message": "ReplicaSet \"web-2\" has timed out progressing."}]}}))
            .unwrap();
            of_deployment(&deployment, "Deployment shop/web").map(|wrong| (wrong.kind, wrong.note))
        };
        assert_eq!(of("True", "ReplicaSetUpdated"), None);
        assert_eq!(of("Unknown", "DeploymentPaused"), None, "held by somebody");
        let (kind, note) = of("False", "ProgressDeadlineExceeded").unwrap();
        assert_eq!(kind, StateKind::StuckRollout);
        assert!(note.ends_with("does not go on: ReplicaSet \"web-2\" has timed out progressing."), "{note}");
    }
}
