//! The end of a lease never takes away capacity that is needed: not in a declared peak, not while something hurts, and not
//! while use is above the old bound.

use causeway_actions::Mutation;
use causeway_actions::quantity::Quantity;
use json_patch::PatchOperation;
use serde_json::Value;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let (view, observed) = (context.view, context.observed);
    if view.restores.is_none() || !view.mutations.iter().any(lowers) {
        return Verdict::Allow;
    }
    let needed = |why: String| Verdict::Deny(Reason::CapacityNeeded, why);
    if let Some(event) = &observed.peak {
        return needed(format!("PeakEvent {event} is on"));
    }
    if let Some(what) = &observed.hurting {
        return needed(format!("{what} hurts"));
    }
    for mutation in &view.mutations {
        let Some(live) = observed.live_of(mutation) else { continue };
        if let Some((used, bound)) = use_above(mutation, live) {
            return needed(format!(
                "{used} replicas are in use, the old bound of {} is {bound}",
                mutation.target()
            ));
        }
    }
    Verdict::Allow
}

/// Whether a mutation takes capacity away: fewer replicas, a lower bound, less CPU or memory. What can't be compared does.
fn lowers(mutation: &Mutation) -> bool {
    match mutation {
        Mutation::Scale(scale) => scale.to < scale.from,
        Mutation::JsonPatch(patch) => {
            let Ok(operations) = patch.operations() else { return true };
            operations.0.iter().enumerate().any(|(index, operation)| {
                let before = index.checked_sub(1).and_then(|index| operations.0.get(index));
                changes_capacity(operation) && !raises(before, operation)
            })
        }
        _ => false,
    }
}

fn changes_capacity(operation: &PatchOperation) -> bool {
    let path = match operation {
        PatchOperation::Replace(replace) => replace.path.as_str(),
        PatchOperation::Add(add) => add.path.as_str(),
        PatchOperation::Remove(remove) => remove.path.as_str(),
        _ => return false,
    };
    path.ends_with("/minReplicas")
        || path.ends_with("/maxReplicas")
        || path.ends_with("/replicas")
        || path.contains("/resources/")
}

/// Whether an operation, whose old value is tested before it, sets a greater one.
fn raises(before: Option<&PatchOperation>, operation: &PatchOperation) -> bool {
    let (Some(PatchOperation::Test(test)), PatchOperation::Replace(replace)) = (before, operation) else {
        return false;
    };
    let amount = |value: &Value| match value {
        Value::Number(number) => Quantity::parse(&number.to_string()),
        Value::String(text) => Quantity::parse(text),
        _ => None,
    };
    matches!((amount(&test.value), amount(&replace.value)), (Some(old), Some(new)) if new >= old)
}

/// The replicas that an autoscaler uses or wants, if they are more than the bound that comes back.
fn use_above(mutation: &Mutation, live: &Value) -> Option<(i64, i64)> {
    let Mutation::JsonPatch(patch) = mutation else { return None };
    let bound = patch.operations().ok()?.0.iter().find_map(|operation| match operation {
        PatchOperation::Replace(replace) if replace.path.as_str() == "/spec/maxReplicas" => {
            replace.value.as_i64()
        }
        _ => None,
    })?;
    let used = ["/status/currentReplicas", "/status/desiredReplicas"]
        .iter()
        .filter_map(|pointer| live.pointer(pointer).and_then(Value::as_i64))
        .max()?;
    (used > bound).then_some((used, bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_actions::JsonPatch;
    use serde_json::json;

    fn patch(path: &str, old: Value, new: Value) -> Mutation {
        let operations = json!([{"op": "test", "path": path, "value": old}, {"op": "replace", "path": path, "value": new}]);
        Mutation::JsonPatch(JsonPatch {
            target: crate::fixture::target("web"),
            patch: operations.to_string(),
        })
    }

    #[test]
    fn tells_what_takes_capacity_away() {
        let memory = "/spec/template/spec/containers/0/resources/limits/memory";
        for (mutation, want) in [
            (patch("/spec/maxReplicas", json!(20), json!(10)), true),
            (patch("/spec/maxReplicas", json!(10), json!(20)), false),
            (patch(memory, json!("1Gi"), json!("512Mi")), true),
            (patch(memory, json!("512Mi"), json!("1Gi")), false),
            (patch(memory, json!("odd"), json!("1Gi")), true),
            (patch("/data/NL", json!("1"), json!("0")), false),
        ] {
            assert_eq!(lowers(&mutation), want, "{mutation:?}");
        }
    }

    #[test]
    fn looks_at_what_the_autoscaler_uses() {
        let back = patch("/spec/maxReplicas", json!(20), json!(10));
        let hpa = |current: i64, desired: i64| json!({"status": {"currentReplicas": current, "desiredReplicas": desired}});
        assert_eq!(use_above(&back, &hpa(12, 9)), Some((12, 10)));
        assert_eq!(use_above(&back, &hpa(8, 14)), Some((14, 10)));
        assert_eq!(use_above(&back, &hpa(10, 10)), None);
        assert_eq!(use_above(&back, &json!({})), None);
    }
}
