//! Local copies of single objects, each kept by a watch of its own: for kinds of which a process may only see those that
//! others name, such as Secrets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::core::Status;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::activity::Activity;
use crate::controller::Triggers;
use crate::key::ObjectKey;

/// What is known of an object.
#[derive(Debug)]
pub enum Lookup<K> {
    /// The API server has not answered yet, or nobody holds the object.
    Unknown,
    /// What it looks like.
    Present(Arc<K>),
    /// It does not exist.
    Absent,
    /// The API server does not give it; what it says about that.
    Refused(String),
}

impl<K> Clone for Lookup<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Present(object) => Self::Present(Arc::clone(object)),
            Self::Absent => Self::Absent,
            Self::Refused(message) => Self::Refused(message.clone()),
        }
    }
}

/// An object that names others: its kind and key.
type Holder = (String, ObjectKey);
type Listener = Box<dyn Fn(&ObjectKey) + Send>;

/// Copies of the objects of kind `K` that other objects name; clones share them.
///
/// Each is watched with its name as field selector, so that a Role with `resourceNames` is enough. Unlike with
/// [`crate::Mirror`], [`Activity::settled`] does not wait until a write of this process to such an object was seen.
pub struct Named<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Named<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for Named<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Named")
            .field("objects", &self.shared.watched.lock().len())
            .finish_non_exhaustive()
    }
}

struct Shared<K> {
    client: Client,
    activity: Activity,
    watched: Mutex<BTreeMap<ObjectKey, Watched<K>>>,
    /// By kind of the holders.
    listeners: Mutex<HashMap<String, Listener>>,
}

struct Watched<K> {
    known: watch::Sender<Lookup<K>>,
    holders: BTreeSet<Holder>,
    /// Ends the watch.
    _end: DropGuard,
}

impl<K> Named<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    /// Nothing is watched before something is held.
    #[must_use]
    pub fn new(client: Client, activity: &Activity) -> Self {
        let shared = Shared {
            client,
            activity: activity.clone(),
            watched: Mutex::default(),
            listeners: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Reconciles holders of kind `W` whenever something changes that they hold.
    pub fn wake<W>(&self, triggers: Triggers<W>)
    where
        W: Resource<DynamicType = ()> + 'static,
        Triggers<W>: Send,
    {
        self.listen(&W::kind(&()), move |holder| triggers.trigger(holder.clone()));
    }

    /// Calls `listener` with the key of a holder of this kind whenever something changes that it holds.
    pub fn listen(&self, kind: &str, listener: impl Fn(&ObjectKey) + Send + 'static) {
        self.shared.listeners.lock().insert(kind.to_owned(), Box::new(listener));
    }

    /// Says what `holder` names in its namespace, in place of what it named before, and waits until the API server has
    /// answered for each. What nobody names any more is forgotten.
    pub async fn hold<W>(&self, holder: &W, names: &BTreeSet<String>)
    where
        W: Resource<DynamicType = ()>,
    {
        self.hold_for(&W::kind(&()), &ObjectKey::of(holder), names).await;
    }

    /// The same for a holder by its kind and key.
    pub async fn hold_for(&self, kind: &str, holder: &ObjectKey, names: &BTreeSet<String>) {
        let namespace = holder.namespace.as_deref().unwrap_or_default();
        let wanted: BTreeSet<ObjectKey> =
            names.iter().map(|name| ObjectKey::namespaced(namespace, name)).collect();
        let waiting = self.claim(&(kind.to_owned(), holder.clone()), &wanted);
        for mut known in waiting {
            // It is not answered any more when the holder let go of it meanwhile.
            known.wait_for(|known| !matches!(known, Lookup::Unknown)).await.map(drop).unwrap_or_default();
        }
    }

    /// Forgets a holder and what only it named.
    pub fn release<W>(&self, holder: &W)
    where
        W: Resource<DynamicType = ()>,
    {
        self.claim(&(W::kind(&()).into_owned(), ObjectKey::of(holder)), &BTreeSet::new());
    }

    /// What is known of an object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Lookup<K> {
        let watched = self.shared.watched.lock();
        watched.get(key).map_or(Lookup::Unknown, |watched| watched.known.borrow().clone())
    }

    fn claim(&self, holder: &Holder, wanted: &BTreeSet<ObjectKey>) -> Vec<watch::Receiver<Lookup<K>>> {
        let mut watched = self.shared.watched.lock();
        for (key, entry) in watched.iter_mut() {
            if !wanted.contains(key) {
                entry.holders.remove(holder);
            }
        }
        let mut receivers = Vec::new();
        for key in wanted {
            let entry = watched.entry(key.clone()).or_insert_with(|| self.watch(key));
            entry.holders.insert(holder.clone());
            receivers.push(entry.known.subscribe());
        }
        watched.retain(|_, entry| !entry.holders.is_empty());
        receivers
    }

    /// Begins a watch.
    fn watch(&self, key: &ObjectKey) -> Watched<K> {
        let (known, end) = (watch::Sender::new(Lookup::Unknown), CancellationToken::new());
        tokio::spawn(follow(Arc::downgrade(&self.shared), key.clone(), known.clone(), end.clone(), {
            Api::namespaced(self.shared.client.clone(), key.namespace.as_deref().unwrap_or_default())
        }));
        Watched { known, holders: BTreeSet::new(), _end: end.drop_guard() }
    }
}

/// Keeps one copy until `end`. Failures are retried with backoff; an object that was seen stays until the API server
/// says that it is gone, or refuses it.
async fn follow<K>(
    shared: std::sync::Weak<Shared<K>>,
    key: ObjectKey,
    known: watch::Sender<Lookup<K>>,
    end: CancellationToken,
    api: Api<K>,
) where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = std::pin::pin!(watch_object(api, &key.name).default_backoff());
    loop {
        let event = tokio::select! {
            () = end.cancelled() => return,
            event = events.next() => event,
        };
        let fresh = match event {
            None => return,
            Some(Ok(Some(mut object))) => {
                object.managed_fields_mut().clear();
                Lookup::Present(Arc::new(object))
            }
            Some(Ok(None)) => Lookup::Absent,
            Some(Err(error)) => {
                let status = status(&error);
                let forbidden = status.is_some_and(|status| status.code == 403);
                if !forbidden && !matches!(*known.borrow(), Lookup::Unknown | Lookup::Refused(_)) {
                    tracing::warn!(kind = %K::kind(&()), object = %key, %error, "watch failed, retrying");
                    continue;
                }
                Lookup::Refused(status.map_or_else(|| error.to_string(), |status| status.message.clone()))
            }
        };
        if same(&known.borrow(), &fresh) {
            continue;
        }
        let Some(shared) = shared.upgrade() else { return };
        // What it causes begins before this ends, so that the process does not look settled in between.
        let busy = shared.activity.busy();
        known.send_replace(fresh);
        let holders = shared.watched.lock().get(&key).map(|entry| entry.holders.clone()).unwrap_or_default();
        let listeners = shared.listeners.lock();
        for (kind, holder) in &holders {
            if let Some(listener) = listeners.get(kind) {
                listener(holder);
            }
        }
        drop(listeners);
        drop(busy);
    }
}

fn same<K: Resource>(known: &Lookup<K>, fresh: &Lookup<K>) -> bool {
    match (known, fresh) {
        (Lookup::Present(known), Lookup::Present(fresh)) => {
            known.meta().uid == fresh.meta().uid
                && known.meta().resource_version == fresh.meta().resource_version
        }
        (Lookup::Absent, Lookup::Absent) => true,
        (Lookup::Refused(known), Lookup::Refused(fresh)) => known == fresh,
        _ => false,
    }
}

/// What the API server said, if it did.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use serde_json::json;

    use super::*;
    use crate::fake_api::{FakeApi, Fault};

    const TOKEN: &str = "/api/v1/namespaces/shop/secrets/token";

    fn holder(name: &str) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}})).unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn token() -> ObjectKey {
        ObjectKey::namespaced("shop", "token")
    }

    fn secret(text: &str) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "stringData": {"token": text}})
    }

    /// Waits until it looks so.
    async fn until(named: &Named<Secret>, good: impl Fn(&Lookup<Secret>) -> bool) {
        let mut known = named.shared.watched.lock()[&token()].known.subscribe();
        tokio::time::timeout(Duration::from_secs(120), known.wait_for(good)).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn follows_an_object_while_somebody_holds_it() {
        let api = FakeApi::default();
        api.put("/api/v1/namespaces/shop/secrets/other", secret("other"));
        let named: Named<Secret> = Named::new(api.client(), &Activity::new());
        assert!(matches!(named.get(&token()), Lookup::Unknown));
        named.hold(&holder("one"), &names(&["token"])).await;
        named.hold(&holder("two"), &names(&["token"])).await;
        assert!(matches!(named.get(&token()), Lookup::Absent), "the other Secret is not it");
        api.put(TOKEN, secret("a"));
        until(&named, |known| matches!(known, Lookup::Present(_))).await;
        api.delete(TOKEN);
        until(&named, |known| matches!(known, Lookup::Absent)).await;
        named.release(&holder("one"));
        assert!(matches!(named.get(&token()), Lookup::Absent), "the second still holds it");
        named.hold(&holder("two"), &names(&["other"])).await;
        assert!(matches!(named.get(&token()), Lookup::Unknown));
        assert_eq!(named.shared.watched.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer_and_ends_when_the_right_is_given() {
        let api = FakeApi::default();
        api.put(TOKEN, secret("a"));
        api.set_fault(Fault::Status(403));
        let activity = Activity::new();
        let named: Named<Secret> = Named::new(api.client(), &activity);
        named.hold(&holder("one"), &names(&["token"])).await;
        assert!(matches!(named.get(&token()), Lookup::Refused(_)));
        assert!(activity.pending().is_settled());
        api.set_fault(Fault::None);
        until(&named, |known| matches!(known, Lookup::Present(_))).await;
        // An outage takes nothing away, a withdrawn right does.
        api.set_fault(Fault::Status(503));
        api.close_watches();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(matches!(named.get(&token()), Lookup::Present(_)));
        api.set_fault(Fault::Status(403));
        until(&named, |known| matches!(known, Lookup::Refused(_))).await;
    }
}
