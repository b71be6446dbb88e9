//! All objects in memory, with a bounded history of changes for watches; every commit goes to the state file first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use serde_json::Value;
use tokio::sync::watch;

use crate::sqlite::{File, FileError};

/// Changes that a shelf remembers; a watch that is further behind gets 410.
const HISTORY: usize = 1024;

/// Identity of a stored object. `namespace` is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) shelf: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(shelf: &str, namespace: &str, name: &str) -> Self {
        Self { shelf: shelf.into(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.shelf, self.namespace, self.name)
    }
}

/// One object's transition. In a commit `new` gets its resource version.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) old: Option<Arc<Value>>,
    pub(crate) new: Option<Arc<Value>>,
}

/// A committed change as a watch sees it. For a deletion `last` is the final state with the deletion's version.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) old: Option<Arc<Value>>,
    pub(crate) new: Option<Arc<Value>>,
    pub(crate) last: Arc<Value>,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<(String, String), Arc<Value>>,
    history: VecDeque<Arc<Committed>>,
    /// Versions up to this one are no longer in `history`.
    forgotten: u64,
}

#[derive(Default)]
struct State {
    version: u64,
    shelves: HashMap<Arc<str>, Shelf>,
    by_uid: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    /// Everything up to this version happened before this process.
    born: u64,
}

/// The objects of a cluster.
pub(crate) struct Store {
    state: RwLock<State>,
    backing: Mutex<Backing>,
    latest: watch::Sender<u64>,
}

/// What is behind the memory.
enum Backing {
    Memory,
    File(File),
    /// Let go of; nothing can be written any more.
    Closed,
}

/// The right to write: one holder at a time, from reading the old object to the commit.
pub(crate) struct Writer<'a> {
    store: &'a Store,
    backing: MutexGuard<'a, Backing>,
}

/// Objects of a shelf at one version.
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) objects: Vec<Arc<Value>>,
}

impl Store {
    /// Opens the state file, or keeps everything in memory when there is none.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, FileError> {
        let mut state = State { version: 1, born: 1, ..State::default() };
        let backing = match path {
            None => Backing::Memory,
            Some(path) => {
                let (file, loaded) = File::open(path)?;
                state.version = loaded.version;
                state.born = loaded.version;
                for (key, object) in loaded.objects {
                    state.put(&key, Some(&Arc::new(object)));
                }
                Backing::File(file)
            }
        };
        let latest = watch::Sender::new(state.version);
        Ok(Self { state: RwLock::new(state), backing: Mutex::new(backing), latest })
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { store: self, backing: self.backing.lock() }
    }

    /// Lets go of the state file; later writes fail.
    pub(crate) fn close(&self) {
        *self.backing.lock() = Backing::Closed;
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.read().version
    }

    /// Tells about every commit: the newest version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        let state = self.state.read();
        let shelf = state.shelves.get(&key.shelf)?;
        shelf.objects.get(&(key.namespace.clone(), key.name.clone())).cloned()
    }

    /// Objects of a shelf in the order of namespace and name; one namespace, or all for `None`.
    pub(crate) fn list(&self, shelf: &str, namespace: Option<&str>) -> Snapshot {
        let state = self.state.read();
        let objects = state.shelves.get(shelf).map_or_else(Vec::new, |shelf| match namespace {
            None => shelf.objects.values().cloned().collect(),
            Some(namespace) => shelf
                .objects
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((n, _), _)| n == namespace)
                .map(|(_, object)| Arc::clone(object))
                .collect(),
        });
        Snapshot { version: state.version, objects }
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.state.read().by_uid.get(uid).cloned()
    }

    /// Objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.state.read().dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Everything that lives in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<(Key, Arc<Value>)> {
        let state = self.state.read();
        let mut found = Vec::new();
        for (name, shelf) in &state.shelves {
            let range = shelf.objects.range((namespace.to_owned(), String::new())..);
            for ((_, object_name), object) in range.take_while(|((n, _), _)| n == namespace) {
                let key = Key {
                    shelf: Arc::clone(name),
                    namespace: namespace.to_owned(),
                    name: object_name.clone(),
                };
                found.push((key, Arc::clone(object)));
            }
        }
        found
    }

    /// Committed changes of a shelf after `since`, or `None` when the history does not reach back that far.
    pub(crate) fn since(&self, shelf: &str, since: u64) -> Option<(u64, Vec<Arc<Committed>>)> {
        let state = self.state.read();
        let Some(shelf) = state.shelves.get(shelf) else {
            return (since >= state.born).then_some((state.version, Vec::new()));
        };
        if since < shelf.forgotten.max(state.born) {
            return None;
        }
        let start = shelf.history.partition_point(|change| change.version <= since);
        Some((state.version, shelf.history.range(start..).cloned().collect()))
    }
}

impl Writer<'_> {
    /// Commits the changes, each under a version of its own, and returns the new objects
    /// (the final state of those that are gone). Nothing is visible before it is on the disk.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) -> Result<Vec<Arc<Value>>, FileError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut version = self.store.version();
        let mut changes = changes;
        let mut committed = Vec::with_capacity(changes.len());
        for change in &mut changes {
            version += 1;
            let source = change.new.as_ref().or(change.old.as_ref());
            let mut last = source.map(|object| (**object).clone()).unwrap_or_default();
            if let Some(meta) = last.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.insert("resourceVersion".into(), version.to_string().into());
            }
            let last = Arc::new(last);
            change.new = change.new.is_some().then(|| Arc::clone(&last));
            committed.push(Arc::new(Committed {
                version,
                key: change.key.clone(),
                old: change.old.clone(),
                new: change.new.clone(),
                last,
            }));
        }
        match &mut *self.backing {
            Backing::Memory => {}
            Backing::File(file) => file.commit(version, &changes)?,
            Backing::Closed => return Err(FileError::Closed),
        }
        let mut state = self.store.state.write();
        state.version = version;
        for change in &committed {
            state.put(&change.key, change.new.as_ref());
            let born = state.born;
            let shelf = state.shelves.entry(Arc::clone(&change.key.shelf)).or_default();
            shelf.forgotten = shelf.forgotten.max(born);
            shelf.history.push_back(Arc::clone(change));
            if shelf.history.len() > HISTORY
                && let Some(lost) = shelf.history.pop_front()
            {
                shelf.forgotten = lost.version;
            }
        }
        drop(state);
        self.store.latest.send_replace(version);
        Ok(committed.iter().map(|change| Arc::clone(&change.last)).collect())
    }
}

impl State {
    fn put(&mut self, key: &Key, new: Option<&Arc<Value>>) {
        let place = (key.namespace.clone(), key.name.clone());
        let old = self.shelves.get(&key.shelf).and_then(|shelf| shelf.objects.get(&place)).cloned();
        for owner in old.as_deref().map(owner_uids).unwrap_or_default() {
            if let Some(keys) = self.dependents.get_mut(&owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
        let shelf = self.shelves.entry(Arc::clone(&key.shelf)).or_default();
        match new {
            Some(object) => {
                for owner in owner_uids(object) {
                    self.dependents.entry(owner).or_default().insert(key.clone());
                }
                if let Some(uid) = uid(object) {
                    self.by_uid.insert(uid.to_owned(), key.clone());
                }
                shelf.objects.insert(place, Arc::clone(object));
            }
            None => {
                shelf.objects.remove(&place);
                if let Some(uid) = old.as_deref().and_then(uid) {
                    self.by_uid.remove(uid);
                }
            }
        }
    }
}

fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

fn owner_uids(object: &Value) -> Vec<String> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners
        .into_iter()
        .flatten()
        .filter_map(|o| o.get("uid").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}
