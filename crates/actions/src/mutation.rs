//! What the executor does to the world: three kinds of mutation and their inverse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

impl Mutation {
    /// The object that the mutation touches, or on whose behalf it calls.
    pub fn target(&self) -> &TargetRef {
        match self {
            Self::JsonPatch(patch) => &patch.target,
            Self::Scale(scale) => &scale.target,
            Self::Webhook(call) => &call.target,
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

/// How a plan is taken back.
///
/// A union: `type`, and `mutations` for the type of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InverseUnion", into = "InverseUnion")]
pub enum Inverse {
    /// These mutations, in this order, restore what was there.
    Mutations(Vec<Mutation>),
    /// Nothing to restore: the action leaves no lasting change (a restart).
    NotNeeded,
    /// The action can't be taken back; autonomy is capped at Approve.
    None,
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
}

const MUTATION_RULE: &str = "(self.type == 'JsonPatch') == has(self.jsonPatch) && (self.type == 'Scale') == has(self.scale) && (self.type == 'Webhook') == has(self.webhook)";

/// A mutation as it is written: `type` and the member of that name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Mutation", extend("x-kubernetes-validations" = [
    {"rule": MUTATION_RULE, "message": "exactly the member named by type must be set"}]))]
pub struct MutationUnion {
    /// Which kind of mutation: JsonPatch, Scale or Webhook.
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
}

/// `type` and the member that is set do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exactly the member named by type must be set")]
pub struct UnionMismatch;

impl TryFrom<MutationUnion> for Mutation {
    type Error = UnionMismatch;
    fn try_from(union: MutationUnion) -> Result<Self, UnionMismatch> {
        match (union.r#type, union.json_patch, union.scale, union.webhook) {
            (MutationType::JsonPatch, Some(patch), None, None) => Ok(Self::JsonPatch(patch)),
            (MutationType::Scale, None, Some(scale), None) => Ok(Self::Scale(scale)),
            (MutationType::Webhook, None, None, Some(call)) => Ok(Self::Webhook(call)),
            _ => Err(UnionMismatch),
        }
    }
}

impl From<Mutation> for MutationUnion {
    fn from(mutation: Mutation) -> Self {
        let empty = Self { r#type: MutationType::Scale, json_patch: None, scale: None, webhook: None };
        match mutation {
            Mutation::JsonPatch(patch) => {
                Self { r#type: MutationType::JsonPatch, json_patch: Some(patch), ..empty }
            }
            Mutation::Scale(scale) => Self { scale: Some(scale), ..empty },
            Mutation::Webhook(call) => Self { r#type: MutationType::Webhook, webhook: Some(call), ..empty },
        }
    }
}

/// Whether and how a plan can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InverseType {
    /// By mutations.
    Mutations,
    /// Nothing to restore.
    NotNeeded,
    /// Not at all.
    None,
}

const INVERSE_RULE: &str = "(self.type == 'Mutations') == has(self.mutations)";

/// An inverse as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Inverse", extend("x-kubernetes-validations" = [
    {"rule": INVERSE_RULE, "message": "mutations must be set for type Mutations, and only then"}]))]
pub struct InverseUnion {
    /// Mutations: taken back by these. NotNeeded: leaves nothing behind. None: can't be taken back.
    pub r#type: InverseType,
    /// Applied in this order to restore the old state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub mutations: Option<Vec<Mutation>>,
}

impl TryFrom<InverseUnion> for Inverse {
    type Error = UnionMismatch;
    fn try_from(union: InverseUnion) -> Result<Self, UnionMismatch> {
        match (union.r#type, union.mutations) {
            (InverseType::Mutations, Some(mutations)) => Ok(Self::Mutations(mutations)),
            (InverseType::NotNeeded, None) => Ok(Self::NotNeeded),
            (InverseType::None, None) => Ok(Self::None),
            _ => Err(UnionMismatch),
        }
    }
}

impl From<Inverse> for InverseUnion {
    fn from(inverse: Inverse) -> Self {
        match inverse {
            Inverse::Mutations(mutations) => {
                Self { r#type: InverseType::Mutations, mutations: Some(mutations) }
            }
            Inverse::NotNeeded => Self { r#type: InverseType::NotNeeded, mutations: None },
            Inverse::None => Self { r#type: InverseType::None, mutations: None },
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
schema_of_union!(Inverse => InverseUnion, "Inverse");
