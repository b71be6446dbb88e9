//! Rehearses a plan on the API server and shows what would change.

use std::collections::BTreeMap;

use causeway_actions::diff::render;
use causeway_actions::{Mutation, TargetRef, sha256_hex};
use causeway_remediate::how_to_opt_in;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::{World, drain, flag, mutate};
use crate::error::{ControllerError, Doing};
use crate::remediation::fixer::Fixers;
use crate::remediation::git::Repositories;
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
    repositories: &Repositories<'_>,
    fixers: &Fixers,
    world: &World,
    now: Timestamp,
) -> Result<Result<Rehearsal, String>, ControllerError> {
    let mut text = String::new();
    let remediation = format!("{}/{}", world.view.namespace, world.view.name);
    // Operations of earlier steps: a later one on the same object is rehearsed on top of them.
    let mut earlier: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
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
            Mutation::Delete(_)
            | Mutation::Evict(_)
            | Mutation::Drain(_)
            | Mutation::CreateJob(_)
            | Mutation::Wait(_) => match attempt_other(&fixers.of(&target.namespace), mutation).await? {
                Ok(told) => text.push_str(&told),
                Err(message) => return Ok(Err(format!("{target}: {message}"))),
            },
            Mutation::GitChange(change) => match repositories.rehearse(change, &remediation, now).await? {
                Ok(told) => text.push_str(&told),
                Err(message) => return Ok(Err(message)),
            },
            Mutation::AwaitFields(wait) => {
                text.push_str(&format!(
                    "wait until {target} shows it, at most {} min\n",
                    wait.within_minutes
                ));
            }
            Mutation::FlagChange(change) => {
                match flag::rehearse(repositories.client, repositories.http, change).await? {
                    Ok(told) => text.push_str(&told),
                    Err(message) => return Ok(Err(message)),
                }
            }
            Mutation::JsonPatch(_) | Mutation::Scale(_) => {
                let Some(before) = before else { return Ok(Err(format!("{target} does not exist"))) };
                let operations = match operations(mutation) {
                    Ok(operations) => operations,
                    Err(message) => return Ok(Err(format!("{target}: {message}"))),
                };
                let all = earlier.entry(&target.uid).or_default();
                all.extend(operations);
                let after = match attempt(&fixers.of(&target.namespace), target, all).await? {
                    Ok(after) => after,
                    Err(message) if target.namespace != world.view.namespace => {
                        return Ok(Err(format!("{target}: {message}; {}", how_to_opt_in(&target.namespace))));
                    }
                    Err(message) => return Ok(Err(format!("{target}: {message}"))),
                };
                text.push_str(&render(target, &plain(before), &plain(&after)));
            }
        }
    }
    Ok(Ok(Rehearsal { digest: sha256_hex(text.as_bytes()), diff: bounded(&text, 16_384) }))
}

/// The JSON Patch of a change. A scale is rehearsed on the object, because the answer of the subresource does not show it
/// whole.
fn operations(mutation: &Mutation) -> Result<Vec<Value>, String> {
    let unreadable = |error: serde_json::Error| format!("the patch is no JSON Patch: {error}");
    match mutation {
        Mutation::JsonPatch(patch) => match patch.operations().and_then(serde_json::to_value) {
            Ok(Value::Array(operations)) => Ok(operations),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(unreadable(error)),
        },
        Mutation::Scale(scale) => Ok(vec![
            json!({"op": "test", "path": "/spec/replicas", "value": scale.from}),
            json!({"op": "replace", "path": "/spec/replicas", "value": scale.to}),
        ]),
        _ => Ok(Vec::new()),
    }
}

async fn attempt(
    client: &Client,
    target: &TargetRef,
    operations: &[Value],
) -> Result<Result<Value, String>, ControllerError> {
    let operations = match serde_json::from_value(Value::from(operations.to_vec())) {
        Ok(operations) => operations,
        Err(error) => return Ok(Err(format!("the patch is no JSON Patch: {error}"))),
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

/// Rehearses what is no change of a field, and tells it.
async fn attempt_other(
    client: &Client,
    mutation: &Mutation,
) -> Result<Result<String, String>, ControllerError> {
    let target = mutation.target();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let answer = match mutation {
        Mutation::Delete(_) => pods.delete(&target.name, &mutate::pinned(target, true)).await.map(drop),
        Mutation::Evict(_) => pods.evict(&target.name, &mutate::eviction(target, true)).await.map(drop),
        Mutation::CreateJob(job) => {
            return Ok(match mutate::create(client, job, true).await? {
                mutate::Made::Refused(message) => Err(message),
                mutate::Made::Changed => Err(format!("a Job {} is there already", job.name)),
                _ => Ok(format!("Job/{}/{}\n+ {}\n", target.namespace, job.name, job.job)),
            });
        }
        Mutation::Drain(drain) => {
            return Ok(match drain::pods_on(client, &target.name).await {
                Ok(names) if names.len() > usize::try_from(drain.max_pods).unwrap_or(0) => Err(format!(
                    "{} pods run on the node, at most {} may be evicted",
                    names.len(),
                    drain.max_pods
                )),
                // Which pods they are changes by the minute; the plan holds for at most so many.
                Ok(_) => Ok(format!("{target}\n- its pods, at most {}, are evicted\n", drain.max_pods)),
                Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                    Err(status.message.clone())
                }
                Err(error) => return Err(error).doing(|| format!("listing the pods of {target}")),
            });
        }
        Mutation::Wait(wait) => return Ok(Ok(format!("wait {} s\n", wait.seconds))),
        _ => return Ok(Ok(String::new())),
    };
    match answer {
        // A PodDisruptionBudget may allow it later.
        Err(kube::Error::Api(status)) if status.code == 429 => {
            Ok(Ok(format!("{target}\n- removed, once its budget allows\n")))
        }
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => Ok(Err(status.message.clone())),
        Err(error) => Err(error).doing(|| format!("rehearsing the removal of {target}")),
        Ok(()) => Ok(Ok(format!("{target}\n- removed\n"))),
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
