//! Looks at a live object and tells whether a mutation has happened: the way to resolve a crash between claim and result,
//! and to decide whether an undo still finds our own value.

use serde_json::Value;

use crate::git_change::{FieldChange, GitChange};
use crate::mutation::{JobMutation, JsonPatch, Mutation, ScaleMutation};
use crate::registry::run_job::RUN;
use crate::view::annotation;

/// What the target shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// The values from before the mutation: it has not happened.
    Old,
    /// The values that the mutation writes: it has happened and is still in place.
    New,
    /// Neither: somebody else changed it, the object was replaced, or it is gone.
    Foreign,
    /// Looking can't tell, as with a call to the outside, or nobody has looked.
    Unknown,
}

/// Compares `live` (the whole object; `None` if it does not exist, or for a flag if it was not read) with both sides of
/// `mutation`.
pub fn live_state(mutation: &Mutation, live: Option<&Value>) -> LiveState {
    match mutation {
        Mutation::Webhook(_) => return LiveState::Unknown,
        Mutation::FlagChange(change) => return change.state_of(live),
        Mutation::CreateJob(job) => return created(job, live),
        // A rest leaves nothing to see, and what is left of a drain is looked at where it goes on. Whether Git was changed, the
        // repository tells.
        Mutation::Wait(_) | Mutation::GitChange(_) => return LiveState::Old,
        Mutation::Delete(_) | Mutation::Evict(_) => return removed(mutation, live),
        Mutation::JsonPatch(_) | Mutation::Scale(_) | Mutation::Drain(_) | Mutation::AwaitFields(_) => {}
    }
    let Some(live) = live.filter(|live| has_uid(live, mutation)) else { return LiveState::Foreign };
    match mutation {
        Mutation::JsonPatch(patch) => patched(patch, live),
        Mutation::Scale(scale) => scaled(scale, live),
        Mutation::AwaitFields(wait) => arrived(&wait.fields, live),
        _ => LiveState::Old,
    }
}

/// Whether `live` shows every value that a change of Git declares: then it was made, and has reached the target.
pub fn has_arrived(change: &GitChange, live: Option<&Value>) -> bool {
    let uid = Some(change.target.uid.as_str());
    let live = live.filter(|live| live.pointer("/metadata/uid").and_then(Value::as_str) == uid);
    live.is_some_and(|live| arrived(&change.fields, live) == LiveState::New)
}

fn has_uid(live: &Value, mutation: &Mutation) -> bool {
    live.pointer("/metadata/uid").and_then(Value::as_str) == Some(mutation.target().uid.as_str())
}

fn removed(mutation: &Mutation, live: Option<&Value>) -> LiveState {
    match live.filter(|live| has_uid(live, mutation)) {
        Some(live) if live.pointer("/metadata/deletionTimestamp").is_none() => LiveState::Old,
        _ => LiveState::New,
    }
}

fn created(job: &JobMutation, live: Option<&Value>) -> LiveState {
    match live {
        None => LiveState::Old,
        Some(live) if annotation(live, RUN) == Some(job.run.as_str()) => LiveState::New,
        Some(_) => LiveState::Foreign,
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

/// While only some of the fields have their new value, it is under way.
fn arrived(fields: &[FieldChange], live: &Value) -> LiveState {
    let mut state = LiveState::New;
    for field in fields {
        let (from, to) = field.values();
        match field.of(live) {
            Some(value) if *value == to => {}
            Some(value) if *value == from => state = LiveState::Old,
            _ => return LiveState::Foreign,
        }
    }
    state
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
    use crate::git_change::AwaitFields;
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

    #[test]
    fn a_change_made_elsewhere_arrives_field_by_field() {
        let field = |path: &str, from: i32, to: i32| {
            crate::git_change::FieldChange::new(path.into(), &json!(from), &json!(to), None)
        };
        let wait = Mutation::AwaitFields(AwaitFields {
            target: target(),
            fields: vec![field("/spec/replicas", 3, 6), field("/spec/other", 1, 2)],
            within_minutes: 10,
        });
        let live = |a: i32, b: i32| json!({"metadata": {"uid": "u1"}, "spec": {"replicas": a, "other": b}});
        for (object, want) in [
            (live(3, 1), LiveState::Old),
            (live(6, 1), LiveState::Old),
            (live(6, 2), LiveState::New),
            (live(6, 7), LiveState::Foreign),
        ] {
            assert_eq!(live_state(&wait, Some(&object)), want, "{object}");
        }
        assert_eq!(live_state(&wait, None), LiveState::Foreign);
    }

    #[test]
    fn a_removal_is_seen_by_the_pod_and_a_job_by_its_run() {
        let pod = Mutation::Evict(crate::mutation::PodMutation { target: target() });
        let there = json!({"metadata": {"uid": "u1"}});
        let going = json!({"metadata": {"uid": "u1", "deletionTimestamp": "2026-11-27T20:00:00Z"}});
        let successor = json!({"metadata": {"uid": "u2"}});
        for (live, want) in [
            (Some(&there), LiveState::Old),
            (Some(&going), LiveState::New),
            (Some(&successor), LiveState::New),
            (None, LiveState::New),
        ] {
            assert_eq!(live_state(&pod, live), want, "{live:?}");
        }
        let job = JobMutation { target: target(), name: "j".into(), job: "{}".into(), run: "r-1".into() };
        let job = Mutation::CreateJob(job);
        let made = |run: &str| json!({"metadata": {"annotations": {RUN: run}}});
        assert_eq!(live_state(&job, None), LiveState::Old);
        assert_eq!(live_state(&job, Some(&made("r-1"))), LiveState::New);
        assert_eq!(live_state(&job, Some(&made("r-2"))), LiveState::Foreign);
    }
}
