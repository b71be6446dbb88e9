//! Deletion and its consequences: finalizers, dependents, namespaces, definitions.
//!
//! Everything that a deletion causes happens inside the write that caused it, so that a caller that waited for the
//! answer finds the cluster settled.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::admission::Verb;
use crate::call::{Call, Target};
use crate::core::{Answer, Core};
use crate::crd;
use crate::delete_options::{Options, Propagation};
use crate::form::Form;
use crate::kind::Origin;
use crate::names::finalizers;
use crate::prepare::{meta, meta_mut, stamp};
use crate::selector::Filter;
use crate::status::{ApiError, ApiResult, details};
use crate::store::{Change, Key, Writer};

const FOREGROUND: &str = "foregroundDeletion";
const NAMESPACES: &str = "namespaces";

/// How long Events are kept, in seconds; the API server's default.
const EVENT_LIFE_SECONDS: i64 = 3600;

/// Something that may have consequences.
struct Happened {
    key: Key,
    object: Arc<Value>,
    removed: bool,
}

/// Whether deleting the object deletes what it holds: a namespace's content, a definition's objects.
pub(crate) fn is_container(key: &Key) -> bool {
    matches!(&*key.shelf, NAMESPACES | crd::SHELF)
}

impl Core {
    pub(crate) fn delete(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let options = Options::parse(call)?;
        let mut writer = self.store.writer();
        let (key, object) = self.find(target)?;
        self.delete_in(&mut writer, call, target, &options, key, object)
    }

    /// Evicts a pod. There are no PodDisruptionBudgets here, so that nothing holds it up.
    pub(crate) fn evict(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        if call.method != Method::POST {
            return Err(ApiError::method_not_allowed(&target.kind, "this"));
        }
        let options = Options::of_eviction(call)?;
        let mut writer = self.store.writer();
        let (key, object) = self.find(target)?;
        let pod = Target {
            kind: Arc::clone(&target.kind),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            sub: None,
        };
        self.delete_in(&mut writer, call, &pod, &options, key, object)?;
        let body =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Answer::Json { code: 201, body, warnings: Vec::new() })
    }

    pub(crate) fn delete_collection(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let options = Options::parse(call)?;
        let filter = Filter::parse(&target.kind, call.query("labelSelector"), call.query("fieldSelector"))?;
        let mut writer = self.store.writer();
        let objects = self.store.list(&target.kind.store, target.namespace.as_deref()).objects;
        let mut items = Vec::new();
        for object in objects.into_iter().filter(|object| filter.keeps(&target.kind.present(object))) {
            let one = Target {
                kind: Arc::clone(&target.kind),
                namespace: target.kind.namespaced().then(|| meta(&object, "namespace").to_owned()),
                name: Some(meta(&object, "name").to_owned()),
                sub: None,
            };
            // An earlier deletion of this loop may have taken this one along.
            let Ok((key, object)) = self.find(&one) else { continue };
            items.push(target.kind.present(&object));
            self.delete_in(&mut writer, call, &one, &options, key, object)?;
        }
        let metadata = json!({ "resourceVersion": self.store.version().to_string(), "continue": "" });
        Ok(Answer::ok(Form::Whole.many(&target.kind, items, metadata, (self.now)())))
    }

    fn delete_in(
        &self,
        writer: &mut Writer<'_>,
        call: &Call,
        target: &Target,
        options: &Options,
        key: Key,
        object: Arc<Value>,
    ) -> ApiResult<Answer> {
        let kind = &target.kind;
        for (field, wanted) in [("uid", &options.uid), ("resourceVersion", &options.version)] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != meta(&object, field)) {
                let (name, meaning) = match field {
                    "uid" => ("UID", "The object might have been deleted and then recreated"),
                    _ => ("ResourceVersion", "The object might have been modified"),
                };
                let why = format!(
                    "the {name} in the precondition ({wanted}) does not match the {name} in record ({}). {meaning}",
                    meta(&object, field)
                );
                return Err(ApiError::failed_precondition(kind, &key.name, &why));
            }
        }
        self.admit(call, target, Verb::Delete, None, Some(&object))?;
        let deletion = self.deletion(&key, &object, options.propagation == Propagation::Foreground);
        if options.rehearsed {
            return Ok(match deletion.and_then(|change| change.new) {
                Some(marked) => Answer::ok(kind.present(&marked)),
                None => done(target, &object),
            });
        }
        let mut changes = Vec::new();
        if options.propagation == Propagation::Orphan {
            changes.extend(self.orphan(&object));
        }
        let Some(deletion) = deletion else {
            return Ok(Answer::ok(kind.present(&object)));
        };
        let removed = deletion.new.is_none();
        changes.push(deletion);
        let made = self.commit(writer, changes)?;
        let last = made.last().cloned().unwrap_or_default();
        Ok(if removed { done(target, &last) } else { Answer::ok(kind.present(&last)) })
    }

    /// The change that a deletion makes to the object itself; `None` when it is on its way already.
    fn deletion(&self, key: &Key, object: &Arc<Value>, foreground: bool) -> Option<Change> {
        let old = Some(Arc::clone(object));
        let hold = foreground;
        if finalizers(object).next().is_none() && !is_container(key) && !hold {
            return Some(Change { key: key.clone(), old, new: None });
        }
        if !meta(object, "deletionTimestamp").is_empty() {
            return None;
        }
        let mut marked = (**object).clone();
        let now = stamp((self.now)());
        if let Some(meta) = meta_mut(&mut marked) {
            meta.insert("deletionTimestamp".into(), now.clone().into());
            meta.insert("deletionGracePeriodSeconds".into(), 0.into());
            if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
                meta.insert("generation".into(), (generation + 1).into());
            }
            if hold {
                let list = meta.entry("finalizers").or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(FOREGROUND.into());
                }
            }
        }
        if &*key.shelf == NAMESPACES {
            marked["status"]["phase"] = "Terminating".into();
        }
        if &*key.shelf == crd::SHELF
            && let Some(list) = marked["status"]["conditions"].as_array_mut()
        {
            list.push(
                json!({ "type": "Terminating", "status": "True", "reason": "InstanceDeletionInProgress",
                    "message": "CustomResource deletion is in progress", "lastTransitionTime": now }),
            );
        }
        Some(Change { key: key.clone(), old, new: Some(Arc::new(marked)) })
    }

    /// Takes the object out of its dependents' owner references.
    fn orphan(&self, object: &Value) -> Vec<Change> {
        let uid = meta(object, "uid");
        let dependents = self.store.dependents(uid).into_iter();
        dependents.filter_map(|key| self.without_owners(key, |owner| owner["uid"] == uid)).collect()
    }

    fn without_owners(&self, key: Key, gone: impl Fn(&Value) -> bool) -> Option<Change> {
        let old = self.store.get(&key)?;
        let mut new = (*old).clone();
        if let Some(list) = new.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
            list.retain(|owner| !gone(owner));
        }
        Some(Change { key, old: Some(old), new: Some(Arc::new(new)) })
    }

    /// Commits changes and everything that follows from them.
    pub(crate) fn commit(&self, writer: &mut Writer<'_>, changes: Vec<Change>) -> ApiResult<Vec<Arc<Value>>> {
        let mut answer = None;
        let mut changes = changes;
        let mut definitions_changed = false;
        while !changes.is_empty() {
            definitions_changed |= changes.iter().any(|change| &*change.key.shelf == crd::SHELF);
            let facts: Vec<(Key, bool, bool)> = changes
                .iter()
                .map(|change| {
                    let removed = change.new.is_none();
                    let marks = |object: &Option<Arc<Value>>| {
                        object.as_ref().is_some_and(|o| !meta(o, "deletionTimestamp").is_empty())
                    };
                    (change.key.clone(), removed, !removed && marks(&change.new) && !marks(&change.old))
                })
                .collect();
            let made = writer.commit(changes).map_err(|error| {
                tracing::error!(%error, "a write could not be stored");
                ApiError::internal(format!("the write could not be stored: {error}"))
            })?;
            let happened: Vec<Happened> = facts
                .into_iter()
                .zip(&made)
                .filter(|((_, removed, marked), _)| *removed || *marked)
                .map(|((key, removed, _), object)| Happened { key, object: Arc::clone(object), removed })
                .collect();
            answer.get_or_insert(made);
            changes = self.consequences(&happened);
        }
        if definitions_changed {
            self.reload();
        }
        Ok(answer.unwrap_or_default())
    }

    fn consequences(&self, happened: &[Happened]) -> Vec<Change> {
        let mut plan: BTreeMap<Key, Change> = BTreeMap::new();
        let mut add = |change: Option<Change>| {
            if let Some(change) = change {
                plan.entry(change.key.clone()).or_insert(change);
            }
        };
        for event in happened {
            let uid = meta(&event.object, "uid");
            if event.removed {
                for key in self.store.dependents(uid) {
                    add(self.release_dependent(&key));
                }
                for owner in owners(&event.object) {
                    add(self.release_owner(owner["uid"].as_str().unwrap_or_default()));
                }
                add(self.release_container(&Key::new(NAMESPACES, "", &event.key.namespace)));
                add(self.release_container(&Key::new(crd::SHELF, "", &event.key.shelf)));
                continue;
            }
            if finalizers(&event.object).any(|f| f == FOREGROUND) {
                for key in self.store.dependents(uid) {
                    let object = self.store.get(&key);
                    add(object.and_then(|object| self.deletion(&key, &object, false)));
                }
            }
            if is_container(&event.key) {
                for (key, object) in self.contents(&event.key) {
                    add(self.deletion(&key, &object, false));
                }
                add(self.release_container(&event.key));
            }
        }
        plan.into_values().collect()
    }

    /// A dependent whose owners are all gone is deleted; one with other owners only loses the dead references.
    fn release_dependent(&self, key: &Key) -> Option<Change> {
        let object = self.store.get(key)?;
        let alive = |owner: &Value| self.store.by_uid(owner["uid"].as_str().unwrap_or_default()).is_some();
        if owners(&object).iter().any(alive) {
            self.without_owners(key.clone(), |owner| !alive(owner))
        } else {
            self.deletion(key, &object, false)
        }
    }

    /// An owner that waits for its dependents goes when the last of them went.
    fn release_owner(&self, uid: &str) -> Option<Change> {
        let key = self.store.by_uid(uid)?;
        let object = self.store.get(&key)?;
        let waits =
            finalizers(&object).any(|f| f == FOREGROUND) && !meta(&object, "deletionTimestamp").is_empty();
        if !waits || !self.store.dependents(uid).is_empty() {
            return None;
        }
        let mut new = (*object).clone();
        if let Some(list) = new.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
            list.retain(|f| f != FOREGROUND);
        }
        let last = finalizers(&new).next().is_none();
        Some(Change { key, old: Some(object), new: (!last).then(|| Arc::new(new)) })
    }

    fn release_container(&self, key: &Key) -> Option<Change> {
        let object = self.store.get(key)?;
        let goes = !meta(&object, "deletionTimestamp").is_empty()
            && finalizers(&object).next().is_none()
            && self.contents(key).is_empty();
        goes.then(|| Change { key: key.clone(), old: Some(object), new: None })
    }

    fn contents(&self, container: &Key) -> Vec<(Key, Arc<Value>)> {
        if &*container.shelf == NAMESPACES {
            return self.store.in_namespace(&container.name);
        }
        let objects = self.store.list(&container.name, None).objects;
        let key = |object: &Value| Key::new(&container.name, meta(object, "namespace"), meta(object, "name"));
        objects.into_iter().map(|object| (key(&object), object)).collect()
    }

    /// A new object whose owners are known not to exist is garbage at once.
    pub(crate) fn collect_if_ownerless(
        &self,
        writer: &mut Writer<'_>,
        key: &Key,
        object: &Arc<Value>,
    ) -> ApiResult<()> {
        let registry = self.registry();
        let absent = |owner: &Value| {
            let text = |field: &str| owner[field].as_str().unwrap_or_default();
            registry.by_reference(text("apiVersion"), text("kind")).is_some()
                && self.store.by_uid(text("uid")).is_none()
        };
        let owners = owners(object);
        if !owners.is_empty() && owners.iter().all(absent) {
            let change = self.deletion(key, object, false);
            self.commit(writer, change.into_iter().collect())?;
        }
        Ok(())
    }

    /// Removes Events that nobody has touched for an hour.
    pub(crate) fn sweep_events(&self, writer: &mut Writer<'_>) -> ApiResult<()> {
        let limit = (self.now)().as_second() - EVENT_LIFE_SECONDS;
        let last_seen = |event: &Value| {
            ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
                .iter()
                .filter_map(|pointer| event.pointer(pointer).and_then(Value::as_str))
                .filter_map(|text| text.parse::<jiff::Timestamp>().ok())
                .map(jiff::Timestamp::as_second)
                .max()
        };
        let old = self.store.list("events", None).objects.into_iter();
        let changes = old
            .filter(|event| last_seen(event).is_some_and(|seen| seen < limit))
            .map(|event| {
                let key = Key::new("events", meta(&event, "namespace"), meta(&event, "name"));
                Change { key, old: Some(event), new: None }
            })
            .collect();
        self.commit(writer, changes).map(|_| ())
    }
}

fn owners(object: &Value) -> &[Value] {
    object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Answer to a deletion that is complete: `Status`, but for pods the pod, as the API server does.
fn done(target: &Target, object: &Value) -> Answer {
    let kind = &target.kind;
    if kind.origin == Origin::BuiltIn
        && matches!(kind.plural.as_str(), "pods" | "services" | "serviceaccounts")
    {
        return Answer::ok(kind.present(object));
    }
    let mut details = details(meta(object, "name"), &kind.group, &kind.plural);
    details["uid"] = meta(object, "uid").into();
    Answer::ok(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }))
}
