//! Turns a feature flag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{Reads, TargetView, object_at, target_ref};

/// Whether a flag is evaluated at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlagState {
    /// The flag is evaluated.
    Enabled,
    /// Callers get their own default.
    Disabled,
}

/// Sets the default variant or the state of one flag in a flagd definition (JSON) that a ConfigMap holds. Providers of
/// flags with an HTTP interface are reached by CallWebhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetFeatureFlag {
    /// The ConfigMap, in the namespace of the target. Without it: the ConfigMap that is the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// Key of the ConfigMap that holds the definition.
    #[serde(default = "flagd")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Name of the flag.
    #[schemars(length(min = 1, max = 253))]
    pub flag: String,
    /// The wanted default variant, one of the flag's variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub variant: Option<String>,
    /// The wanted state: Enabled or Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<FlagState>,
}

fn flagd() -> String {
    "flagd.json".to_owned()
}

impl Action for SetFeatureFlag {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let config = match &self.config_map {
            Some(name) => view.named("ConfigMap", name)?,
            None => view.config_map.as_ref().ok_or(PlanError::Missing { what: "ConfigMap" })?,
        };
        let target = target_ref(config)?;
        if config.get("immutable").and_then(Value::as_bool) == Some(true) {
            return Err(PlanError::Unsafe("the ConfigMap is immutable".into()));
        }
        let text = config.get("data").and_then(|data| data.get(&self.key)).and_then(Value::as_str);
        let text = text.ok_or(PlanError::Missing { what: "key with the flags" })?;
        let mut definition: Value =
            serde_json::from_str(text).map_err(|_| PlanError::Malformed { what: "flag definition" })?;
        let flag = definition.get_mut("flags").and_then(|flags| flags.get_mut(&self.flag));
        let flag = flag.ok_or(PlanError::Missing { what: "flag" })?;
        self.turn(flag)?;
        let pretty = text.trim().contains('\n');
        let written = if pretty {
            serde_json::to_string_pretty(&definition)
        } else {
            serde_json::to_string(&definition)
        };
        let mut written = written.map_err(|_| PlanError::Malformed { what: "flag definition" })?;
        if text.ends_with('\n') {
            written.push('\n');
        }
        let mut after = config.clone();
        object_at(&mut after, &["data"])?.insert(self.key.clone(), Value::from(written));
        let wanted = self.variant.as_deref().unwrap_or("its state");
        let summary = format!("Set flag {} of {target} to {wanted}", self.flag);
        Plan::patches(&[(config, after)], Risk::Medium, summary)
    }

    fn reads(&self) -> Vec<Reads> {
        let named = |name: &String| Reads::Object { api_version: "v1", kind: "ConfigMap", name: name.clone() };
        self.config_map.iter().map(named).collect()
    }
}

impl SetFeatureFlag {
    fn turn(&self, flag: &mut Value) -> Result<(), PlanError> {
        if self.variant.is_none() && self.state.is_none() {
            return Err(PlanError::BadParameters("set variant or state"));
        }
        let before = flag.clone();
        if let Some(variant) = &self.variant {
            if flag.get("variants").and_then(|variants| variants.get(variant)).is_none() {
                return Err(PlanError::Missing { what: "variant" });
            }
            object_at(flag, &[])?.insert("defaultVariant".into(), Value::from(variant.as_str()));
        }
        if let Some(state) = self.state {
            let word = if state == FlagState::Enabled { "ENABLED" } else { "DISABLED" };
            object_at(flag, &[])?.insert("state".into(), Value::from(word));
        }
        if *flag == before {
            return Err(PlanError::NothingToDo("the flag has these values already".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    const FLAGS: &str = "{\n  \"flags\": {\n    \"new-cart\": {\n      \"state\": \"ENABLED\",\n      \"variants\": {\n        \"on\": true,\n        \"off\": false\n      },\n      \"defaultVariant\": \"on\"\n    }\n  }\n}\n";

    fn view(text: &str) -> TargetView {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "flags", "namespace": "shop", "uid": "cm-9"}, "data": {"flagd.json": text}});
        TargetView { extra: vec![config], ..fixture::view() }
    }

    fn set(variant: Option<&str>, state: Option<FlagState>) -> SetFeatureFlag {
        SetFeatureFlag {
            config_map: Some("flags".into()),
            key: flagd(),
            flag: "new-cart".into(),
            variant: variant.map(str::to_owned),
            state,
        }
    }

    #[test]
    fn changes_one_value_and_keeps_the_rest() {
        let plan = set(Some("off"), None).plan(&view(FLAGS)).unwrap();
        let live = fixture::apply(&plan.mutations, &view(FLAGS));
        let want = FLAGS.replace("\"defaultVariant\": \"on\"", "\"defaultVariant\": \"off\"");
        assert_eq!(live["ConfigMap"]["data"]["flagd.json"], want);
        fixture::restores(&plan, &view(FLAGS));
        assert_eq!(set(Some("off"), None).reads().len(), 1);
    }

    #[test]
    fn refuses_what_the_definition_does_not_have() {
        let category = |action: SetFeatureFlag, text: &str| action.plan(&view(text)).unwrap_err().category();
        assert_eq!(category(set(Some("blue"), None), FLAGS), "TargetMissing");
        assert_eq!(category(set(Some("on"), None), FLAGS), "NothingToDo");
        assert_eq!(category(set(None, None), FLAGS), "BadParameters");
        assert_eq!(category(set(Some("off"), None), "no json"), "TargetMalformed");
        assert_eq!(category(set(Some("off"), None), "{}"), "TargetMissing");
        let other = SetFeatureFlag { flag: "x".into(), ..set(None, Some(FlagState::Disabled)) };
        assert_eq!(category(other, FLAGS), "TargetMissing");
        assert!(set(None, Some(FlagState::Disabled)).plan(&view(FLAGS)).is_ok());
    }
}
