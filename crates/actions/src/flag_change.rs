//! A change of one flag in a definition that an HTTP server keeps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diff::printable;
use crate::flag_definition::FlagProperty;
use crate::live_state::LiveState;
use crate::reference::{SecretKeyRef, TargetRef};

/// A change of one property of one flag. The definition is read, and written back under the condition that nobody has
/// written it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlagChange {
    /// The object on whose behalf it is changed.
    pub target: TargetRef,
    /// Secret key that holds the URL.
    pub url_secret_ref: SecretKeyRef,
    /// Secret key that holds a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// Name of the flag.
    #[schemars(length(min = 1, max = 253))]
    pub flag: String,
    /// What of it.
    pub property: FlagProperty,
    /// Its value before.
    #[schemars(length(min = 1, max = 253))]
    pub from: String,
    /// Its value after.
    #[schemars(length(min = 1, max = 253))]
    pub to: String,
    /// Written also if the server gives no ETag.
    #[serde(default, rename = "withoutETag")]
    pub without_e_tag: bool,
}

impl FlagChange {
    /// The way back.
    pub fn reversed(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone(), ..self.clone() }
    }

    /// Names the flag and where it is kept, among all that a run looks at.
    pub fn place(&self) -> String {
        let Self { target, url_secret_ref, flag, .. } = self;
        format!("Flag/{}/{}/{}/{flag}", target.namespace, url_secret_ref.name, url_secret_ref.key)
    }

    /// The change as text for people.
    pub fn render(&self) -> String {
        let Self { target, url_secret_ref: url, flag, property, from, to, .. } = self;
        let (key, flag, property) = (printable(&url.key), printable(flag), property.key());
        let (from, to) = (printable(from), printable(to));
        format!(
            "PUT to the URL in Secret {}/{}, key {key}\n  flags:\n    {flag}:\n-     {property}: {from}\n+     {property}: {to}\n",
            target.namespace, url.name
        )
    }

    /// The value that a flag has.
    pub fn value_of<'a>(&self, flag: &'a Value) -> Option<&'a str> {
        flag.get(self.property.key()).and_then(Value::as_str)
    }

    /// What a flag shows of the change; nothing where it could not be read.
    pub fn state_of(&self, flag: Option<&Value>) -> LiveState {
        let Some(flag) = flag else { return LiveState::Unknown };
        match self.value_of(flag) {
            Some(value) if value == self.to => LiveState::New,
            Some(value) if value == self.from => LiveState::Old,
            _ => LiveState::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_old_new_and_foreign_of_a_flag() {
        let key = |key: &str| SecretKeyRef { name: "flags".into(), key: key.into() };
        let target = crate::view::target_ref(&crate::fixture::deployment()).unwrap();
        let change = FlagChange {
            target,
            url_secret_ref: key("url"),
            token_secret_ref: Some(key("token")),
            flag: "new-cart".into(),
            property: FlagProperty::DefaultVariant,
            from: "on".into(),
            to: "off".into(),
            without_e_tag: false,
        };
        for (flag, want) in [
            (Some(json!({"defaultVariant": "on", "state": "ENABLED"})), LiveState::Old),
            (Some(json!({"defaultVariant": "off"})), LiveState::New),
            (Some(json!({"defaultVariant": "blue"})), LiveState::Foreign),
            (Some(json!({"defaultVariant": null})), LiveState::Foreign),
            (Some(json!([])), LiveState::Foreign),
            (None, LiveState::Unknown),
        ] {
            assert_eq!(change.state_of(flag.as_ref()), want, "{flag:?}");
        }
        assert_eq!(change.reversed().state_of(Some(&json!({"defaultVariant": "off"}))), LiveState::Old);
        assert_eq!(change.reversed().place(), change.place());
        assert_eq!(change.place(), "Flag/shop/flags/url/new-cart");
    }
}
