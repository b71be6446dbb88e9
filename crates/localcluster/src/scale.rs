//! The scale subresource.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::core::{Answer, Core};
use crate::kind::{Origin, ScalePaths};
use crate::patch::{self, Patch};
use crate::prepare::meta;
use crate::status::{ApiError, ApiResult, Cause};

impl Core {
    pub(crate) fn scale(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let Some(paths) = target.kind.scale.clone() else { return Err(ApiError::no_such_path()) };
        if call.method == Method::GET {
            let (_, object) = self.find(target)?;
            return Ok(Answer::ok(show(&paths, &object)));
        }
        let mut writer = self.store.writer();
        let (key, old) = self.find(target)?;
        let shown = show(&paths, &old);
        let wanted = match call.method {
            Method::PUT => call.object()?,
            Method::PATCH => match Patch::parse(call, &target.kind)? {
                Patch::Apply(_) => return Err(ApiError::left_out("server-side apply of scale")),
                // A Scale has no lists, so that a strategic patch is a merge patch.
                Patch::Strategic(over) => patch::run(&Patch::Merge(over), &target.kind, &shown)?,
                other => patch::run(&other, &target.kind, &shown)?,
            },
            _ => return Err(ApiError::method_not_allowed(&target.kind, "this")),
        };
        let version = meta(&wanted, "resourceVersion");
        if !version.is_empty() && version != meta(&old, "resourceVersion") {
            return Err(ApiError::stale(&target.kind, target.name()?));
        }
        let replicas = wanted.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
        if target.kind.origin == Origin::BuiltIn
            && !replicas.as_i64().is_some_and(|n| (0..=i64::from(i32::MAX)).contains(&n))
        {
            let cause = Cause::invalid("spec.replicas", &replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid_of("Scale", "autoscaling", target.name()?, &[cause]));
        }
        let mut object = (*old).clone();
        set(&mut object, &paths.spec_replicas, replicas);
        match self.change(&mut writer, call, target, key, &old, object, None)? {
            Answer::Json { code, body, warnings } => {
                Ok(Answer::Json { code, body: show(&paths, &body), warnings })
            }
            other => Ok(other),
        }
    }
}

/// What is wrong with the replicas that a custom resource names as its scale.
pub(crate) fn check(paths: &ScalePaths, object: &Value) -> Option<Cause> {
    let path = &paths.spec_replicas;
    let value = at(object, path)?;
    match value.as_i64() {
        Some(count) if count < 0 => Some(Cause::invalid(path, value, "should be a non-negative integer")),
        Some(_) => None,
        None => {
            let (shown, kind) = match value {
                Value::String(text) => (text.clone(), "string"),
                Value::Number(number) => (number.to_string(), "float64"),
                Value::Bool(flag) => (flag.to_string(), "bool"),
                Value::Array(_) => (value.to_string(), "[]interface {}"),
                _ => (value.to_string(), "map[string]interface {}"),
            };
            let why = format!("{path} accessor error: {shown} is of the type {kind}, expected int64");
            Some(Cause::invalid(path, &0.into(), why))
        }
    }
}

/// An object as `autoscaling/v1` Scale.
fn show(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &paths.selector {
        Some(path) => at(object, path).and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => {
            let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            let pairs = labels.into_iter().flatten();
            pairs
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join(",")
        }
    };
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut status = json!({ "replicas": number(&paths.status_replicas) });
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": { "replicas": number(&paths.spec_replicas) },
        "status": status,
    })
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(object, |value, part| value.get(part))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        place = &mut place[part];
    }
    *place = value;
}
