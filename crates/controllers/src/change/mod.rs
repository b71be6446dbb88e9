//! Changes to workloads, ConfigMaps, Secrets, autoscalers and nodes: told to the engine as possible causes, stamped with the time
//! they were seen.

mod author;
mod diff;
mod history;
mod secrets;
mod workload;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use causeway_engine::{Change, ChangeClass};
use causeway_kubekit::{Activity, Busy, Clock, Lookup, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use self::diff::{FieldChange, Fields};
use self::secrets::Readable;
pub(crate) use self::workload::Workload;
use crate::cluster::views::NodeView;
use crate::mirrors::Mirrors;
use crate::objects::Loads;
use crate::ports::Engine;
use crate::services::entities_of;
use crate::{EXECUTOR, objects};

enum Seen {
    Workload(Box<Workload>),
    /// A Secret that a workload loads may have changed.
    Secrets(ObjectKey),
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
    pub(crate) fn workload(&self, workload: Workload) {
        self.send(Seen::Workload(Box::new(workload)));
    }

    /// A Secret that this workload loads.
    pub(crate) fn secrets(&self, holder: &ObjectKey) {
        self.send(Seen::Secrets(holder.clone()));
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
    /// What other objects looked like, by uid.
    before: HashMap<String, Fields>,
    /// By kind and key.
    workloads: BTreeMap<(&'static str, ObjectKey), Workload>,
    readable: Readable,
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
        let readable = Readable::new(client.clone());
        let (before, workloads) = (HashMap::new(), BTreeMap::new());
        (Self { receiver, client, mirrors, engine, before, workloads, readable }, lookout)
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
                Seen::Workload(workload) => self.workload(*workload, at).await,
                Seen::Secrets(holder) => self.secrets(&holder, at).await,
                Seen::ConfigMap(object) => self.config_map(&object, at).await,
                Seen::Scaler(object) => self.scaler(&object, at).await,
                Seen::Node(object) => self.node(&object, at),
            }
            drop(busy);
        }
    }

    async fn workload(&mut self, workload: Workload, at: Timestamp) {
        let Workload { kind, namespace, name, .. } = &workload;
        let (key, namespace, name) =
            (ObjectKey::namespaced(namespace, name), namespace.clone(), name.clone());
        let place = (*kind, key.clone());
        if self.mirrors.uid_of_workload(kind, &key).as_ref() != Some(&workload.uid) {
            if self.workloads.remove(&place).is_some() {
                self.mirrors.secrets.hold_for(kind, &key, &BTreeSet::new()).await;
            }
            return;
        }
        let before = self.workloads.get(&place).filter(|before| before.uid == workload.uid);
        // Most of what is seen are changes of the status.
        if before == Some(&workload) {
            return;
        }
        let before = before.map(|before| before.fields.clone());
        self.keep_configs(&workload).await;
        self.follow_secrets(&workload).await;
        let (kind, fields) = (*kind, workload.fields.clone());
        self.workloads.insert(place, workload);
        // What is seen for the first time was not changed: nothing is known that it could have made worse.
        let changed = before.map(|before| diff::between(&before, &fields)).unwrap_or_default();
        if changed.is_empty() {
            return;
        }
        let class = diff::class_of(&changed);
        let author = self.author("apps/v1", kind, &namespace, &name, &changed).await;
        for entity in entities_of(&self.mirrors, kind, &namespace, &name) {
            let object = format!("{kind}/{namespace}/{name}");
            self.engine.change(change(&entity, object, "changed", class, &changed, &author, at), &namespace);
        }
    }

    /// Watches the Secrets that a workload loads, where that is allowed.
    async fn follow_secrets(&mut self, workload: &Workload) {
        let mut names = BTreeSet::new();
        for name in &workload.loads.secrets {
            if self.readable.may_watch(&workload.namespace, name).await {
                names.insert(name.clone());
            }
        }
        let holder = ObjectKey::namespaced(&workload.namespace, &workload.name);
        self.mirrors.secrets.hold_for(workload.kind, &holder, &names).await;
        for name in &names {
            let key = ObjectKey::namespaced(&workload.namespace, name);
            if let Lookup::Present(secret) = self.mirrors.secrets.get(&key) {
                self.before
                    .entry(secret.uid().unwrap_or_default())
                    .or_insert_with(|| diff::of_secret(&secret));
            }
        }
    }

    /// Tells of the Secrets that changed, of all that workloads of this name load.
    async fn secrets(&mut self, holder: &ObjectKey, at: Timestamp) {
        let namespace = holder.namespace.clone().unwrap_or_default();
        let named = self.workloads.iter().filter(|((_, key), _)| key == holder);
        let names: BTreeSet<String> = named.flat_map(|(_, w)| w.loads.secrets.clone()).collect();
        for name in names {
            let Lookup::Present(secret) = self.mirrors.secrets.get(&ObjectKey::namespaced(&namespace, &name))
            else {
                continue;
            };
            let fields = diff::of_secret(&secret);
            let before = self.before.insert(secret.uid().unwrap_or_default(), fields.clone());
            let changed = before.map(|before| diff::between(&before, &fields)).unwrap_or_default();
            let loaders = self.loaders(&namespace, |loads| loads.secrets.contains(&name));
            self.tell_loaders("Secret", &namespace, &name, &loaders, &changed, at).await;
        }
    }

    /// Workloads of a namespace that load something.
    fn loaders(&self, namespace: &str, loads: impl Fn(&Loads) -> bool) -> Vec<&Workload> {
        self.workloads.values().filter(|w| w.namespace == namespace && loads(&w.loads)).collect()
    }

    async fn config_map(&mut self, object: &ConfigMap, at: Timestamp) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let fields = diff::of_config_map(object);
        let before = self.before.insert(object.uid().unwrap_or_default(), fields.clone());
        let loaders = self.loaders(&namespace, |loads| loads.config_maps.contains(&name));
        if loaders.is_empty() {
            return;
        }
        history::keep(&self.client, object).await;
        let changed = before.map(|before| diff::between(&before, &fields)).unwrap_or_default();
        self.tell_loaders("ConfigMap", &namespace, &name, &loaders, &changed, at).await;
    }

    /// Tells what changed of something that workloads load, as a change of each of them.
    async fn tell_loaders(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        loaders: &[&Workload],
        changed: &[FieldChange],
        at: Timestamp,
    ) {
        if changed.is_empty() {
            return;
        }
        let author = self.author("v1", kind, namespace, name, changed).await;
        for loader in loaders {
            for entity in entities_of(&self.mirrors, loader.kind, namespace, &loader.name) {
                let object = format!("{kind}/{namespace}/{name}");
                let change = change(&entity, object, "changed", ChangeClass::Config, changed, &author, at);
                self.engine.change(change, namespace);
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
        let mut changed = diff::between(&before, &fields);
        // A node that gets ready harms nobody.
        changed.retain(|(path, _, now)| path != "status.ready" || now != "True");
        if changed.is_empty() {
            return;
        }
        let verb = if is_gone { "left" } else { "changed" };
        let object = format!("Node/{name}");
        let change = change(&object, object.clone(), verb, ChangeClass::Infrastructure, &changed, "", at);
        self.engine.change(change, "");
    }

    /// Keeps the values of every ConfigMap that a workload loads, so that there is something to go back to.
    async fn keep_configs(&self, workload: &Workload) {
        for config in self.mirrors.config_maps.list_in(&workload.namespace) {
            if workload.loads.config_maps.contains(&config.name_any()) {
                history::keep(&self.client, &config).await;
            }
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
        class: if ours { ChangeClass::Repair } else { class },
        diff: changed.to_vec(),
        author: author.to_owned(),
        frozen_by: String::new(),
    }
}
