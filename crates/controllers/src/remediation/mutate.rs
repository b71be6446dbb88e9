//! Makes one claimed mutation, once.

use std::time::Duration;

use causeway_actions::{JobMutation, Mutation, ScaleMutation, TargetRef, WebhookCall};
use causeway_notify::{Secret as Key, sign};
use causeway_remediate::{Claim, Direction};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, EvictParams, Patch, PatchParams, PostParams, Preconditions,
};
use serde_json::{Value, json};

use crate::error::{ControllerError, Doing};
use crate::remediation::fixer::Fixers;
use crate::remediation::git::Repositories;
use crate::remediation::{drain, flag, git, secret};
use crate::{EXECUTOR, objects};

/// Longest wait for the answer to a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What came of it. An error means that it is not known, and that looking at the target will tell.
pub(super) enum Made {
    /// It happened, as this tells.
    Done(String),
    /// It did not happen, and would not if it were tried again.
    Refused(String),
    /// It is not known, and looking does not tell.
    Unknown(String),
    /// It did not happen: the target is not as it was when the step was claimed.
    Changed,
    /// It is under way, or held up for now: go on with it at that moment.
    Later(Timestamp, String),
}

/// When a step is made, and on what.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    /// The claim.
    pub(super) claim: &'a Claim,
    /// When it was written.
    pub(super) claimed_at: Timestamp,
    /// Now.
    pub(super) now: Timestamp,
    /// Namespace and name of the Remediation.
    pub(super) remediation: &'a str,
    /// What the rehearsal showed; nothing on the way back.
    pub(super) rehearsed: Option<&'a str>,
    /// Forth or back.
    pub(super) direction: Direction,
    /// Whether this is the first try, so that nothing of it can have happened yet.
    pub(super) is_first: bool,
}

impl Made {
    /// It happened.
    pub(super) fn done() -> Self {
        Self::Done("made".to_owned())
    }
}

/// How soon what was held up is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a PodDisruptionBudget may hold up the eviction of one pod.
const PATIENCE: Duration = Duration::from_secs(600);

impl Turn<'_> {
    /// Tries again soon; gives up when `most` has passed since the claim.
    pub(super) fn later(&self, most: Duration, what: String) -> Made {
        let waited = Duration::try_from(self.now.duration_since(self.claimed_at)).unwrap_or_default();
        if waited >= most {
            return Made::Refused(format!("{what}; given up after {} min", most.as_secs() / 60));
        }
        Made::Later(self.now.checked_add(AGAIN).unwrap_or(self.now), what)
    }

    /// Tries again soon what may have happened; asks people when `most` has passed since the claim.
    pub(super) fn unclear(&self, most: Duration, what: String) -> Made {
        match self.later(most, what) {
            Made::Refused(message) => Made::Unknown(message),
            other => other,
        }
    }
}

/// Makes `mutation` on the version of the target that was claimed.
///
/// # Errors
/// No answer: it may have happened.
pub(super) async fn make(
    repositories: &Repositories<'_>,
    fixers: &Fixers,
    mutation: &Mutation,
    turn: &Turn<'_>,
) -> Result<Made, ControllerError> {
    let Repositories { client, http, .. } = *repositories;
    let Turn { claim, now, .. } = *turn;
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
        Mutation::Delete(pod) => {
            let api: Api<Pod> = Api::namespaced(fixers.of(&pod.target.namespace), &pod.target.namespace);
            let answer = api.delete(&pod.target.name, &pinned(&pod.target, false)).await;
            judge_removal(answer.map(drop), || format!("deleting {}", pod.target))
        }
        Mutation::Evict(pod) => {
            let api: Api<Pod> = Api::namespaced(fixers.of(&pod.target.namespace), &pod.target.namespace);
            match api.evict(&pod.target.name, &eviction(&pod.target, false)).await {
                Err(kube::Error::Api(status)) if status.code == 429 => {
                    Ok(turn.later(PATIENCE, format!("held up: {}", status.message)))
                }
                answer => judge_removal(answer.map(drop), || format!("evicting {}", pod.target)),
            }
        }
        Mutation::Drain(drain) => drain::go_on(&fixers.of(&drain.target.namespace), drain, turn).await,
        Mutation::CreateJob(job) => create(&fixers.of(&job.target.namespace), job, false).await,
        Mutation::GitChange(change) => {
            repositories.make(change, turn.remediation, turn.rehearsed, turn).await
        }
        Mutation::AwaitFields(wait) => git::arrived(client, wait, turn).await,
        Mutation::FlagChange(change) => flag::make(client, http, change, turn).await,
        Mutation::Wait(wait) => {
            let rest = Duration::from_secs(u64::from(wait.seconds.unsigned_abs()));
            let end = turn.claimed_at.checked_add(rest).unwrap_or(now);
            Ok(if now >= end { Made::done() } else { Made::Later(end, format!("waits until {end}")) })
        }
    }
}

/// Removes this pod and not its namesake.
pub(super) fn pinned(target: &TargetRef, dry_run: bool) -> DeleteParams {
    let uid = Some(target.uid.clone());
    DeleteParams {
        dry_run,
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    }
}

/// Asks this pod, and not its namesake, to leave.
pub(super) fn eviction(target: &TargetRef, dry_run: bool) -> EvictParams {
    EvictParams {
        delete_options: Some(pinned(target, dry_run)),
        post_options: PostParams { dry_run, field_manager: None },
    }
}

/// A pod that is not there any more, or has a successor of its name, is removed.
fn judge_removal(
    answer: Result<(), kube::Error>,
    what: impl FnOnce() -> String,
) -> Result<Made, ControllerError> {
    match answer {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Made::done()),
        answer => judge(answer, what),
    }
}

/// Makes the Job. One of this name that this run made is the same one.
pub(super) async fn create(
    client: &Client,
    job: &JobMutation,
    dry_run: bool,
) -> Result<Made, ControllerError> {
    let what = || format!("making Job {}/{}", job.target.namespace, job.name);
    let object: DynamicObject = match serde_json::from_str(&job.job) {
        Ok(object) => object,
        Err(error) => return Ok(Made::Refused(format!("the Job is no object: {error}"))),
    };
    let api = objects::api(client, "batch/v1", "Job", &job.target.namespace);
    let params = PostParams { dry_run, field_manager: Some(EXECUTOR.to_owned()) };
    match api.create(&params, &object).await {
        // Whose it is, is seen by looking.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Made::Changed),
        answer => judge(answer.map(drop), what),
    }
}

fn judge(answer: Result<(), kube::Error>, what: impl FnOnce() -> String) -> Result<Made, ControllerError> {
    match answer {
        Ok(()) => Ok(Made::done()),
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
    let url = match secret::text(client, namespace, &call.url_secret_ref).await? {
        Ok(url) => url,
        Err(missing) => return Ok(Made::Refused(format!("{missing}: nothing was sent"))),
    };
    let mut request = http
        .post(url)
        .timeout(WEBHOOK_TIMEOUT)
        .header("content-type", "application/json")
        .header("idempotency-key", &call.idempotency_key)
        .header("webhook-id", &call.idempotency_key)
        .header("webhook-timestamp", now.as_second().to_string());
    if let Some(reference) = &call.signing_secret_ref {
        let key = match secret::text(client, namespace, reference).await? {
            Ok(key) => key,
            Err(missing) => return Ok(Made::Refused(format!("{missing}: nothing was sent"))),
        };
        let signature = sign(&Key::new(&key), &call.idempotency_key, now, call.body.as_bytes());
        request = request.header("webhook-signature", signature);
    }
    match request.body(call.body.clone()).send().await {
        Ok(answer) if answer.status().is_success() => Ok(Made::done()),
        Ok(answer) if answer.status().is_client_error() => {
            Ok(Made::Refused(format!("the webhook answered {}", answer.status().as_u16())))
        }
        Ok(answer) => {
            let hint = if answer.status().is_redirection() { ": redirects are not followed" } else { "" };
            Ok(Made::Unknown(format!("the webhook answered {}{hint}", answer.status().as_u16())))
        }
        Err(error) if error.is_connect() || error.is_builder() => {
            Ok(Made::Refused("the webhook could not be reached: nothing was sent".to_owned()))
        }
        Err(_) => Ok(Made::Unknown("the webhook did not answer in time".to_owned())),
    }
}
