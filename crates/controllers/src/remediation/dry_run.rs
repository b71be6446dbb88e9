//! Rehearses a plan on the API server and shows what would change.

use causeway_actions::diff::render;
use causeway_actions::{Mutation, sha256_hex};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::World;
use crate::error::{ControllerError, Doing};
use crate::remediation::fixer::Fixers;
use crate::text::bounded;
use crate::{EXECUTOR, objects};

/// What a rehearsal showed.
pub(crate) struct Rehearsal {
    /// Digest of the whole difference.
    pub(crate) digest: String,
    /// The difference, at most as long as a status takes.
    pub(crate) diff: String,
}

/// Sends every mutation as a server-side dry-run. The inner error says what the API server refused.
pub(super) async fn rehearse(
    fixers: &Fixers,
    world: &World,
) -> Result<Result<Rehearsal, String>, ControllerError> {
    let mut text = String::new();
    for mutation in &world.view.mutations {
        let target = mutation.target();
        let before = world.observed.live.get(&target.uid);
        match mutation {
            Mutation::Webhook(call) => {
                text.push_str(&format!(
                    "POST to the URL in Secret {}/{}, key {}\n{}\n",
                    target.namespace, call.url_secret_ref.name, call.url_secret_ref.key, call.body
                ));
            }
            Mutation::JsonPatch(_) | Mutation::Scale(_) => {
                let Some(before) = before else { return Ok(Err(format!("{target} does not exist"))) };
                let after = match attempt(&fixers.of(&target.namespace), mutation, before).await? {
                    Ok(after) => after,
                    Err(message) => return Ok(Err(format!("{target}: {message}"))),
                };
                text.push_str(&render(target, &plain(before), &plain(&after)));
            }
        }
    }
    Ok(Ok(Rehearsal { digest: sha256_hex(text.as_bytes()), diff: bounded(&text, 16_384) }))
}

async fn attempt(
    client: &Client,
    mutation: &Mutation,
    before: &Value,
) -> Result<Result<Value, String>, ControllerError> {
    let target = mutation.target();
    let operations = match mutation {
        Mutation::JsonPatch(patch) => match patch.operations() {
            Ok(operations) => operations,
            Err(error) => return Ok(Err(format!("the patch is no JSON Patch: {error}"))),
        },
        // A scale is rehearsed on the object, because the answer of the subresource does not show it whole.
        Mutation::Scale(scale) => match serde_json::from_value(json!([
            {"op": "test", "path": "/spec/replicas", "value": scale.from},
            {"op": "replace", "path": "/spec/replicas", "value": scale.to},
        ])) {
            Ok(operations) => operations,
            Err(error) => return Ok(Err(error.to_string())),
        },
        Mutation::Webhook(_) => return Ok(Ok(before.clone())),
    };
    let api: Api<DynamicObject> = objects::api(client, &target.api_version, &target.kind, &target.namespace);
    let params =
        PatchParams { dry_run: true, field_manager: Some(EXECUTOR.to_owned()), ..PatchParams::default() };
    match api.patch(&target.name, &params, &Patch::Json::<()>(operations)).await {
        Ok(after) => objects::json(after, &target.api_version, &target.kind).map(Ok),
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
            Ok(Err(status.message.clone()))
        }
        Err(error) => Err(error).doing(|| format!("rehearsing the change of {target}")),
    }
}

/// Without what the API server keeps for itself.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(key);
            }
        }
    }
    object
}
