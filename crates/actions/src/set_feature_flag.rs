//! Turns a feature flag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diff::printable;
use crate::flag_change::FlagChange;
use crate::flag_definition::{self, FlagProperty};
use crate::inverse::Inverse;
use crate::mutation::Mutation;
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::reference::SecretKeyRef;
use crate::view::{Reads, TargetView, object_at, target_ref};

/// Whether a flag is evaluated at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlagState {
    /// The flag is evaluated.
    Enabled,
    /// Callers get their own default.
    Disabled,
}

impl FlagState {
    /// The word in the definition.
    fn word(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
        }
    }

    /// The other one.
    fn other(self) -> Self {
        match self {
            Self::Enabled => Self::Disabled,
            Self::Disabled => Self::Enabled,
        }
    }
}

/// Sets the default variant or the state of one flag in a flagd definition (JSON) that a ConfigMap holds, or that a server
/// keeps from which flagd fetches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.http) || !has(self.configMap)", "message": "name a configMap or http, not both"},
    {"rule": "!has(self.http) || has(self.variant) != has(self.state)", "message": "over http, set either variant or state"},
    {"rule": "!has(self.http) || has(self.http.from) == has(self.variant)", "message": "http.from is the variant from before: set it with variant, and only then"}]))]
pub struct SetFeatureFlag {
    /// The ConfigMap, in the namespace of the target. Without it and http: the ConfigMap that is the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// Key of the ConfigMap that holds the definition.
    #[serde(default = "flagd")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The server that keeps the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<FlagServer>,
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

/// A server that gives a flag definition by GET, and takes it by PUT with `If-Match`. A plan is made without it: the Runbook
/// says what the flag has to be before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlagServer {
    /// Secret key that holds the URL of the definition, `https` or `http`.
    pub url_secret_ref: SecretKeyRef,
    /// Secret key that holds a bearer token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// The default variant before; needed with `variant`. With `state` it is the other state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub from: Option<String>,
    /// Write also if the server gives no strong ETag. The definition is read right before it is written; what somebody else
    /// writes in that moment is lost.
    #[serde(default, rename = "withoutETag")]
    pub without_e_tag: bool,
}

fn flagd() -> String {
    "flagd.json".to_owned()
}

impl Action for SetFeatureFlag {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        match &self.http {
            Some(server) => self.over_http(server, view),
            None => self.in_config_map(view),
        }
    }

    fn reads(&self) -> Vec<Reads> {
        let named = |name: &String| Reads::Object { api_version: "v1", kind: "ConfigMap", name: name.clone() };
        self.config_map.iter().map(named).collect()
    }
}

impl SetFeatureFlag {
    fn in_config_map(&self, view: &TargetView) -> Result<Plan, PlanError> {
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
        let flag = flag_definition::flag(text, &self.flag)?;
        if self.variant.is_none() && self.state.is_none() {
            return Err(PlanError::BadParameters("set variant or state"));
        }
        let mut written = text.to_owned();
        for (property, value) in [
            (FlagProperty::DefaultVariant, self.variant.as_deref()),
            (FlagProperty::State, self.state.map(FlagState::word)),
        ] {
            let Some(value) = value else { continue };
            if flag.get(property.key()).and_then(Value::as_str) != Some(value) {
                written = flag_definition::set(&written, &self.flag, property, value)?;
            }
        }
        if written == text {
            return Err(PlanError::NothingToDo("the flag has these values already".into()));
        }
        let mut after = config.clone();
        object_at(&mut after, &["data"])?.insert(self.key.clone(), Value::from(written));
        let wanted = self.variant.as_deref().unwrap_or("its state");
        let summary = format!("Set flag {} of {target} to {wanted}", self.flag);
        Plan::patches(&[(config, after)], Risk::Medium, summary)
    }

    fn over_http(&self, server: &FlagServer, view: &TargetView) -> Result<Plan, PlanError> {
        if self.config_map.is_some() {
            return Err(PlanError::BadParameters("name a configMap or http, not both"));
        }
        let (property, from, to) = match (&self.variant, self.state, &server.from) {
            (Some(to), None, Some(from)) => (FlagProperty::DefaultVariant, from.as_str(), to.as_str()),
            (None, Some(state), None) => (FlagProperty::State, state.other().word(), state.word()),
            _ => {
                return Err(PlanError::BadParameters("over http, set either variant and http.from, or state"));
            }
        };
        if from == to {
            return Err(PlanError::BadParameters("http.from and variant are the same"));
        }
        let target = target_ref(view.subject()?)?;
        let change = FlagChange {
            target: target.clone(),
            url_secret_ref: server.url_secret_ref.clone(),
            token_secret_ref: server.token_secret_ref.clone(),
            flag: self.flag.clone(),
            property,
            from: from.to_owned(),
            to: to.to_owned(),
            without_e_tag: server.without_e_tag,
        };
        let flag = printable(&self.flag);
        let summary = format!("Set flag {flag} at the URL in Secret {} to {to}", server.url_secret_ref.name);
        Ok(Plan {
            diff: change.render(),
            inverse: Inverse::Mutations(vec![Mutation::FlagChange(change.reversed())]),
            mutations: vec![Mutation::FlagChange(change)],
            risk: Risk::Medium,
            summary,
        })
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
            http: None,
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

    fn over_http(variant: Option<&str>, state: Option<FlagState>, from: Option<&str>) -> SetFeatureFlag {
        let key = |key: &str| SecretKeyRef { name: "flags".into(), key: key.into() };
        let server = FlagServer {
            url_secret_ref: key("url"),
            token_secret_ref: None,
            from: from.map(str::to_owned),
            without_e_tag: false,
        };
        SetFeatureFlag { config_map: None, http: Some(server), ..set(variant, state) }
    }

    #[test]
    fn over_http_the_runbook_pins_both_values() {
        let plan = over_http(Some("off"), None, Some("on")).plan(&fixture::view()).unwrap();
        let (Mutation::FlagChange(forth), Inverse::Mutations(back)) = (&plan.mutations[0], &plan.inverse)
        else {
            panic!("{plan:?}")
        };
        assert_eq!(*back, [Mutation::FlagChange(forth.reversed())]);
        assert_eq!((forth.from.as_str(), forth.to.as_str()), ("on", "off"));
        assert_eq!(
            plan.diff,
            "PUT to the URL in Secret shop/flags, key url\n  flags:\n    new-cart:\n-     defaultVariant: on\n+     defaultVariant: off\n"
        );
        let state = over_http(None, Some(FlagState::Disabled), None).plan(&fixture::config_view()).unwrap();
        let Mutation::FlagChange(change) = &state.mutations[0] else { panic!("{state:?}") };
        assert_eq!((change.from.as_str(), change.to.as_str()), ("ENABLED", "DISABLED"));
        assert_eq!(change.target.kind, "ConfigMap");
        let other = over_http(Some("off"), None, Some("blue")).plan(&fixture::view()).unwrap();
        assert_ne!(other.digest(), plan.digest(), "the old value is part of what is approved");
    }

    #[test]
    fn over_http_what_is_missing_or_too_much_is_refused() {
        let on_both = SetFeatureFlag { config_map: Some("flags".into()), ..over_http(Some("off"), None, Some("on")) };
        for action in [
            on_both,
            over_http(None, None, None),
            over_http(Some("off"), None, None),
            over_http(Some("off"), None, Some("off")),
            over_http(Some("off"), Some(FlagState::Disabled), Some("on")),
            over_http(None, Some(FlagState::Disabled), Some("on")),
        ] {
            assert_eq!(action.plan(&fixture::view()).unwrap_err().category(), "BadParameters", "{action:?}");
        }
    }
}
