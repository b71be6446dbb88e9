//! Reads the Secrets that a namespace lists for the executor, when a step needs them.

use std::collections::BTreeMap;

use causeway_actions::SecretKeyRef;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;

use crate::error::{ControllerError, Doing};

/// The data of a Secret by key. The inner error says that it is not there, or that the executor may not read it.
pub(super) async fn data(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Result<BTreeMap<String, Vec<u8>>, String>, ControllerError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(Some(secret)) => {
            let data = secret.data.unwrap_or_default();
            Ok(Ok(data.into_iter().map(|(key, value)| (key, value.0)).collect()))
        }
        Ok(None) => Ok(Err(format!("Secret {namespace}/{name} is not there"))),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(Err(format!("Secret {namespace}/{name} may not be read: {}", status.message)))
        }
        Err(error) => Err(error).doing(|| format!("reading Secret {namespace}/{name}")),
    }
}

/// One key of a Secret as text, without white space around it. The inner error says what is missing.
pub(super) async fn text(
    client: &Client,
    namespace: &str,
    reference: &SecretKeyRef,
) -> Result<Result<String, String>, ControllerError> {
    let SecretKeyRef { name, key } = reference;
    let data = data(client, namespace, name).await?;
    Ok(data.and_then(|mut data| {
        let value = data.remove(key).and_then(|value| String::from_utf8(value).ok());
        let value = value.map(|text| text.trim().to_owned());
        value.ok_or_else(|| format!("Secret {namespace}/{name} has no text under the key {key}"))
    }))
}
