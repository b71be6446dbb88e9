//! Changes to Deployments, ConfigMaps, autoscalers and nodes: told to the engine as possible causes, stamped with the time
//! they were seen.

mod author;
mod diff;
mod history;

use std::collections::HashMap;
use std::sync::Arc;

use causeway_engine::{Change, ChangeClass};
use causeway_kubekit::{Activity, Busy, Clock, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use self::diff::{FieldChange, Fields};
use crate::cluster::views::NodeView;
use crate::mirrors::Mirrors;
use crate::ports::Engine;
use crate::services::entities_of;
use crate::{EXECUTOR, objects};

enum Seen {
    Deployment(Box<Deployment>),
    ConfigMap(Box<ConfigMap>),
    Scaler(Box<HorizontalPodAutoscaler>),
    Node(Box<NodeView>),
}

struct Sighting {
    seen: Seen,
    at: Timestamp,
    busy: Busy,
}

/// Puts sightings into the queue of a [`Watcher`]; used from within watches.
#[derive(Clone)]
pub(crate) struct Lookout {
    sender: UnboundedSender<Sighting>,
    activity: Activity,
    clock: Clock,
}

impl Lookout {
    pub(crate) fn deployment(&self, object: &Deployment) {
        self.send(Seen::Deployment(Box::new(object.clone())));
    }

    pub(crate) fn config_map(&self, object: &ConfigMap) {
        self.send(Seen::ConfigMap(Box::new(object.clone())));
    }

    pub(crate) fn scaler(&self, object: &HorizontalPodAutoscaler) {
        self.send(Seen::Scaler(Box::new(object.clone())));
    }

    pub(crate) fn node(&self, object: &NodeView) {
        self.send(Seen::Node(Box::new(object.clone())));
    }

    fn send(&self, seen: Seen) {
        let sighting = Sighting { seen, at: self.clock.now(), busy: self.activity.busy() };
        // A failed send means that the watcher has ended.
        drop(self.sender.send(sighting));
    }
}

/// Compares what is seen with what was seen before.
pub(crate) struct Watcher {
    receiver: UnboundedReceiver<Sighting>,
    client: Client,
    mirrors: Mirrors,
    engine: Arc<dyn Engine>,
    /// What objects looked like, by uid.
    before: HashMap<String, Fields>,
}

impl Watcher {
    pub(crate) fn new(
        client: Client,
        mirrors: Mirrors,
        engine: Arc<dyn Engine>,
        activity: &Activity,
        clock: &Clock,
    ) -> (Self, Lookout) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let lookout = Lookout { sender, activity: activity.clone(), clock: clock.clone() };
        (Self { receiver, client, mirrors, engine, before: HashMap::new() }, lookout)
    }

    /// Works until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let sighting = tokio::select! {
                () = stop.cancelled() => return,
                Some(sighting) = self.receiver.recv() => sighting,
            };
            let Sighting { seen, at, busy } = sighting;
            match seen {
                Seen::Deployment(object) => self.deployment(&object, at).await,
                Seen::ConfigMap(object) => self.config_map(&object, at).await,
                Seen::Scaler(object) => self.scaler(&object, at).await,
                Seen::Node(object) => self.node(&object, at),
            }
            drop(busy);
        }
    }

    async fn deployment(&mut self, object: &Deployment, at: Timestamp) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        self.keep_configs(object, &namespace).await;
        let fields = diff::of_deployment(object);
        // What is seen for the first time was not changed: nothing is known that it could have made worse.
        let Some(before) = self.before.insert(object.uid().unwrap_or_default(), fields.clone()) else {
            return;
        };
        let changed = diff::between(&before, &fields);
        if !changed.is_empty() {
            let class = diff::class_of(&changed);
            self.tell("Deployment", &namespace, &name, "changed", class, changed, at).await;
        }
    }

    async fn config_map(&mut self, object: &ConfigMap, at: Timestamp) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let fields = diff::of_config_map(object);
        let before = self.before.insert(object.uid().unwrap_or_default(), fields.clone());
        let loaders = self.loaders(&namespace, &name);
        if loaders.is_empty() {
            return;
        }
        history::keep(&self.client, object).await;
        let changed = before.map(|before| diff::between(&before, &fields)).unwrap_or_default();
        if changed.is_empty() {
            return;
        }
        let author = self.author("v1", "ConfigMap", &namespace, &name, &changed).await;
        for loader in loaders {
            for entity in entities_of(&self.mirrors, "Deployment", &namespace, &loader) {
                let object = format!("ConfigMap/{namespace}/{name}");
                let change = change(&entity, object, "changed", ChangeClass::Config, &changed, &author, at);
                self.engine.change(change, &namespace);
            }
        }
    }

    async fn scaler(&mut self, object: &HorizontalPodAutoscaler, at: Timestamp) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let fields = diff::of_scaler(object);
        let Some(before) = self.before.insert(object.uid().unwrap_or_default(), fields.clone()) else {
            return;
        };
        let changed = diff::between(&before, &fields);
        let Some(target) =
            object.spec.as_ref().map(|spec| &spec.scale_target_ref).filter(|_| !changed.is_empty())
        else {
            return;
        };
        let author =
            self.author("autoscaling/v2", "HorizontalPodAutoscaler", &namespace, &name, &changed).await;
        for entity in entities_of(&self.mirrors, &target.kind, &namespace, &target.name) {
            let object = format!("HorizontalPodAutoscaler/{namespace}/{name}");
            let change = change(&entity, object, "changed", ChangeClass::Scaling, &changed, &author, at);
            self.engine.change(change, &namespace);
        }
    }

    /// A node that comes, goes, is cordoned or tainted, or stops being ready.
    fn node(&mut self, object: &NodeView, at: Timestamp) {
        let name = object.name_any();
        let is_gone = self.mirrors.nodes.get(&ObjectKey::cluster(&name)).is_none();
        let fields = if is_gone { Fields::new() } else { diff::of_node(object) };
        let uid = object.uid().unwrap_or_default();
        let known = if is_gone { self.before.remove(&uid) } else { self.before.insert(uid, fields.clone()) };
        let Some(before) = known else { return };
        let changed = diff::between(&before, &fields);
        if changed.is_empty() {
            return;
        }
        let verb = if is_gone { "left" } else { "changed" };
        let object = format!("Node/{name}");
        let change = change(&object, object.clone(), verb, ChangeClass::Infrastructure, &changed, "", at);
        self.engine.change(change, "");
    }

    /// Names of the Deployments that load a ConfigMap.
    fn loaders(&self, namespace: &str, name: &str) -> Vec<String> {
        let deployments = self.mirrors.deployments.list_in(namespace);
        let loads = |deployment: &&Arc<Deployment>| {
            serde_json::to_value(deployment.as_ref())
                .is_ok_and(|value| objects::loads_config_map(&value, name))
        };
        deployments.iter().filter(loads).map(|deployment| deployment.name_any()).collect()
    }

    /// Keeps the values of every ConfigMap that a workload loads, so that there is something to go back to.
    async fn keep_configs(&self, deployment: &Deployment, namespace: &str) {
        let Ok(value) = serde_json::to_value(deployment) else { return };
        for config in self.mirrors.config_maps.list_in(namespace) {
            if objects::loads_config_map(&value, &config.name_any()) {
                history::keep(&self.client, &config).await;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a change is all of this")]
    async fn tell(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        verb: &str,
        class: ChangeClass,
        changed: Vec<FieldChange>,
        at: Timestamp,
    ) {
        let author = self.author("apps/v1", kind, namespace, name, &changed).await;
        for entity in entities_of(&self.mirrors, kind, namespace, name) {
            let object = format!("{kind}/{namespace}/{name}");
            self.engine.change(change(&entity, object, verb, class, &changed, &author, at), namespace);
        }
    }

    /// Who changed an object last; empty when unknown.
    async fn author(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        changed: &[FieldChange],
    ) -> String {
        let api = objects::api(&self.client, api_version, kind, namespace);
        let Ok(found) = api.get(name).await else { return String::new() };
        // Our own repairs are told apart by the manager alone.
        let manager = author::manager(&found.metadata, changed);
        if manager == EXECUTOR { manager } else { author::of(&found.metadata, changed) }
    }
}

fn change(
    entity: &str,
    object: String,
    verb: &str,
    class: ChangeClass,
    changed: &[FieldChange],
    author: &str,
    at: Timestamp,
) -> Change {
    let ours = author == EXECUTOR;
    let fields: Vec<&str> = changed.iter().map(|(path, _, _)| path.as_str()).take(5).collect();
    let by = if ours { " by a repair of Causeway" } else { "" };
    Change {
        time_us: at.as_microsecond(),
        entity: entity.to_owned(),
        description: format!("{object} {verb}{by}: {}", fields.join(", ")),
        object,
        // A repair is no suspect for what it repairs.
        class: if ours { ChangeClass::Other } else { class },
        diff: changed.to_vec(),
        author: author.to_owned(),
    }
}
