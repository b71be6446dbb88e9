//! Looks at a live object and tells whether a mutation has happened: the way to resolve a crash between claim and result,
//! and to decide whether an undo still finds our own value.

use serde_json::Value;

use crate::mutation::{JsonPatch, Mutation, ScaleMutation};

/// What the target shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// The values from before the mutation: it has not happened.
    Old,
    /// The values that the mutation writes: it has happened and is still in place.
    New,
    /// Neither: somebody else changed it, the object was replaced, or it is gone.
    Foreign,
    /// Looking can't tell, as with a call to the outside.
    Unknown,
}

/// Compares `live` (the whole object; `None` if it does not exist) with both sides of `mutation`.
pub fn live_state(mutation: &Mutation, live: Option<&Value>) -> LiveState {
    let Some(live) = live else {
        return if matches!(mutation, Mutation::Webhook(_)) {
            LiveState::Unknown
        } else {
            LiveState::Foreign
        };
    };
    let uid = live.pointer("/metadata/uid").and_then(Value::as_str);
    if !matches!(mutation, Mutation::Webhook(_)) && uid != Some(mutation.target().uid.as_str()) {
        return LiveState::Foreign;
    }
    match mutation {
        Mutation::JsonPatch(patch) => patched(patch, live),
        Mutation::Scale(scale) => scaled(scale, live),
        Mutation::Webhook(_) => LiveState::Unknown,
    }
}

fn scaled(scale: &ScaleMutation, live: &Value) -> LiveState {
    let replicas = live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    if replicas == i64::from(scale.to) {
        LiveState::New
    } else if replicas == i64::from(scale.from) {
        LiveState::Old
    } else {
        LiveState::Foreign
    }
}

fn patched(patch: &JsonPatch, live: &Value) -> LiveState {
    use json_patch::PatchOperation::{Add, Remove, Replace, Test};
    let Ok(operations) = patch.operations() else {
        return LiveState::Foreign;
    };
    let written = operations.0.iter().all(|operation| match operation {
        Add(add) => live.pointer(add.path.as_str()) == Some(&add.value),
        Replace(replace) => live.pointer(replace.path.as_str()) == Some(&replace.value),
        Remove(remove) => live.pointer(remove.path.as_str()).is_none(),
        _ => true,
    });
    if written {
        return LiveState::New;
    }
    let old = operations.0.iter().all(|operation| match operation {
        Test(test) => live.pointer(test.path.as_str()) == Some(&test.value),
        Add(add) => live.pointer(add.path.as_str()).is_none(),
        _ => true,
    });
    if old { LiveState::Old } else { LiveState::Foreign }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::TargetRef;
    use serde_json::json;

    fn target() -> TargetRef {
        TargetRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "u1".into(),
        }
    }

    #[test]
    fn tells_old_new_and_foreign_of_a_patch() {
        let (before, after) = (
            json!({"metadata": {"uid": "u1"}, "spec": {"a": 1, "b": 2}}),
            json!({"metadata": {"uid": "u1"}, "spec": {"a": 5, "c": 3}}),
        );
        let patch = Value::Array(crate::diff::operations(&before, &after)).to_string();
        let mutation = Mutation::JsonPatch(JsonPatch { target: target(), patch });
        let foreign = json!({"metadata": {"uid": "u1"}, "spec": {"a": 7}});
        let replaced = json!({"metadata": {"uid": "u2"}, "spec": {"a": 5, "c": 3}});
        for (live, want) in [
            (Some(&before), LiveState::Old),
            (Some(&after), LiveState::New),
            (Some(&foreign), LiveState::Foreign),
            (Some(&replaced), LiveState::Foreign),
            (None, LiveState::Foreign),
        ] {
            assert_eq!(live_state(&mutation, live), want, "{live:?}");
        }
    }

    #[test]
    fn tells_the_side_of_a_scale() {
        let mutation = Mutation::Scale(ScaleMutation { target: target(), from: 2, to: 3 });
        let live = |replicas: i32| json!({"metadata": {"uid": "u1"}, "spec": {"replicas": replicas}});
        assert_eq!(live_state(&mutation, Some(&live(2))), LiveState::Old);
        assert_eq!(live_state(&mutation, Some(&live(3))), LiveState::New);
        assert_eq!(live_state(&mutation, Some(&live(4))), LiveState::Foreign);
    }
}
