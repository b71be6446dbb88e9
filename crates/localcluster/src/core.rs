//! The server's state and the way of a request through it.

use std::sync::Arc;

use http::Method;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;

use crate::admission::{Admission, Review, Verb};
use crate::call::{Call, DryRun, Target};
use crate::kind::{Kind, Origin, Registry, Shape};
use crate::schema::FieldValidation;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::Store;
use crate::watch::Watch;
use crate::{builtin, crd, discovery, openapi, review};

/// Tells the time that objects are stamped with.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Everything behind the API.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) admission: Vec<Arc<dyn Admission>>,
    pub(crate) now: Clock,
    registry: RwLock<Arc<Registry>>,
    /// Definitions with the kinds made of them, because compiling a schema is the dear part.
    compiled: Mutex<Vec<Compiled>>,
    /// Becomes true when the cluster is closed.
    pub(crate) closing: watch::Sender<bool>,
}

type Compiled = (Arc<Value>, Vec<Arc<Kind>>);

/// What a request is answered with.
pub(crate) enum Answer {
    Json { code: u16, body: Value, warnings: Vec<String> },
    Text(String),
    Watch(Box<Watch>),
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self::Json { code: 200, body, warnings: Vec::new() }
    }
}

impl Core {
    pub(crate) fn new(store: Store, admission: Vec<Arc<dyn Admission>>, now: Clock) -> Self {
        let core = Self {
            store,
            admission,
            now,
            registry: RwLock::default(),
            compiled: Mutex::default(),
            closing: watch::Sender::new(false),
        };
        core.reload();
        core
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// Reads the served kinds anew from the stored definitions.
    pub(crate) fn reload(&self) {
        let mut registry = Registry::default();
        for kind in builtin::kinds() {
            registry.insert(Arc::clone(kind));
        }
        let mut compiled = self.compiled.lock();
        let known = std::mem::take(&mut *compiled);
        for definition in self.store.list(crd::SHELF, None).objects {
            let before = known.iter().find(|(seen, _)| Arc::ptr_eq(seen, &definition));
            let kinds = before.map_or_else(|| crd::kinds(&definition), |(_, kinds)| kinds.clone());
            for kind in &kinds {
                registry.insert(Arc::clone(kind));
            }
            compiled.push((definition, kinds));
        }
        *self.registry.write() = Arc::new(registry);
    }

    /// The kind whose schema the stored form of `kind` follows.
    pub(crate) fn stored_kind(&self, kind: &Arc<Kind>) -> Arc<Kind> {
        match kind.shape {
            Shape::Stored => Arc::clone(kind),
            Shape::NewEvent => {
                self.registry().get("", "v1", "events").cloned().unwrap_or_else(|| Arc::clone(kind))
            }
        }
    }

    /// Answers one request. Blocks while a write is synced to the disk.
    pub(crate) fn handle(self: &Arc<Self>, call: &Call) -> ApiResult<Answer> {
        let parts: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["healthz" | "readyz" | "livez", ..] => return Ok(Answer::Text("ok".into())),
            ["version"] => return Ok(Answer::ok(discovery::version())),
            ["openapi", ..] => return openapi::answer(&self.registry(), &parts, call),
            ["api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _] => {
                return discovery::answer(&self.registry(), &parts, call);
            }
            ["apis", "authorization.k8s.io" | "authentication.k8s.io", _, rest @ ..] => {
                return review::answer(call, rest);
            }
            _ => {}
        }
        let target = Target::parse(&self.registry(), &call.path)?;
        if !call.user.may_act_in(target.namespace.as_deref()) {
            return Err(outside(call, &target));
        }
        match target.sub.as_deref() {
            None => self.dispatch(call, &target),
            Some("status") if target.kind.status => self.dispatch(call, &target),
            Some("scale") if target.kind.scale.is_some() => self.scale(call, &target),
            Some("eviction") if target.kind.plural == "pods" => self.evict(call, &target),
            Some("finalize") if target.kind.plural == "namespaces" => {
                Err(ApiError::left_out("namespaces/finalize"))
            }
            Some(sub) => match (target.kind.plural.as_str(), sub) {
                (
                    "pods",
                    "log"
                    | "exec"
                    | "attach"
                    | "portforward"
                    | "proxy"
                    | "binding"
                    | "ephemeralcontainers"
                    | "resize",
                )
                | ("serviceaccounts", "token")
                | ("services" | "nodes", "proxy")
                | ("horizontalpodautoscalers" | "jobs", _) => {
                    Err(ApiError::left_out(&format!("{}/{sub}", target.kind.plural)))
                }
                _ if target.kind.origin == Origin::Custom => {
                    Err(ApiError::not_found(&target.kind, target.name()?))
                }
                _ => Err(ApiError::no_such_path()),
            },
        }
    }

    fn dispatch(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let named = target.name.is_some();
        let main = target.sub.is_none();
        match (&call.method, named) {
            (&Method::GET, true) if main && call.query_flag("watch") => self.watch(call, target),
            (&Method::GET, true) => self.get(call, target),
            (&Method::GET, false) if call.query_flag("watch") => self.watch(call, target),
            (&Method::GET, false) => self.list(call, target),
            (&Method::POST, false) => self.create(call, target),
            (&Method::PUT, true) => self.replace(call, target),
            (&Method::PATCH, true) => self.patch(call, target),
            (&Method::DELETE, true) if main => self.delete(call, target),
            (&Method::DELETE, false) => self.delete_collection(call, target),
            (&Method::PUT | &Method::PATCH, false) => Err(ApiError::bad_request("name must be provided")),
            (&Method::POST, true) => Err(ApiError::method_not_allowed(&target.kind, "create")),
            (&Method::DELETE, true) => Err(ApiError::method_not_allowed(&target.kind, "delete")),
            _ => Err(ApiError::method_not_allowed(&target.kind, "this")),
        }
    }

    /// Asks the composer's admission rules.
    pub(crate) fn admit(
        &self,
        call: &Call,
        target: &Target,
        verb: Verb,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> ApiResult<()> {
        if self.admission.is_empty() {
            return Ok(());
        }
        let kind = &target.kind;
        let presented = object.map(|object| kind.present(object));
        let before = old.map(|old| kind.present(old));
        let shown = presented.as_ref().or(before.as_ref());
        let name = shown.map(|object| crate::prepare::meta(object, "name")).unwrap_or_default().to_owned();
        let review = Review {
            user: &call.user,
            verb,
            group: &kind.group,
            version: &kind.version,
            resource: &kind.plural,
            subresource: target.sub.as_deref(),
            namespace: target.namespace.as_deref(),
            name: &name,
            object: presented.as_ref(),
            old: before.as_ref(),
            dry_run: call.dry_run()?,
        };
        for rule in &self.admission {
            rule.review(&review).map_err(|denied| {
                ApiError::unprocessable(format!(
                    "{} {name:?} is forbidden: ValidatingAdmissionPolicy '{}' denied request: {}",
                    kind.qualified(),
                    denied.policy,
                    denied.message
                ))
                .with_cause(kind, &name, "", &denied.message, "")
            })?;
        }
        Ok(())
    }
}

/// The refusal of what lies outside of a user's namespaces, in the words of the API server.
fn outside(call: &Call, target: &Target) -> ApiError {
    let verb = match (&call.method, target.name.is_some()) {
        (&Method::GET, _) if call.query_flag("watch") => "watch",
        (&Method::GET, true) => "get",
        (&Method::GET, false) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, true) => "delete",
        _ => "deletecollection",
    };
    let place = target.namespace.as_ref().map_or_else(
        || "at the cluster scope".to_owned(),
        |namespace| format!("in the namespace {namespace:?}"),
    );
    let kind = &target.kind;
    let name = target.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    ApiError::forbidden(format!(
        "{}{name} is forbidden: User {:?} cannot {verb} resource {:?} in API group {:?} {place}",
        kind.qualified(),
        call.user.name,
        kind.plural,
        kind.group
    ))
}

/// What a write does with unknown fields; clients that say nothing get warnings, as in Kubernetes.
pub(crate) fn field_validation(call: &Call) -> ApiResult<FieldValidation> {
    match call.query("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some(other) => {
            let known = ["", "Ignore", "Strict", "Warn"].map(Value::from);
            let cause = Cause::unsupported("fieldValidation", &other.into(), &known);
            Err(ApiError::invalid_options(call.options(), &[cause]))
        }
    }
}

/// Whether a write is only rehearsed.
pub(crate) fn rehearsed(call: &Call) -> ApiResult<bool> {
    Ok(call.dry_run()? == DryRun::All)
}
