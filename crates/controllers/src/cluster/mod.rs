//! Tells the engine what runs where and what is wrong in itself, as pods, nodes and Deployments say.
//!
//! Only namespaces that take part are looked at: those with a MonitoredService, a LogSource, an SLO or a
//! RemediationPolicy. Everything is told as a whole, so that what was missed is made good by the next look.

pub(crate) mod views;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_engine::{Placement, State};
use causeway_kubekit::{Activity, Busy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use self::views::PodView;
use crate::mirrors::Mirrors;
use crate::ports::Engine;
use crate::services::entities_of;

/// Asks for another look; used from within watches.
#[derive(Clone)]
pub(crate) struct Bell {
    sender: UnboundedSender<Busy>,
    activity: Activity,
}

impl Bell {
    pub(crate) fn ring(&self) {
        // A failed send means that the surveyor has ended.
        drop(self.sender.send(self.activity.busy()));
    }
}

/// Looks at all pods, nodes and Deployments whenever one of them changed.
pub(crate) struct Surveyor {
    receiver: UnboundedReceiver<Busy>,
    mirrors: Mirrors,
    engine: Arc<dyn Engine>,
    told: (Vec<State>, Vec<Placement>),
}

impl Surveyor {
    pub(crate) fn new(mirrors: Mirrors, engine: Arc<dyn Engine>, activity: &Activity) -> (Self, Bell) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let bell = Bell { sender, activity: activity.clone() };
        (Self { receiver, mirrors, engine, told: Default::default() }, bell)
    }

    /// Works until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let listed = async {
            self.mirrors.pods.synced().await;
            self.mirrors.nodes.synced().await;
            self.mirrors.deployments.synced().await;
            self.mirrors.services.synced().await;
            self.mirrors.log_sources.synced().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = listed => {}
        }
        // Once in any case: the engine may remember what was wrong while nobody looked.
        self.look(true);
        loop {
            let mut rung = tokio::select! {
                () = stop.cancelled() => return,
                Some(busy) = self.receiver.recv() => vec![busy],
            };
            // A rollout changes many pods at once: one look is enough for all that have changed so far.
            while let Ok(busy) = self.receiver.try_recv() {
                rung.push(busy);
            }
            self.look(false);
            drop(rung);
        }
    }

    fn look(&mut self, always: bool) {
        let (states, placements) = survey(&self.mirrors);
        if always || states != self.told.0 {
            self.engine.set_states(states.clone());
        }
        if always || placements != self.told.1 {
            self.engine.set_placements(placements.clone());
        }
        self.told = (states, placements);
    }
}

/// Namespaces that take part.
fn participants(mirrors: &Mirrors) -> BTreeSet<String> {
    let services = mirrors.services.list().into_iter().filter_map(|o| o.namespace());
    let sources = mirrors.log_sources.list().into_iter().filter_map(|o| o.namespace());
    let objectives = mirrors.slos.list().into_iter().filter_map(|o| o.namespace());
    let policies = mirrors.policies.list().into_iter().filter_map(|o| o.namespace());
    services.chain(sources).chain(objectives).chain(policies).collect()
}

fn survey(mirrors: &Mirrors) -> (Vec<State>, Vec<Placement>) {
    let participants = participants(mirrors);
    let (mut states, mut placements) = (Vec::new(), Vec::new());
    let mut entities: BTreeMap<(String, String, String), String> = BTreeMap::new();
    // Namespaces with pods on a node.
    let mut concerned: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pod in mirrors.pods.list() {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        if !participants.contains(&namespace) {
            continue;
        }
        let (kind, workload) = workload_of(&pod);
        let key = (kind.to_owned(), namespace.clone(), workload);
        let entity = entities.entry(key).or_insert_with_key(|(kind, namespace, workload)| {
            entities_of(mirrors, kind, namespace, workload).into_iter().next().unwrap_or_default()
        });
        let object = format!("Pod/{namespace}/{name}");
        for wrong in wrong::of_pod(&pod, &format!("Pod {namespace}/{name}")) {
            states.push(State {
                namespace: namespace.clone(),
                entity: entity.clone(),
                kind: wrong.kind,
                object: object.clone(),
                note: wrong.note,
                value: wrong.value,
            });
        }
        if matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
            continue;
        }
        let node = pod.spec.node_name.clone();
        if !node.is_empty() {
            concerned.entry(node.clone()).or_default().insert(namespace.clone());
        }
        let own = pod.status.pod_ips.iter().filter(|_| !pod.spec.host_network);
        let addresses = own.map(|address| address.ip.clone()).filter(|ip| !ip.is_empty()).collect();
        placements.push(Placement { service: entity.clone(), namespace, pod: name, node, addresses });
    }
    for node in mirrors.nodes.list() {
        let name = node.name_any();
        for wrong in wrong::of_node(&node, &name) {
            for namespace in concerned.get(&name).into_iter().flatten() {
                states.push(State {
                    namespace: namespace.clone(),
                    entity: format!("Node/{name}"),
                    kind: wrong.kind,
                    object: format!("Node/{name}"),
                    note: wrong.note.clone(),
                    value: wrong.value,
                });
            }
        }
    }
    for deployment in mirrors.deployments.list() {
        let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
        if !participants.contains(&namespace) {
            continue;
        }
        let Some(wrong) = wrong::of_deployment(&deployment, &format!("Deployment {namespace}/{name}")) else {
            continue;
        };
        let entity =
            entities_of(mirrors, "Deployment", &namespace, &name).into_iter().next().unwrap_or_default();
        states.push(State {
            entity,
            kind: wrong.kind,
            object: format!("Deployment/{namespace}/{name}"),
            namespace,
            note: wrong.note,
            value: wrong.value,
        });
    }
    (states, placements)
}

/// Kind and name of the workload that a pod belongs to; the pod itself when it has none.
fn workload_of(pod: &PodView) -> (&'static str, String) {
    let owners = pod.metadata.owner_references.iter().flatten();
    let Some(owner) =
        owners.clone().find(|owner| owner.controller == Some(true)).or_else(|| owners.clone().next())
    else {
        return ("Pod", pod.name_any());
    };
    let OwnerReference { kind, name, .. } = owner;
    match kind.as_str() {
        "ReplicaSet" => {
            let hash = pod.labels().get("pod-template-hash");
            let front = match hash {
                Some(hash) => name.strip_suffix(hash.as_str()).and_then(|front| front.strip_suffix('-')),
                None => name.rsplit_once('-').map(|(front, _)| front),
            };
            ("Deployment", front.unwrap_or(name).to_owned())
        }
        "StatefulSet" => ("StatefulSet", name.clone()),
        "DaemonSet" => ("DaemonSet", name.clone()),
        // Runs of a CronJob have the minute in their name.
        "Job" => {
            let run = name
                .rsplit_once('-')
                .filter(|(_, run)| run.len() >= 8 && run.bytes().all(|b| b.is_ascii_digit()));
            ("Job", run.map_or(name.as_str(), |(front, _)| front).to_owned())
        }
        _ => ("Pod", name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_lead_to_their_workload() {
        let pod = |kind: &str, name: &str, hash: Option<&str>| -> PodView {
            let labels = hash.map(|hash| json!({"pod-template-hash": hash}));
            let owner =
                json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true}]);
            serde_json::from_value(
                json!({"metadata": {"name": "p", "labels": labels, "ownerReferences": owner}}),
            )
            .unwrap()
        };
        let cases = [
            (pod("ReplicaSet", "web-5d4f9c", Some("5d4f9c")), ("Deployment", "web")),
            (pod("ReplicaSet", "web-5d4f9c", None), ("Deployment", "web")),
            (pod("StatefulSet", "db", None), ("StatefulSet", "db")),
            (pod("Job", "backup-29412345", None), ("Job", "backup")),
            (pod("Job", "import-once", None), ("Job", "import-once")),
        ];
        for (pod, (kind, name)) in cases {
            assert_eq!(workload_of(&pod), (kind, name.to_owned()));
        }
        let alone: PodView = serde_json::from_value(json!({"metadata": {"name": "p"}})).unwrap();
        assert_eq!(workload_of(&alone), ("Pod", "p".to_owned()));
    }
}
