//! Puts earlier values of a ConfigMap back and loads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{canonical_json, sha256_hex};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::registry::rollout_restart::refuse_paused;
use crate::view::{TargetView, annotation, object_at, target_ref};

/// Annotation of the pod template that changes with the configuration, so that the workload loads it.
pub const CONFIG_DIGEST: &str = "causeway.dev/config-digest";
/// Annotation of a kept revision: the keys whose values were masked before they were stored, separated by commas.
pub const MASKED_KEYS: &str = "causeway.dev/masked-keys";

/// How the workload gets the restored values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reload {
    /// A rolling update of the workload that loads the ConfigMap.
    #[default]
    Rollout,
    /// The workload notices by itself.
    None,
}

/// Restores the values that a ConfigMap had before its last change, from the revisions that Causeway keeps, and rolls the
/// workload that loads it. A value that was masked is never written back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertConfigMap {
    /// Restore these keys only; empty: every key that the last change touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub keys: Vec<String>,
    /// How the workload gets the restored values: Rollout or None.
    #[serde(default)]
    pub reload: Reload,
}

impl Action for RevertConfigMap {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let config = view.config_map.as_ref().ok_or(PlanError::Missing { what: "ConfigMap" })?;
        let name = target_ref(config)?;
        if name.kind != "ConfigMap" {
            return Err(PlanError::WrongKind { action: "RevertConfigMap", kind: name.kind });
        }
        if config.get("immutable").and_then(Value::as_bool) == Some(true) {
            return Err(PlanError::Unsafe("the ConfigMap is immutable".into()));
        }
        let live = data_of(config);
        let (number, restored) = self.earlier(&live, &name.uid, &view.config_history)?;
        let mut after = config.clone();
        *object_at(&mut after, &["data"])? = restored.clone();
        let mut changes = vec![(config, after)];
        if self.reload == Reload::Rollout {
            let workload = view.workload()?;
            refuse_paused(workload)?;
            let digest = sha256_hex(canonical_json(&Value::Object(restored)).as_bytes());
            let mut rolled = workload.clone();
            object_at(&mut rolled, &["spec", "template", "metadata", "annotations"])?
                .insert(CONFIG_DIGEST.into(), Value::from(digest));
            changes.push((workload, rolled));
        }
        let summary = format!("Restore {name} to revision {number}");
        Plan::patches(&changes, Risk::Medium, summary)
    }
}

impl RevertConfigMap {
    /// The newest kept revision that differs from `live` in the keys of interest: its number, and the data it leads to.
    fn earlier(
        &self,
        live: &Map<String, Value>,
        uid: &str,
        history: &[Value],
    ) -> Result<(i64, Map<String, Value>), PlanError> {
        let owned = |revision: &&Value| {
            let owners = revision.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|o| o.iter().any(|o| o.get("uid").and_then(Value::as_str) == Some(uid)))
        };
        let mut revisions: Vec<(i64, &Value)> = history
            .iter()
            .filter(owned)
            .filter_map(|revision| Some((revision.get("revision")?.as_i64()?, revision)))
            .collect();
        revisions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        for (number, revision) in revisions {
            let old = revision.get("data").map(data_of).unwrap_or_default();
            let touched = self.touched(live, &old);
            if touched.is_empty() {
                continue;
            }
            let masked: Vec<&str> =
                annotation(revision, MASKED_KEYS).unwrap_or_default().split(',').map(str::trim).collect();
            if let Some(key) = touched.iter().find(|key| masked.contains(&key.as_str())) {
                return Err(PlanError::Unsafe(format!("the old value of {key} was masked and is not known")));
            }
            let mut restored = live.clone();
            for key in touched {
                match old.get(&key) {
                    Some(value) => restored.insert(key, value.clone()),
                    None => restored.shift_remove(&key),
                };
            }
            return Ok((number, restored));
        }
        Err(PlanError::NoHistory { what: "revision with other values" })
    }

    /// Keys that differ between the two, narrowed to the wanted ones.
    fn touched(&self, live: &Map<String, Value>, old: &Map<String, Value>) -> Vec<String> {
        let new_keys = old.keys().filter(|key| !live.contains_key(*key));
        let mut keys: Vec<String> = live
            .keys()
            .chain(new_keys)
            .filter(|key| live.get(*key) != old.get(*key))
            .filter(|key| self.keys.is_empty() || self.keys.contains(key))
            .cloned()
            .collect();
        keys.sort_unstable();
        keys
    }
}

fn data_of(object: &Value) -> Map<String, Value> {
    object.get("data").and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn restores_the_value_before_and_rolls_the_workload() {
        let view = fixture::config_view();
        let plan = RevertConfigMap::default().plan(&view).unwrap();
        assert_eq!(plan.summary, "Restore ConfigMap/shop/tax-rates to revision 4");
        assert!(plan.diff.starts_with("ConfigMap/shop/tax-rates\n  data:\n-   NL: \"2.1\"\n+   NL: \"0.21\"\nDeployment/shop/checkout\n"), "{}", plan.diff);
        assert!(plan.diff.contains(CONFIG_DIGEST));
        assert_eq!(plan.mutations.len(), 2);
        fixture::restores(&plan, &view);
    }

    #[test]
    fn never_writes_a_masked_value_back() {
        let mut view = fixture::config_view();
        view.config_history[0]["metadata"]["annotations"] = serde_json::json!({MASKED_KEYS: "DE, NL"});
        let error = RevertConfigMap::default().plan(&view).unwrap_err();
        assert!(matches!(&error, PlanError::Unsafe(text) if text.contains("NL")), "{error}");
    }

    #[test]
    fn narrows_to_keys_and_needs_history() {
        let view = fixture::config_view();
        let keys = |key: &str| RevertConfigMap { keys: vec![key.into()], reload: Reload::None };
        assert_eq!(keys("NL").plan(&view).unwrap().mutations.len(), 1);
        assert_eq!(keys("BE").plan(&view).unwrap_err().category(), "NoHistory");
        let none = TargetView { config_history: Vec::new(), ..view.clone() };
        assert_eq!(RevertConfigMap::default().plan(&none).unwrap_err().category(), "NoHistory");
        let homeless = TargetView { workload: None, ..view };
        assert_eq!(RevertConfigMap::default().plan(&homeless).unwrap_err().category(), "TargetMissing");
    }

    #[test]
    fn refuses_an_immutable_config_map() {
        let mut view = fixture::config_view();
        view.config_map.as_mut().unwrap()["immutable"] = Value::from(true);
        assert_eq!(RevertConfigMap::default().plan(&view).unwrap_err().category(), "Unsafe");
    }
}
