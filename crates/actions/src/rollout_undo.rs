//! Goes back to the release before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::rollout_restart::refuse_paused;
use crate::view::{TargetView, annotation, object_at, target_ref};

/// The annotation in which the deployment controller keeps the number of a revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Says on a Deployment (and so on its ReplicaSets) that the release ran this migration Job.
pub const MIGRATION_JOB: &str = "causeway.dev/migration-job";
/// `"true"` says that the release before works with the data as the migration left it.
pub const MIGRATION_SAFE: &str = "causeway.dev/migration-rollback-safe";

const TEMPLATE_HASH: &str = "pod-template-hash";
const CREATED: &str = "creationTimestamp";

/// Puts the pod template of an earlier revision of a Deployment back. Refuses to step back across a release that ran a
/// migration Job, unless that release is annotated causeway.dev/migration-rollback-safe: "true".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutUndo {
    /// The revision to go back to. Without it: the newest one before the present that differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub to_revision: Option<i64>,
}

/// One ReplicaSet of the Deployment, by its revision number.
pub(crate) struct Revision<'a> {
    pub(crate) number: i64,
    replica_set: &'a Value,
    pub(crate) template: Value,
}

impl Action for RolloutUndo {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let workload = view.workload()?;
        let target = target_ref(workload)?;
        if target.kind != "Deployment" {
            return Err(PlanError::WrongKind { action: "RolloutUndo", kind: target.kind });
        }
        refuse_paused(workload)?;
        let live = template_without_hash(workload)?;
        let revisions = revisions_of(&target.uid, &view.replica_sets)?;
        let current = revisions
            .iter()
            .find(|revision| revision.template == live)
            .map(|revision| revision.number)
            .or_else(|| annotation(workload, REVISION).and_then(|text| text.parse().ok()))
            .ok_or(PlanError::NoHistory { what: "revision" })?;
        let earlier = revisions.iter().filter(|r| r.number < current && r.template != live);
        let back = match self.to_revision {
            None => earlier.max_by_key(|r| r.number),
            Some(wanted) => earlier.filter(|r| r.number == wanted).max_by_key(|r| r.number),
        }
        .ok_or(PlanError::NoHistory { what: "revision with another pod template" })?;
        refuse_migrations(workload, &revisions, back.number, current)?;
        let mut after = workload.clone();
        object_at(&mut after, &["spec"])?.insert("template".into(), back.template.clone());
        if workload.pointer("/spec/template/metadata/creationTimestamp").is_some_and(Value::is_null) {
            // Servers before 1.34 send this null; leaving it out would show as a change.
            object_at(&mut after, &["spec", "template", "metadata"])?.insert(CREATED.into(), Value::Null);
        }
        let summary = format!("Roll {target} back from revision {current} to {}", back.number);
        Plan::patches(&[(workload, after)], Risk::Medium, summary)
    }
}

/// The pod template, without the label that the deployment controller adds to each ReplicaSet.
fn template_without_hash(object: &Value) -> Result<Value, PlanError> {
    let mut template =
        object.pointer("/spec/template").cloned().ok_or(PlanError::Malformed { what: "spec.template" })?;
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(TEMPLATE_HASH);
    }
    if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove(CREATED);
    }
    Ok(template)
}

/// ReplicaSets owned by the Deployment with this uid, oldest first.
pub(crate) fn revisions_of<'a>(
    uid: &str,
    replica_sets: &'a [Value],
) -> Result<Vec<Revision<'a>>, PlanError> {
    let owned = |set: &&Value| {
        let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.is_some_and(|owners| owners.iter().any(|o| o.get("uid").and_then(Value::as_str) == Some(uid)))
    };
    let mut revisions = Vec::new();
    for replica_set in replica_sets.iter().filter(owned) {
        let number = annotation(replica_set, REVISION).and_then(|text| text.parse().ok());
        if let Some(number) = number {
            revisions.push(Revision { number, replica_set, template: template_without_hash(replica_set)? });
        }
    }
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

/// Refuses when a release that would be stepped back over ran a migration that is not annotated as safe.
fn refuse_migrations(
    workload: &Value,
    all: &[Revision<'_>],
    back: i64,
    current: i64,
) -> Result<(), PlanError> {
    let stepped_over = all.iter().filter(|r| r.number > back && r.number <= current).map(|r| r.replica_set);
    for release in stepped_over.chain(std::iter::once(workload)) {
        let Some(job) = annotation(release, MIGRATION_JOB) else { continue };
        if annotation(release, MIGRATION_SAFE) != Some("true") {
            return Err(PlanError::Unsafe(format!(
                "the release ran the migration Job {job}; annotate it {MIGRATION_SAFE}: \"true\" if the one before still works"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn goes_back_one_release_and_can_return() {
        let view = fixture::view();
        let plan = RolloutUndo::default().plan(&view).unwrap();
        assert_eq!(plan.summary, "Roll Deployment/shop/checkout back from revision 8 to 7");
        assert_eq!(
            plan.diff,
            "Deployment/shop/checkout\n  spec:\n    template:\n      spec:\n        containers:\n          - name: checkout\n-           image: \"registry.example.com/checkout:8\"\n+           image: \"registry.example.com/checkout:7\"\n"
        );
        fixture::restores(&plan, &view);
    }

    #[test]
    fn goes_to_a_named_revision_only_if_it_is_there() {
        let view = fixture::view();
        let to = |revision| RolloutUndo { to_revision: Some(revision) }.plan(&view);
        assert!(to(6).unwrap().summary.ends_with("to 6"));
        assert_eq!(to(8).unwrap_err().category(), "NoHistory");
        assert_eq!(to(3).unwrap_err().category(), "NoHistory");
    }

    #[test]
    fn refuses_to_cross_a_migration_unless_it_is_safe() {
        let mut view = fixture::view();
        view.replica_sets[2]["metadata"]["annotations"][MIGRATION_JOB] = Value::from("orders-v8");
        let error = RolloutUndo::default().plan(&view).unwrap_err();
        assert!(matches!(&error, PlanError::Unsafe(text) if text.contains("orders-v8")), "{error}");
        view.replica_sets[2]["metadata"]["annotations"][MIGRATION_SAFE] = Value::from("true");
        assert!(RolloutUndo::default().plan(&view).is_ok());
    }

    #[test]
    fn ignores_replica_sets_of_others_and_knows_when_there_is_no_history() {
        let mut view = fixture::view();
        view.replica_sets.retain(|set| set["metadata"]["annotations"][REVISION] == "8");
        let mut foreign = fixture::replica_set(7);
        foreign["metadata"]["ownerReferences"][0]["uid"] = Value::from("somebody-else");
        view.replica_sets.push(foreign);
        assert_eq!(RolloutUndo::default().plan(&view).unwrap_err().category(), "NoHistory");
    }
}
