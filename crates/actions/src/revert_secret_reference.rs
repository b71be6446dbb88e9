//! Goes back to the Secret that the release before used. Only its name is known here, never its content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::rollout_restart::refuse_paused;
use crate::registry::rollout_undo::revisions_of;
use crate::view::{TargetView, target_ref};

/// Where a pod template names Secrets: the list, the key that tells its items apart, and the way to the name.
const PLACES: [(&str, Option<&str>, &str); 3] = [
    ("env", Some("name"), "/valueFrom/secretKeyRef/name"),
    ("envFrom", None, "/secretRef/name"),
    ("volumes", Some("name"), "/secret/secretName"),
];

/// Names the Secrets again that an earlier release of a Deployment named, in environment and volumes, and rolls it. Nothing
/// else of the release changes, and no Secret is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertSecretReference {}

impl Action for RevertSecretReference {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let workload = view.workload()?;
        let target = target_ref(workload)?;
        if target.kind != "Deployment" {
            return Err(PlanError::WrongKind { action: "RevertSecretReference", kind: target.kind });
        }
        refuse_paused(workload)?;
        for revision in revisions_of(&target.uid, &view.replica_sets)?.iter().rev() {
            let mut after = workload.clone();
            let Some(spec) = after.pointer_mut("/spec/template/spec") else { continue };
            let Some(old) = revision.template.get("spec") else { continue };
            rename(spec, old);
            if after != *workload {
                let summary = format!("Name the Secrets of {target} as in revision {}", revision.number);
                return Plan::patches(&[(workload, after)], Risk::Medium, summary);
            }
        }
        Err(PlanError::NoHistory { what: "revision that names other Secrets" })
    }
}

/// Takes the names of Secrets from `old` into `spec`, where both have the same place.
fn rename(spec: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let name = container.get("name").cloned();
            let before = items(old, list).iter().find(|c| c.get("name") == name.as_ref());
            if let Some(before) = before {
                PLACES[..2].iter().for_each(|place| rename_in(container, before, *place));
            }
        }
    }
    rename_in(spec, old, PLACES[2]);
}

fn rename_in(owner: &mut Value, old: &Value, (list, key, pointer): (&str, Option<&str>, &str)) {
    let Some(entries) = owner.get_mut(list).and_then(Value::as_array_mut) else { return };
    let before = items(old, list);
    if key.is_none() && before.len() != entries.len() {
        return;
    }
    for (index, entry) in entries.iter_mut().enumerate() {
        let same = match key {
            Some(key) => before.iter().find(|item| item.get(key) == entry.get(key)),
            None => before.get(index),
        };
        let name = same.and_then(|item| item.pointer(pointer)).cloned();
        if let (Some(place), Some(name)) = (entry.pointer_mut(pointer), name) {
            *place = name;
        }
    }
}

fn items<'a>(owner: &'a Value, list: &str) -> &'a [Value] {
    owner.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn with(spec: &mut Value, secret: &str, image: &str) {
        spec["containers"][1]["image"] = image.into();
        spec["containers"][1]["env"] = json!([
            {"name": "MODE", "value": "x"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}},
        ]);
        spec["containers"][1]["envFrom"] = json!([{"secretRef": {"name": secret}}]);
        spec["volumes"] = json!([{"name": "keys", "secret": {"secretName": secret}}]);
    }

    #[test]
    fn changes_names_and_nothing_else() {
        let mut view = fixture::view();
        with(view.workload.as_mut().unwrap().pointer_mut("/spec/template/spec").unwrap(), "db-v2", "shop:8");
        for (index, secret) in ["db-v0", "db-v1", "db-v2"].into_iter().enumerate() {
            let spec = view.replica_sets[index].pointer_mut("/spec/template/spec").unwrap();
            with(spec, secret, &format!("shop:{index}"));
        }
        let plan = RevertSecretReference {}.plan(&view).unwrap();
        assert_eq!(plan.summary, "Name the Secrets of Deployment/shop/checkout as in revision 7");
        assert_eq!(plan.diff.matches("+ ").count(), 3, "{}", plan.diff);
        assert_eq!(plan.diff.matches("\"db-v1\"").count(), 3, "{}", plan.diff);
        fixture::restores(&plan, &view);
    }

    #[test]
    fn needs_an_earlier_name() {
        let error = RevertSecretReference {}.plan(&fixture::view()).unwrap_err();
        assert_eq!(error.category(), "NoHistory");
    }
}
