//! Enough replicas stay available while the change rolls.
//!
//! What counts is what the change itself allows to be missing. Replicas that are down already do not forbid their repair.

use causeway_actions::registry::evict_pod::is_ready;
use causeway_actions::{ActionKind, FieldChange, GitChange, Mutation, TargetRef};
use serde_json::Value;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let Some(policy) = context.policy() else { return Verdict::Allow };
    let keep = i64::from(policy.limits.keep_available_percent);
    for mutation in &context.view.mutations {
        let percent = match mutation {
            // What a lease gave is taken back only while it is not needed: another guard sees to that.
            Mutation::Scale(scale) if scale.from > 0 && context.view.restores.is_none() => {
                i64::from(scale.to) * 100 / i64::from(scale.from)
            }
            Mutation::JsonPatch(patch) if rolls(context) => {
                context.observed.live.get(&patch.target.uid).and_then(stays_available).unwrap_or(100)
            }
            Mutation::GitChange(change) => declared(context, change),
            Mutation::Delete(pod) => without_pod(context, &pod.target),
            // The API server asks the PodDisruptionBudgets for each eviction.
            _ => 100,
        };
        if percent < keep {
            let message =
                format!("{percent} % of {} would stay, the policy asks for {keep} %", mutation.target());
            return Verdict::Deny(Reason::TooFewAvailable, message);
        }
    }
    Verdict::Allow
}

/// Percent of replicas that a change in Git leaves: by their number, and while other fields roll out.
fn declared(context: &Context<'_>, change: &GitChange) -> i64 {
    let replicas = change.fields.iter().find(|field| field.path == "/spec/replicas").map(FieldChange::values);
    let numbers = replicas.and_then(|(from, to)| Some((from.as_i64()?, to.as_i64()?)));
    let scaled = numbers.filter(|(from, _)| *from > 0).map_or(100, |(from, to)| to * 100 / from);
    let rolled = if rolls(context) {
        context.observed.live.get(&change.target.uid).and_then(stays_available).unwrap_or(100)
    } else {
        100
    };
    scaled.min(rolled)
}

/// Whether an action replaces running instances.
fn rolls(context: &Context<'_>) -> bool {
    let rolling = [
        ActionKind::RolloutRestart,
        ActionKind::RolloutUndo,
        ActionKind::RevertConfigMap,
        ActionKind::RevertSecretReference,
        ActionKind::PatchResources,
    ];
    context.view.actions.iter().any(|action| rolling.contains(action))
}

/// Percent of replicas that stay when a pod is deleted. One that does not serve is no loss; of one that serves, it must be
/// known how many others there are.
fn without_pod(context: &Context<'_>, target: &TargetRef) -> i64 {
    let live = &context.observed.live;
    if live.get(&target.uid).is_none_or(|pod| !is_ready(pod)) {
        return 100;
    }
    let replicas = live
        .values()
        .filter(|object| object.pointer("/spec/template").is_some())
        .filter_map(|workload| workload.pointer("/spec/replicas").and_then(Value::as_i64))
        .max();
    replicas.filter(|replicas| *replicas > 0).map_or(0, |replicas| (replicas - 1) * 100 / replicas)
}

/// Percent of replicas that the update strategy of a Deployment keeps; `None` for other objects.
fn stays_available(object: &Value) -> Option<i64> {
    if object.get("kind").and_then(Value::as_str) != Some("Deployment") {
        return None;
    }
    let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    if replicas <= 0 {
        return None;
    }
    if object.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        return Some(0);
    }
    // Kubernetes rounds maxUnavailable down, and replaces one at a time where that leaves none.
    let missing = match object.pointer("/spec/strategy/rollingUpdate/maxUnavailable") {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
        Some(Value::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(25);
            replicas.saturating_mul(percent) / 100
        }
        _ => replicas.saturating_mul(25) / 100,
    };
    Some((replicas - missing.clamp(0, replicas)) * 100 / replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_update_strategy() {
        let deployment = |replicas: i64, strategy: Value| json!({"kind": "Deployment", "spec": {"replicas": replicas, "strategy": strategy}});
        for (object, want) in [
            (deployment(4, json!({})), Some(75)),
            (deployment(1, json!({})), Some(100)),
            (deployment(10, json!({"rollingUpdate": {"maxUnavailable": "50%"}})), Some(50)),
            (deployment(4, json!({"rollingUpdate": {"maxUnavailable": 1}})), Some(75)),
            (deployment(4, json!({"type": "Recreate"})), Some(0)),
            (deployment(0, json!({})), None),
            (json!({"kind": "ConfigMap"}), None),
        ] {
            assert_eq!(stays_available(&object), want, "{object}");
        }
    }
}
