//! Asks somebody else's system to act.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::diff::printable;
use crate::digest::{canonical_json, sha256_hex};
use crate::inverse::Inverse;
use crate::mutation::{Mutation, WebhookCall};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::reference::SecretKeyRef;
use crate::view::{TargetView, target_ref};

/// Sends one signed POST. Causeway can't take it back, so that it always needs an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallWebhook {
    /// Secret key that holds the URL.
    pub url_secret_ref: SecretKeyRef,
    /// Secret key that holds the key of the HMAC-SHA256 signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// Fixed fields of the JSON body; the target and the run are added. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    pub body: BTreeMap<String, String>,
}

impl Action for CallWebhook {
    const RISK: Risk = Risk::High;
    const REVERSIBLE: bool = false;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let target = target_ref(
            view.workload
                .as_ref()
                .or(view.config_map.as_ref())
                .ok_or(PlanError::Missing { what: "workload" })?,
        )?;
        if self.body.len() > 32 {
            return Err(PlanError::BadParameters("a body has at most 32 fields"));
        }
        let body = canonical_json(&json!({"fields": self.body, "run": view.run, "target": target}));
        if body.len() > 8192 {
            return Err(PlanError::BadParameters("the body is larger than 8 KiB"));
        }
        let idempotency_key = sha256_hex(format!("{}\n{body}", view.run).as_bytes());
        let diff = format!(
            "POST to the URL in Secret {}/{}\n{}\n",
            self.url_secret_ref.name,
            printable(&self.url_secret_ref.key),
            printable(&body)
        );
        let call = WebhookCall {
            target: target.clone(),
            url_secret_ref: self.url_secret_ref.clone(),
            signing_secret_ref: self.signing_secret_ref.clone(),
            body,
            idempotency_key,
        };
        Ok(Plan {
            mutations: vec![Mutation::Webhook(call)],
            inverse: Inverse::None,
            diff,
            risk: Risk::High,
            summary: format!("Call the webhook of Secret {} for {target}", self.url_secret_ref.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn call() -> CallWebhook {
        CallWebhook {
            url_secret_ref: SecretKeyRef { name: "itsm".into(), key: "url".into() },
            signing_secret_ref: None,
            body: BTreeMap::from([("team".into(), "payments".into())]),
        }
    }

    #[test]
    fn has_no_inverse_and_a_key_that_is_stable_for_the_run() {
        let view = fixture::view();
        let key = |view: &TargetView| match &call().plan(view).unwrap().mutations[0] {
            Mutation::Webhook(call) => call.idempotency_key.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(call().plan(&view).unwrap().inverse, Inverse::None);
        assert_eq!(
            key(&view),
            key(&TargetView { now: "2030-01-01T00:00:00Z".parse().unwrap(), ..view.clone() })
        );
        assert_ne!(key(&view), key(&TargetView { run: "another".into(), ..view.clone() }));
    }

    #[test]
    fn bounds_the_body() {
        let body = (0..33).map(|i| (i.to_string(), String::new())).collect();
        let many = CallWebhook { body, ..call() };
        assert_eq!(many.plan(&fixture::view()).unwrap_err().category(), "BadParameters");
        let long = CallWebhook { body: BTreeMap::from([("x".into(), "y".repeat(9000))]), ..call() };
        assert_eq!(long.plan(&fixture::view()).unwrap_err().category(), "BadParameters");
    }
}
