//! A local copy of all objects of one kind, kept by a watch, with listeners.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Busy, MirrorProgress, ResourceKey};
use crate::clock::Listening;
use crate::key::ObjectKey;

/// What happened to one object.
#[derive(Debug, Clone)]
pub enum Change<K> {
    /// It was created or changed, or a listener sees it for the first time.
    Applied(Arc<K>),
    /// It is gone; this is what it last looked like.
    Deleted(Arc<K>),
    /// It does not parse as its kind, so it is not in the mirror.
    Invalid {
        /// The object.
        reference: ObjectReference,
        /// What the parser said.
        error: String,
    },
}

type Listener<K> = Box<dyn Fn(&Change<K>) -> Listening + Send>;

/// A local copy of the objects of kind `K`; clones share it. `managedFields` are left out of the copies.
///
/// One object that does not parse is reported as [`Change::Invalid`] and does not stop the others.
pub struct Mirror<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Mirror<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for Mirror<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mirror")
            .field("objects", &self.shared.objects.read().len())
            .finish_non_exhaustive()
    }
}

struct Shared<K> {
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    objects: RwLock<BTreeMap<ObjectKey, Arc<K>>>,
    /// Invalid objects and the version that was reported.
    invalid: Mutex<BTreeMap<ObjectKey, Option<String>>>,
    listeners: Mutex<Vec<Listener<K>>>,
    synced: watch::Sender<bool>,
    /// Until the first list is complete, nothing is settled.
    first_list: Mutex<Option<Busy>>,
    progress: Option<MirrorProgress>,
}

impl<K> Mirror<K>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// A mirror of all objects of the kind, in all namespaces. It is empty until [`Mirror::run`] has run a while.
    #[must_use]
    pub fn all(client: Client, activity: &Activity) -> Self {
        let progress = activity.register_mirror(ResourceKey::of::<K>());
        Self::new(Api::all(client), watcher::Config::default(), activity, Some(progress))
    }

    /// A mirror of the objects that `config` selects, in all namespaces. Since it does not see every write to the
    /// kind, [`Activity::settled`] does not wait for it to catch up.
    #[must_use]
    pub fn selected(client: Client, config: watcher::Config, activity: &Activity) -> Self {
        Self::new(Api::all(client), config, activity, None)
    }

    /// A mirror of one namespace. [`Activity::settled`] does not wait for it to catch up.
    #[must_use]
    pub fn namespaced(client: Client, namespace: &str, activity: &Activity) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::new(Api::namespaced(client, namespace), watcher::Config::default(), activity, None)
    }

    fn new(
        api: Api<DeserializeGuard<K>>,
        config: watcher::Config,
        activity: &Activity,
        progress: Option<MirrorProgress>,
    ) -> Self {
        let shared = Shared {
            api,
            config,
            objects: RwLock::default(),
            invalid: Mutex::default(),
            listeners: Mutex::default(),
            synced: watch::Sender::new(false),
            first_list: Mutex::new(Some(activity.busy())),
            progress,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Keeps the mirror until `stop`; failures of the watch are logged and retried with backoff. Run it once.
    pub async fn run(&self, stop: CancellationToken) {
        let events = watcher(self.shared.api.clone(), self.shared.config.clone()).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut list = None;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => self.handle(event, &mut list),
                Some(Err(error)) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "watch failed, retrying");
                }
                None => return,
            }
        }
    }

    /// The object as last seen.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.objects.read().get(key).cloned()
    }

    /// All objects, sorted by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.objects.read().values().cloned().collect()
    }

    /// The objects of one namespace, sorted by name.
    #[must_use]
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.shared.objects.read();
        objects
            .iter()
            .filter(|(key, _)| key.namespace.as_deref() == Some(namespace))
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    /// True once the first list is complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits until the first list is complete.
    pub async fn synced(&self) {
        // The sender lives as long as `self`, so that the wait can't fail.
        self.sync_signal().wait_for(|synced| *synced).await.map(drop).unwrap_or_default();
    }

    pub(crate) fn sync_signal(&self) -> watch::Receiver<bool> {
        self.shared.synced.subscribe()
    }

    /// Takes over the API server's answer to a write, so that the next read sees it before the watch does.
    /// Listeners are told by the watch as always.
    pub fn absorb(&self, object: K) {
        let key = ObjectKey::of(&object);
        self.store(key, object);
    }

    /// Calls `listener` for every object that is there and then for every change, in order, from the watch's task:
    /// it must be quick and must not subscribe to this mirror again.
    pub(crate) fn subscribe(&self, listener: impl Fn(&Change<K>) -> Listening + Send + 'static) {
        let mut listeners = self.shared.listeners.lock();
        for object in self.list() {
            if listener(&Change::Applied(object)) == Listening::No {
                return;
            }
        }
        listeners.push(Box::new(listener));
    }

    fn handle(&self, event: watcher::Event<DeserializeGuard<K>>, list: &mut Option<List>) {
        match event {
            watcher::Event::Init => {
                let written = self.shared.progress.as_ref().map(MirrorProgress::written);
                *list = Some(List { seen: HashSet::new(), written: written.unwrap_or_default() });
            }
            watcher::Event::InitApply(guard) => {
                if let Some(list) = list {
                    list.seen.insert(ObjectKey::of(&guard));
                }
                self.applied(guard);
            }
            watcher::Event::Apply(guard) => self.applied(guard),
            watcher::Event::Delete(guard) => {
                let key = ObjectKey::of(&guard);
                self.remove(&key);
                self.observed(guard.meta().resource_version.as_deref());
            }
            watcher::Event::InitDone => {
                if let Some(list) = list.take() {
                    self.finish_list(&list);
                }
            }
        }
    }

    fn finish_list(&self, list: &List) {
        let mut gone: Vec<ObjectKey> = self.shared.objects.read().keys().cloned().collect();
        gone.extend(self.shared.invalid.lock().keys().cloned());
        for key in gone.iter().filter(|key| !list.seen.contains(key)) {
            self.remove(key);
        }
        self.shared.synced.send_replace(true);
        if let Some(progress) = &self.shared.progress {
            progress.advance(list.written);
        }
        drop(self.shared.first_list.lock().take());
    }

    fn applied(&self, guard: DeserializeGuard<K>) {
        let key = ObjectKey::of(&guard);
        let version = guard.meta().resource_version.clone();
        match guard.0 {
            Ok(object) => {
                self.shared.invalid.lock().remove(&key);
                let stored = self.store(key, object);
                self.notify(&Change::Applied(stored));
            }
            Err(invalid) => {
                self.shared.objects.write().remove(&key);
                let reported = self.shared.invalid.lock().insert(key.clone(), version.clone());
                if reported.is_none_or(|reported| reported != version) {
                    let reference = ObjectReference {
                        api_version: Some(K::api_version(&()).into_owned()),
                        kind: Some(K::kind(&()).into_owned()),
                        name: Some(key.name),
                        namespace: key.namespace,
                        uid: invalid.metadata.uid,
                        ..ObjectReference::default()
                    };
                    self.notify(&Change::Invalid { reference, error: invalid.error });
                }
            }
        }
        self.observed(version.as_deref());
    }

    /// Stores an object unless a newer one is there already; returns what is there now.
    fn store(&self, key: ObjectKey, mut object: K) -> Arc<K> {
        object.managed_fields_mut().clear();
        let mut objects = self.shared.objects.write();
        if let Some(stored) = objects.get(&key)
            && is_newer(stored.as_ref(), &object)
        {
            return Arc::clone(stored);
        }
        let object = Arc::new(object);
        objects.insert(key, Arc::clone(&object));
        object
    }

    fn remove(&self, key: &ObjectKey) {
        self.shared.invalid.lock().remove(key);
        let removed = self.shared.objects.write().remove(key);
        if let Some(object) = removed {
            self.notify(&Change::Deleted(object));
        }
    }

    fn notify(&self, change: &Change<K>) {
        self.shared.listeners.lock().retain(|listener| listener(change) == Listening::Yes);
    }

    fn observed(&self, version: Option<&str>) {
        if let Some(progress) = &self.shared.progress {
            progress.observed(version);
        }
    }
}

/// A list in progress: what it named, and the highest own write before it began.
struct List {
    seen: HashSet<ObjectKey>,
    written: u128,
}

/// True when `stored` is a later version of the same object than `incoming`.
fn is_newer<K: Resource>(stored: &K, incoming: &K) -> bool {
    let version = |object: &K| object.resource_version().and_then(|version| version.parse::<u128>().ok());
    stored.meta().uid == incoming.meta().uid
        && matches!((version(stored), version(incoming)), (Some(stored), Some(incoming)) if stored > incoming)
}
