//! Computes the status that a reconcile leads to, and whether it has to be written.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::Error as _;
use serde_json::{Map, Value, json};

use crate::REQUESTED_AT;
use crate::conditions::{Conditions, Progress, READY, Statement};
use crate::reconciler::{Kind, StatusOf};

/// A changed status, ready to be written.
#[derive(Debug)]
pub(crate) struct Changed<K> {
    /// The object with the new status.
    pub(crate) object: K,
    /// True when `Ready` differs from the stored one in status or reason.
    pub(crate) ready_changed: bool,
}

/// The object with its new status; `None` when that equals the stored one.
///
/// `status` is the whole new status, or `None` to keep the stored one; `conditions` are all conditions other than the
/// shared three, or `None` to keep the stored ones.
///
/// Conditions and generations are written as JSON, because the harness knows the kind only by its conventions.
pub(crate) fn changed<K: Kind>(
    object: &K,
    status: Option<StatusOf<K>>,
    progress: &Progress,
    conditions: Option<&[Statement]>,
    now: Timestamp,
) -> Result<Option<Changed<K>>, serde_json::Error> {
    let stored = fields(object.status())?;
    let mut fresh = match &status {
        Some(status) => fields(Some(status))?,
        None => stored.clone(),
    };
    let generation = object.meta().generation;
    let before: Vec<Condition> = match stored.get("conditions") {
        Some(conditions) => serde_json::from_value(conditions.clone())?,
        None => Vec::new(),
    };
    let ready_before = Conditions::new(before.clone());
    let mut set = Conditions::new(before);
    set.set_progress(progress, generation, now);
    if let Some(statements) = conditions {
        set.retain_types(&statements.iter().map(|statement| statement.condition_type).collect::<Vec<_>>());
        for statement in statements {
            set.set(statement, generation, now);
        }
    }
    let ready_changed = !same_verdict(ready_before.get(READY), set.get(READY));
    fresh.insert("conditions".to_owned(), serde_json::to_value(set.into_vec())?);
    if let Some(generation) = generation {
        fresh.insert("observedGeneration".to_owned(), json!(generation));
    }
    if let Some(requested) = object.meta().annotations.as_ref().and_then(|all| all.get(REQUESTED_AT)) {
        fresh.insert("lastHandledRequestedAt".to_owned(), json!(requested));
    }
    // Through the type and back: a field that the kind does not have falls away before the comparison.
    let typed: StatusOf<K> = serde_json::from_value(Value::Object(fresh))?;
    if fields(Some(&typed))? == stored {
        return Ok(None);
    }
    let mut object = object.clone();
    *object.status_mut() = Some(typed);
    Ok(Some(Changed { object, ready_changed }))
}

fn same_verdict(before: Option<&Condition>, after: Option<&Condition>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => before.status == after.status && before.reason == after.reason,
        (None, None) => true,
        _ => false,
    }
}

/// The fields of a status without nulls, which the API server drops.
fn fields<S: serde::Serialize>(status: Option<&S>) -> Result<Map<String, Value>, serde_json::Error> {
    let Some(status) = status else { return Ok(Map::new()) };
    match without_nulls(serde_json::to_value(status)?) {
        Value::Object(fields) => Ok(fields),
        _ => Err(serde_json::Error::custom("status is not an object")),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
