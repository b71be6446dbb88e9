//! What the executor does to the world: the kinds of mutation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flag_change::FlagChange;
use crate::git_change::{AwaitFields, GitChange};
use crate::reference::{SecretKeyRef, TargetRef};

/// One change of one object, or one call.
///
/// A union: `type` and the member of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MutationUnion", into = "MutationUnion")]
pub enum Mutation {
    /// A JSON Patch with a `test` for every value that it replaces or removes.
    JsonPatch(JsonPatch),
    /// A write of the scale subresource.
    Scale(ScaleMutation),
    /// A signed HTTP call.
    Webhook(WebhookCall),
    /// A deletion of one pod.
    Delete(PodMutation),
    /// An eviction of one pod, which its PodDisruptionBudget may refuse for now.
    Evict(PodMutation),
    /// Evictions of all pods of a node.
    Drain(DrainMutation),
    /// A new Job.
    CreateJob(JobMutation),
    /// A rest before the next mutation.
    Wait(WaitMutation),
    /// A change of what Git declares.
    GitChange(GitChange),
    /// The wait until the target shows what was changed elsewhere.
    AwaitFields(AwaitFields),
    /// A change of a flag that a server keeps.
    FlagChange(FlagChange),
}

/// A JSON Patch (RFC 6902) of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatch {
    /// The object that is patched.
    pub target: TargetRef,
    /// The operations as JSON text; each replaced or removed value is guarded by a `test` before it.
    #[schemars(length(min = 2, max = 16384))]
    pub patch: String,
}

/// A change of the number of replicas through the scale subresource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleMutation {
    /// The workload that is scaled.
    pub target: TargetRef,
    /// Replicas that the spec must show before.
    #[schemars(range(min = 0, max = 10000))]
    pub from: i32,
    /// Replicas that are written.
    #[schemars(range(min = 0, max = 10000))]
    pub to: i32,
}

/// A signed HTTP POST, sent at least once and recognisable by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookCall {
    /// The object on whose behalf the call is made.
    pub target: TargetRef,
    /// Secret key that holds the URL.
    pub url_secret_ref: SecretKeyRef,
    /// Secret key that holds the key of the HMAC signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// JSON body.
    #[schemars(length(min = 2, max = 8192))]
    pub body: String,
    /// Sent as the header `Idempotency-Key`; equal for every retry of this step.
    #[schemars(length(min = 1, max = 128))]
    pub idempotency_key: String,
}

/// One pod that is removed. The uid of the target is a precondition, so that its successor is never hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMutation {
    /// The pod.
    pub target: TargetRef,
}

/// Evictions of all pods of a node but those of DaemonSets and static ones, within what PodDisruptionBudgets allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainMutation {
    /// The node.
    pub target: TargetRef,
    /// With more pods than this nothing is evicted.
    #[schemars(range(min = 1, max = 500))]
    pub max_pods: i32,
    /// The node must be empty after so many minutes.
    #[schemars(range(min = 1, max = 60))]
    pub within_minutes: i32,
}

/// A Job that is made from a template. Its name is fixed, so that it can't be made twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobMutation {
    /// The suspended Job that is the template.
    pub target: TargetRef,
    /// Name of the new Job, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The new Job as JSON text.
    #[schemars(length(min = 2, max = 16384))]
    pub job: String,
    /// The run that makes it, as its annotation `causeway.dev/run` says.
    #[schemars(length(min = 1, max = 253))]
    pub run: String,
}

/// A rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitMutation {
    /// The object that the run is about.
    pub target: TargetRef,
    /// How long, in seconds, from the claim of the step.
    #[schemars(range(min = 1, max = 1800))]
    pub seconds: i32,
}

impl Mutation {
    /// The object that the mutation touches, or on whose behalf it calls.
    pub fn target(&self) -> &TargetRef {
        match self {
            Self::JsonPatch(patch) => &patch.target,
            Self::Scale(scale) => &scale.target,
            Self::Webhook(call) => &call.target,
            Self::Delete(pod) | Self::Evict(pod) => &pod.target,
            Self::Drain(drain) => &drain.target,
            Self::CreateJob(job) => &job.target,
            Self::Wait(wait) => &wait.target,
            Self::GitChange(change) => &change.target,
            Self::AwaitFields(wait) => &wait.target,
            Self::FlagChange(change) => &change.target,
        }
    }

    /// By which key the object that shows whether it happened is looked up: the uid of the target, for a new object
    /// `Kind/namespace/name`, for a flag its place.
    pub fn live_key(&self) -> String {
        match self {
            Self::CreateJob(job) => format!("Job/{}/{}", job.target.namespace, job.name),
            Self::FlagChange(change) => change.place(),
            other => other.target().uid.clone(),
        }
    }

    /// Whether sending it again after a crash does no more than sending it once, whatever was changed on the target since:
    /// a pod is pinned by its uid, a Job by its name, a commit by its trailer, a flag by its old value.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::JsonPatch(_) | Self::Scale(_) | Self::Webhook(_) => false,
            Self::Delete(_)
            | Self::Evict(_)
            | Self::Drain(_)
            | Self::CreateJob(_)
            | Self::Wait(_)
            | Self::GitChange(_)
            | Self::AwaitFields(_)
            | Self::FlagChange(_) => true,
        }
    }

    /// Whether both change the same thing, so that one may take the other back.
    pub fn touches_what(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::FlagChange(one), Self::FlagChange(other)) => one.place() == other.place(),
            (Self::FlagChange(_), _) | (_, Self::FlagChange(_)) => false,
            _ => self.target().uid == other.target().uid,
        }
    }
}

impl JsonPatch {
    /// The operations, parsed.
    ///
    /// # Errors
    /// The text is not a JSON Patch.
    pub fn operations(&self) -> Result<json_patch::Patch, serde_json::Error> {
        serde_json::from_str(&self.patch)
    }
}

/// Which kind of mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MutationType {
    /// See [`JsonPatch`].
    JsonPatch,
    /// See [`ScaleMutation`].
    Scale,
    /// See [`WebhookCall`].
    Webhook,
    /// A deletion, see [`PodMutation`].
    Delete,
    /// An eviction, see [`PodMutation`].
    Evict,
    /// See [`DrainMutation`].
    Drain,
    /// See [`JobMutation`].
    CreateJob,
    /// See [`WaitMutation`].
    Wait,
    /// See [`GitChange`].
    GitChange,
    /// See [`AwaitFields`].
    AwaitFields,
    /// See [`FlagChange`].
    FlagChange,
}

const MUTATION_RULE: &str = "(self.type == 'JsonPatch') == has(self.jsonPatch) && (self.type == 'Scale') == has(self.scale) && (self.type == 'Webhook') == has(self.webhook) && (self.type == 'Delete') == has(self.delete) && (self.type == 'Evict') == has(self.evict) && (self.type == 'Drain') == has(self.drain) && (self.type == 'CreateJob') == has(self.createJob) && (self.type == 'Wait') == has(self.wait) && (self.type == 'GitChange') == has(self.gitChange) && (self.type == 'AwaitFields') == has(self.awaitFields) && (self.type == 'FlagChange') == has(self.flagChange)";

/// A mutation as it is written: `type` and the member of that name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Mutation", extend("x-kubernetes-validations" = [
    {"rule": MUTATION_RULE, "message": "exactly the member named by type must be set"}]))]
pub struct MutationUnion {
    /// Which kind of mutation.
    pub r#type: MutationType,
    /// A JSON Patch of one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_patch: Option<JsonPatch>,
    /// A change of the number of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleMutation>,
    /// A signed HTTP call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookCall>,
    /// A deletion of one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<PodMutation>,
    /// An eviction of one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evict: Option<PodMutation>,
    /// Evictions of all pods of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainMutation>,
    /// A new Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_job: Option<JobMutation>,
    /// A rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<WaitMutation>,
    /// A change of what Git declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_change: Option<GitChange>,
    /// A wait for what was changed elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub await_fields: Option<AwaitFields>,
    /// A change of a flag that a server keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag_change: Option<FlagChange>,
}

impl MutationUnion {
    fn empty(r#type: MutationType) -> Self {
        Self {
            r#type,
            json_patch: None,
            scale: None,
            webhook: None,
            delete: None,
            evict: None,
            drain: None,
            create_job: None,
            wait: None,
            git_change: None,
            await_fields: None,
            flag_change: None,
        }
    }

    fn members(&self) -> usize {
        [
            self.json_patch.is_some(),
            self.scale.is_some(),
            self.webhook.is_some(),
            self.delete.is_some(),
            self.evict.is_some(),
            self.drain.is_some(),
            self.create_job.is_some(),
            self.wait.is_some(),
            self.git_change.is_some(),
            self.await_fields.is_some(),
            self.flag_change.is_some(),
        ]
        .into_iter()
        .filter(|set| *set)
        .count()
    }
}

/// `type` and the member that is set do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exactly the member named by type must be set")]
pub struct UnionMismatch;

impl TryFrom<MutationUnion> for Mutation {
    type Error = UnionMismatch;
    fn try_from(union: MutationUnion) -> Result<Self, UnionMismatch> {
        if union.members() != 1 {
            return Err(UnionMismatch);
        }
        let found = match union.r#type {
            MutationType::JsonPatch => union.json_patch.map(Self::JsonPatch),
            MutationType::Scale => union.scale.map(Self::Scale),
            MutationType::Webhook => union.webhook.map(Self::Webhook),
            MutationType::Delete => union.delete.map(Self::Delete),
            MutationType::Evict => union.evict.map(Self::Evict),
            MutationType::Drain => union.drain.map(Self::Drain),
            MutationType::CreateJob => union.create_job.map(Self::CreateJob),
            MutationType::Wait => union.wait.map(Self::Wait),
            MutationType::GitChange => union.git_change.map(Self::GitChange),
            MutationType::AwaitFields => union.await_fields.map(Self::AwaitFields),
            MutationType::FlagChange => union.flag_change.map(Self::FlagChange),
        };
        found.ok_or(UnionMismatch)
    }
}

impl From<Mutation> for MutationUnion {
    fn from(mutation: Mutation) -> Self {
        let empty = Self::empty;
        match mutation {
            Mutation::JsonPatch(patch) => Self { json_patch: Some(patch), ..empty(MutationType::JsonPatch) },
            Mutation::Scale(scale) => Self { scale: Some(scale), ..empty(MutationType::Scale) },
            Mutation::Webhook(call) => Self { webhook: Some(call), ..empty(MutationType::Webhook) },
            Mutation::Delete(pod) => Self { delete: Some(pod), ..empty(MutationType::Delete) },
            Mutation::Evict(pod) => Self { evict: Some(pod), ..empty(MutationType::Evict) },
            Mutation::Drain(drain) => Self { drain: Some(drain), ..empty(MutationType::Drain) },
            Mutation::CreateJob(job) => Self { create_job: Some(job), ..empty(MutationType::CreateJob) },
            Mutation::Wait(wait) => Self { wait: Some(wait), ..empty(MutationType::Wait) },
            Mutation::GitChange(change) => {
                Self { git_change: Some(change), ..empty(MutationType::GitChange) }
            }
            Mutation::AwaitFields(wait) => {
                Self { await_fields: Some(wait), ..empty(MutationType::AwaitFields) }
            }
            Mutation::FlagChange(change) => {
                Self { flag_change: Some(change), ..empty(MutationType::FlagChange) }
            }
        }
    }
}

/// Lends the schema of the written form to the enum that Rust code works with.
macro_rules! schema_of_union {
    ($enum:ty => $union:ty, $name:literal) => {
        impl schemars::JsonSchema for $enum {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$union as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}
pub(crate) use schema_of_union;

schema_of_union!(Mutation => MutationUnion, "Mutation");
