//! Tells when controllers have nothing left to do, so that a replay can step its clock without sleeping.
//!
//! A process is settled when no reconcile is queued or running, no component holds a [`Busy`], and every mirror
//! has seen every write that this process made to its kind. The last part closes the gap between the answer to a
//! write and the watch event that it causes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::Resource;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A kind as it stands in an API path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Lower-case plural, for example `incidents`.
    pub plural: String,
}

impl ResourceKey {
    /// The key of a statically known kind.
    #[must_use]
    pub fn of<K>() -> Self
    where
        K: Resource,
        K::DynamicType: Default,
    {
        let dyntype = K::DynamicType::default();
        Self { group: K::group(&dyntype).into_owned(), plural: K::plural(&dyntype).into_owned() }
    }
}

impl std::fmt::Display for ResourceKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.group.is_empty() {
            formatter.write_str(&self.plural)
        } else {
            write!(formatter, "{}.{}", self.plural, self.group)
        }
    }
}

/// What a process still waits for; see [`Activity::pending`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Number of [`Busy`] tokens: reconciles queued or running, and other work that said so.
    pub busy: usize,
    /// Kinds with a write that some mirror has not seen yet.
    pub unobserved: Vec<ResourceKey>,
}

impl Pending {
    /// True when there is nothing to wait for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.busy == 0 && self.unobserved.is_empty()
    }
}

/// Shared account of work in progress; clones share it.
///
/// Resource versions are compared as numbers, which Kubernetes allows since 1.35 and every API server so far
/// satisfies; a version that is not a number is left out of the account.
#[derive(Debug, Clone)]
pub struct Activity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    settled: watch::Sender<u64>,
    next_mirror: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    busy: usize,
    written: HashMap<ResourceKey, u128>,
    mirrors: BTreeMap<u64, (ResourceKey, u128)>,
}

impl State {
    fn pending(&self) -> Pending {
        let mut unobserved: Vec<ResourceKey> = self
            .mirrors
            .values()
            .filter(|(key, seen)| self.written.get(key).is_some_and(|written| seen < written))
            .map(|(key, _)| key.clone())
            .collect();
        unobserved.dedup();
        Pending { busy: self.busy, unobserved }
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

impl Activity {
    /// An account with nothing in it: settled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                settled: watch::Sender::new(0),
                next_mirror: AtomicU64::new(0),
            }),
        }
    }

    /// Counts one piece of work until the token is dropped.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.inner.state.lock().busy += 1;
        Busy { activity: self.clone() }
    }

    /// What the process waits for at this moment.
    #[must_use]
    pub fn pending(&self) -> Pending {
        self.inner.state.lock().pending()
    }

    /// Waits until nothing is left to do. Delayed retries of failed reconciles, and reconciles that wait for a
    /// time ([`crate::Requeue::After`], [`crate::Requeue::At`]), don't count. There is no timeout: wrap it in one.
    pub async fn settled(&self) {
        let mut changes = self.inner.settled.subscribe();
        while !self.pending().is_settled() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes a write of this process: mirrors of the kind have to see at least this version.
    pub fn wrote(&self, key: ResourceKey, resource_version: &str) {
        let Ok(version) = resource_version.parse::<u128>() else { return };
        let mut state = self.inner.state.lock();
        let highest = state.written.entry(key).or_default();
        *highest = version.max(*highest);
    }

    pub(crate) fn register_mirror(&self, key: ResourceKey) -> MirrorProgress {
        let id = self.inner.next_mirror.fetch_add(1, Ordering::Relaxed);
        self.inner.state.lock().mirrors.insert(id, (key.clone(), 0));
        MirrorProgress { activity: self.clone(), id, key }
    }

    fn announce(&self) {
        self.inner.settled.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// One piece of work in progress; it ends when this is dropped.
#[derive(Debug)]
pub struct Busy {
    activity: Activity,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.inner.state.lock().busy -= 1;
        self.activity.announce();
    }
}

/// How far one mirror has come.
#[derive(Debug)]
pub(crate) struct MirrorProgress {
    activity: Activity,
    id: u64,
    key: ResourceKey,
}

impl MirrorProgress {
    /// The mirror has handed on everything up to this version.
    pub(crate) fn observed(&self, resource_version: Option<&str>) {
        if let Some(version) = resource_version.and_then(|version| version.parse().ok()) {
            self.advance(version);
        }
    }

    /// The highest version this process has written; a list that begins now contains it.
    pub(crate) fn written(&self) -> u128 {
        self.activity.inner.state.lock().written.get(&self.key).copied().unwrap_or_default()
    }

    pub(crate) fn advance(&self, version: u128) {
        if let Some((_, seen)) = self.activity.inner.state.lock().mirrors.get_mut(&self.id) {
            *seen = version.max(*seen);
        }
        self.activity.announce();
    }
}

impl Drop for MirrorProgress {
    fn drop(&mut self) {
        self.activity.inner.state.lock().mirrors.remove(&self.id);
        self.activity.announce();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incidents() -> ResourceKey {
        ResourceKey { group: "causeway.dev".to_owned(), plural: "incidents".to_owned() }
    }

    #[tokio::test]
    async fn settles_when_the_last_token_is_dropped() {
        let activity = Activity::new();
        activity.settled().await;
        let first = activity.busy();
        let second = activity.busy();
        let waiting = tokio::spawn({
            let activity = activity.clone();
            async move { activity.settled().await }
        });
        drop(first);
        assert_eq!(activity.pending().busy, 1);
        drop(second);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_write_has_to_come_back_to_every_mirror_of_its_kind() {
        let activity = Activity::new();
        let one = activity.register_mirror(incidents());
        let two = activity.register_mirror(incidents());
        let other = activity.register_mirror(ResourceKey { group: String::new(), plural: "pods".into() });
        activity.wrote(incidents(), "10");
        activity.wrote(incidents(), "not-a-number");
        assert_eq!(activity.pending().unobserved, [incidents()]);
        one.observed(Some("10"));
        two.observed(Some("9"));
        assert!(!activity.pending().is_settled());
        drop(two);
        assert!(activity.pending().is_settled());
        drop(other);
    }
}
