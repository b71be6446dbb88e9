//! Create, replace and patch.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use crate::admission::Verb;
use crate::apply::{self, Force};
use crate::call::{Call, Target};
use crate::core::{Answer, Core, field_validation, rehearsed};
use crate::kind::Kind;
use crate::managed::{self, Author};
use crate::names::finalizers;
use crate::patch::{self, Patch};
use crate::prepare::{self, Circumstances, Created, Part, meta};
use crate::schema::FieldValidation;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Change, Key, Writer};
use crate::typed;

/// How often a shelf of Events is swept: once per this many new ones.
const SWEEP_EVERY: u64 = 64;

impl Core {
    pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
        Key { shelf: Arc::clone(&kind.store), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The stored object that a path names.
    pub(crate) fn find(&self, target: &Target) -> ApiResult<(Key, Arc<Value>)> {
        let name = target.name()?;
        let key = Self::key(&target.kind, target.namespace_key(), name);
        let object = self.store.get(&key).ok_or_else(|| ApiError::not_found(&target.kind, name))?;
        Ok((key, object))
    }

    fn circumstances(&self, call: &Call) -> ApiResult<Circumstances> {
        Ok(Circumstances {
            now: (self.now)(),
            unknown_fields: field_validation(call)?,
            replaces: call.method == Method::PUT,
            patches: call.method == Method::PATCH,
            patched: None,
        })
    }

    fn author(&self, call: &Call, target: &Target) -> Author {
        Author {
            manager: call.manager(),
            api_version: target.kind.api_version(),
            subresource: target.sub.clone().unwrap_or_default(),
            // Ownership by way of `scale` is recorded without a time.
            time: if target.sub.as_deref() == Some("scale") {
                String::new()
            } else {
                prepare::stamp((self.now)())
            },
        }
    }

    pub(crate) fn create(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let mut object = call.object()?;
        prepare::check_type(&target.kind, &mut object)?;
        target.kind.store_form(&mut object);
        let mut writer = self.store.writer();
        self.create_in(&mut writer, call, target, object, None)
    }

    /// Creates an object; `applied` carries the ownership that an apply has worked out.
    fn create_in(
        &self,
        writer: &mut Writer<'_>,
        call: &Call,
        target: &Target,
        mut object: Value,
        applied: Option<Value>,
    ) -> ApiResult<Answer> {
        let kind = &target.kind;
        if kind.namespaced() && target.namespace.is_none() {
            return Err(ApiError::bad_request("an object of this kind is created in a namespace"));
        }
        self.check_namespace(target, &object)?;
        let stored = self.stored_kind(kind);
        let around = self.circumstances(call)?;
        let Created { warnings, sent } =
            prepare::create(&stored, &mut object, target.namespace_key(), target.name.as_deref(), &around)?;
        let name = meta(&object, "name").to_owned();
        let key = Self::key(kind, target.namespace_key(), &name);
        if self.store.get(&key).is_some() {
            return Err(ApiError::already_exists(kind, &name));
        }
        match applied {
            Some(entries) => {
                if let Some(meta) = prepare::meta_mut(&mut object) {
                    meta.insert("managedFields".into(), entries);
                }
            }
            None => managed::record_create(&stored, &sent, &mut object, &self.author(call, target)),
        }
        self.admit(call, target, Verb::Create, Some(&object), None)?;
        let body = if rehearsed(call)? {
            kind.present(&object)
        } else {
            let change = Change { key: key.clone(), old: None, new: Some(Arc::new(object)) };
            let made = self.commit(writer, vec![change])?;
            let made = made.first().cloned().unwrap_or_default();
            self.collect_if_ownerless(writer, &key, &made)?;
            if &*key.shelf == "events" && self.store.version().is_multiple_of(SWEEP_EVERY) {
                self.sweep_events(writer)?;
            }
            kind.present(&made)
        };
        Ok(Answer::Json { code: 201, body, warnings })
    }

    fn check_namespace(&self, target: &Target, object: &Value) -> ApiResult<()> {
        let Some(name) = &target.namespace else { return Ok(()) };
        let registry = self.registry();
        let Some(kind) = registry.get("", "v1", "namespaces") else { return Ok(()) };
        let namespace = self
            .store
            .get(&Key::new("namespaces", "", name))
            .ok_or_else(|| ApiError::not_found(kind, name))?;
        if meta(&namespace, "deletionTimestamp").is_empty() {
            return Ok(());
        }
        let what = meta(object, "name");
        let why = format!("namespace {name} is being terminated");
        let text = format!(
            "{} {what:?} is forbidden: unable to create new content in namespace {name} because it is being terminated",
            target.kind.qualified()
        );
        Err(ApiError::forbidden(text).with_cause(
            &target.kind,
            what,
            "NamespaceTerminating",
            &why,
            "metadata.namespace",
        ))
    }

    pub(crate) fn replace(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let mut object = call.object()?;
        prepare::check_type(&target.kind, &mut object)?;
        target.kind.store_form(&mut object);
        let mut writer = self.store.writer();
        let (key, old) = self.find(target)?;
        let conditional = target.kind.origin == crate::kind::Origin::Custom || target.kind.plural == "leases";
        if conditional && meta(&object, "resourceVersion").is_empty() {
            let cause =
                Cause::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
            return Err(ApiError::invalid_of(
                &target.kind.plural,
                &target.kind.group,
                target.name()?,
                &[cause],
            ));
        }
        self.change(&mut writer, call, target, key, &old, object, None)
    }

    pub(crate) fn patch(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let patch = Patch::parse(call, &target.kind)?;
        if call.query("force").is_some() && !matches!(patch, Patch::Apply(_)) {
            let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(ApiError::invalid_options(call.options(), &[cause]));
        }
        let mut writer = self.store.writer();
        let found = match self.find(target) {
            Ok(found) => Some(found),
            Err(error) if error.code == 404 && matches!(patch, Patch::Apply(_)) && target.sub.is_none() => {
                None
            }
            Err(error) => return Err(error),
        };
        match (patch, found) {
            (Patch::Apply(applied), found) => self.apply(&mut writer, call, target, applied, found),
            (patch, Some((key, old))) => {
                let shown = target.kind.present(&old);
                let mut object = patch::run(&patch, &target.kind, &shown)?;
                prepare::check_type(&target.kind, &mut object)?;
                target.kind.store_form(&mut object);
                self.change(&mut writer, call, target, key, &old, object, None)
            }
            (_, None) => Err(ApiError::no_such_path()),
        }
    }

    fn apply(
        &self,
        writer: &mut Writer<'_>,
        call: &Call,
        target: &Target,
        mut applied: Value,
        found: Option<(Key, Arc<Value>)>,
    ) -> ApiResult<Answer> {
        if call.query("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(ApiError::invalid_options(call.options(), &[cause]));
        }
        if ["apiVersion", "kind"].iter().any(|field| applied.get(*field).is_none()) {
            let text =
                |field: &str| applied.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (group, version) = text("apiVersion").split_once('/').map_or_else(
                || (String::new(), text("apiVersion")),
                |(group, version)| (group.to_owned(), version.to_owned()),
            );
            let why = format!("invalid object type: {group}/{version}, Kind={}", text("kind"));
            return Err(ApiError::bad_request(why));
        }
        prepare::check_type(&target.kind, &mut applied)?;
        if applied.pointer("/metadata/managedFields").is_some_and(|list| !list.is_null()) {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        target.kind.store_form(&mut applied);
        let stored = self.stored_kind(&target.kind);
        if stored.origin == crate::kind::Origin::BuiltIn {
            stored.schema.decode(&mut applied);
            crate::strategy::normalize(&stored, &mut applied);
        }
        if let Some(why) = typed::offence(stored.schema.root(), &applied) {
            return Err(ApiError::unforeseen(format!(
                "failed to create typed patch object ({}/{}; {}/{}, Kind={}): {why}",
                meta(&applied, "namespace"),
                meta(&applied, "name"),
                target.kind.group,
                target.kind.version,
                target.kind.kind
            )));
        }
        let status = applied
            .as_object_mut()
            .and_then(|map| if stored.status { map.shift_remove("status") } else { None });
        if let (Some("status"), Some(map)) = (target.sub.as_deref(), applied.as_object_mut()) {
            map.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
            map.extend(status.map(|status| ("status".to_owned(), status)));
        }
        let force = if call.query_flag("force") { Force::Yes } else { Force::No };
        let live = found.as_ref().map(|(_, old)| target_form(&stored, old));
        let object =
            apply::apply(stored.schema.root(), live.as_ref(), &applied, &self.author(call, target), force)?;
        let entries = object.pointer("/metadata/managedFields").cloned().unwrap_or_default();
        match found {
            None => {
                let mut object = object;
                if let Some(meta) = prepare::meta_mut(&mut object) {
                    meta.shift_remove("resourceVersion");
                }
                self.create_in(writer, call, target, object, Some(entries))
            }
            Some((key, old)) => self.change(writer, call, target, key, &old, object, Some(entries)),
        }
    }

    /// Stores the next state of an object, or removes it when its last finalizer is gone.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn change(
        &self,
        writer: &mut Writer<'_>,
        call: &Call,
        target: &Target,
        key: Key,
        old: &Arc<Value>,
        mut object: Value,
        applied: Option<Value>,
    ) -> ApiResult<Answer> {
        let kind = &target.kind;
        let stored = self.stored_kind(kind);
        let part = if target.sub.as_deref() == Some("status") { Part::Status } else { Part::Main };
        let mut around = self.circumstances(call)?;
        if call.method == Method::PATCH && around.unknown_fields == FieldValidation::Strict {
            around.patched = Some(object.clone());
        }
        let warnings = prepare::update(&stored, old, &mut object, part, &around)?;
        match applied {
            Some(entries) => {
                if let Some(meta) = prepare::meta_mut(&mut object) {
                    meta.insert("managedFields".into(), entries);
                }
            }
            None => managed::record_update(&stored, old, &mut object, &self.author(call, target)),
        }
        let answer =
            |body: &Value| Answer::Json { code: 200, body: kind.present(body), warnings: warnings.clone() };
        self.admit(call, target, Verb::Update, Some(&object), Some(old))?;
        object["apiVersion"] = old["apiVersion"].clone();
        if object == **old {
            return Ok(answer(old));
        }
        if rehearsed(call)? {
            return Ok(answer(&object));
        }
        let leaves = !meta(old, "deletionTimestamp").is_empty()
            && finalizers(&object).next().is_none()
            && !crate::gc::is_container(&key);
        let change = if leaves {
            // The last finalizer is gone: what remains is the deletion; watches see the final state.
            Change { key, old: Some(Arc::new(object)), new: None }
        } else {
            Change { key, old: Some(Arc::clone(old)), new: Some(Arc::new(object)) }
        };
        let made = self.commit(writer, vec![change])?;
        Ok(answer(&made.first().cloned().unwrap_or_default()))
    }
}

/// The stored object as the merge sees it: with the stored kind's version.
fn target_form(stored: &Kind, old: &Value) -> Value {
    let mut object = old.clone();
    object["apiVersion"] = stored.api_version().into();
    object
}
