//! Makes one claimed mutation, once.

use std::time::Duration;

use causeway_actions::{Mutation, ScaleMutation, SecretKeyRef, WebhookCall};
use causeway_notify::{Secret as Key, sign};
use causeway_remediate::Claim;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::error::{ControllerError, Doing};
use crate::remediation::fixer::Fixers;
use crate::{EXECUTOR, objects};

/// Longest wait for the answer to a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What came of it. An error means that it is not known, and that looking at the target will tell.
pub(super) enum Made {
    /// It happened.
    Done,
    /// It did not happen, and would not if it were tried again.
    Refused(String),
    /// It is not known, and looking does not tell.
    Unknown(String),
    /// It did not happen: the target is not as it was when the step was claimed.
    Changed,
}

/// Makes `mutation` on the version of the target that was claimed.
///
/// # Errors
/// No answer: it may have happened.
pub(super) async fn make(
    client: &Client,
    fixers: &Fixers,
    http: &reqwest::Client,
    mutation: &Mutation,
    claim: &Claim,
    now: Timestamp,
) -> Result<Made, ControllerError> {
    match mutation {
        Mutation::JsonPatch(patch) => {
            let guarded = patch.operations().and_then(|operations| {
                let mut all = json!([
                    {"op": "test", "path": "/metadata/uid", "value": patch.target.uid},
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": claim.resource_version},
                ]);
                let operations = serde_json::to_value(operations)?;
                if let (Value::Array(all), Value::Array(more)) = (&mut all, operations) {
                    all.extend(more);
                }
                serde_json::from_value::<json_patch::Patch>(all)
            });
            let operations = match guarded {
                Ok(operations) => operations,
                Err(error) => return Ok(Made::Refused(format!("the patch is no JSON Patch: {error}"))),
            };
            let target = &patch.target;
            let fixer = fixers.of(&target.namespace);
            let api: Api<DynamicObject> =
                objects::api(&fixer, &target.api_version, &target.kind, &target.namespace);
            let params = PatchParams { field_manager: Some(EXECUTOR.to_owned()), ..PatchParams::default() };
            let answer = api.patch(&target.name, &params, &Patch::Json::<()>(operations)).await;
            judge(answer.map(drop), || format!("changing {target}"))
        }
        Mutation::Scale(scale) => resize(&fixers.of(&scale.target.namespace), scale, claim).await,
        Mutation::Webhook(call) => post(client, http, call, now).await,
    }
}

fn judge(answer: Result<(), kube::Error>, what: impl FnOnce() -> String) -> Result<Made, ControllerError> {
    match answer {
        Ok(()) => Ok(Made::Done),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Made::Changed),
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
            Ok(Made::Refused(status.message.clone()))
        }
        Err(error) => Err(error).doing(what),
    }
}

/// Writes the scale subresource of the claimed version.
async fn resize(client: &Client, scale: &ScaleMutation, claim: &Claim) -> Result<Made, ControllerError> {
    let target = &scale.target;
    let api: Api<DynamicObject> = objects::api(client, &target.api_version, &target.kind, &target.namespace);
    let what = || format!("scaling {target}");
    let mut found = match api.get_scale(&target.name).await {
        Ok(found) => found,
        Err(error) => return judge(Err(error), what),
    };
    let is_ours = found.metadata.uid.as_deref() == Some(target.uid.as_str())
        && found.metadata.resource_version.as_deref() == Some(claim.resource_version.as_str())
        && found.spec.as_ref().and_then(|spec| spec.replicas) == Some(scale.from);
    if !is_ours {
        return Ok(Made::Changed);
    }
    found.spec.get_or_insert_default().replicas = Some(scale.to);
    let params = PostParams { field_manager: Some(EXECUTOR.to_owned()), ..PostParams::default() };
    judge(api.replace_scale(&target.name, &params, &found).await.map(drop), what)
}

/// Sends the call. Anything but a clear answer needs a person, because nobody can look whether it was received.
async fn post(
    client: &Client,
    http: &reqwest::Client,
    call: &WebhookCall,
    now: Timestamp,
) -> Result<Made, ControllerError> {
    let namespace = &call.target.namespace;
    let Some(url) = secret(client, namespace, &call.url_secret_ref).await? else {
        return Ok(Made::Refused(missing(namespace, &call.url_secret_ref)));
    };
    let mut request = http
        .post(url)
        .timeout(WEBHOOK_TIMEOUT)
        .header("content-type", "application/json")
        .header("idempotency-key", &call.idempotency_key)
        .header("webhook-id", &call.idempotency_key)
        .header("webhook-timestamp", now.as_second().to_string());
    if let Some(reference) = &call.signing_secret_ref {
        let Some(key) = secret(client, namespace, reference).await? else {
            return Ok(Made::Refused(missing(namespace, reference)));
        };
        let signature = sign(&Key::new(&key), &call.idempotency_key, now, call.body.as_bytes());
        request = request.header("webhook-signature", signature);
    }
    match request.body(call.body.clone()).send().await {
        Ok(answer) if answer.status().is_success() => Ok(Made::Done),
        Ok(answer) if answer.status().is_client_error() => {
            Ok(Made::Refused(format!("the webhook answered {}", answer.status().as_u16())))
        }
        Ok(answer) => Ok(Made::Unknown(format!("the webhook answered {}", answer.status().as_u16()))),
        Err(error) if error.is_connect() || error.is_builder() => {
            Ok(Made::Refused("the webhook could not be reached: nothing was sent".to_owned()))
        }
        Err(_) => Ok(Made::Unknown("the webhook did not answer in time".to_owned())),
    }
}

async fn secret(
    client: &Client,
    namespace: &str,
    reference: &SecretKeyRef,
) -> Result<Option<String>, ControllerError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(&reference.name).await;
    let found = found.doing(|| format!("reading Secret {namespace}/{}", reference.name))?;
    let value = found.and_then(|secret| secret.data?.remove(&reference.key));
    Ok(value.and_then(|value| String::from_utf8(value.0).ok()).map(|text| text.trim().to_owned()))
}

fn missing(namespace: &str, reference: &SecretKeyRef) -> String {
    format!("Secret {namespace}/{}, key {}, is not there: nothing was sent", reference.name, reference.key)
}
