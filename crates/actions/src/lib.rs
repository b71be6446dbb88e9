//! Runbook actions: parameters and a plan that returns mutations and their inverse.
//!
//! An action never acts. [`ActionSpec::plan`] looks at plain JSON views of live objects ([`TargetView`]) and returns a
//! [`Plan`]: the mutations, the mutations that take them back, a diff for the person who approves, and a digest over all
//! of it. The executor applies mutations; it knows nothing of actions.
//!
//! A new action is one file with its parameters, its `impl Action` and its tests, plus one line in [`registry`].

pub mod decimal;
pub mod diff;
pub mod digest;
pub mod factor;
pub mod flag_change;
pub mod flag_definition;
pub mod git_change;
pub mod inverse;
pub mod live_state;
pub mod mutation;
pub mod plan;
pub mod quantity;
pub mod reference;
pub mod registry;
pub mod sequence;
pub mod view;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod property;

pub use decimal::Decimal;
pub use digest::{canonical_json, plan_digest, sha256_hex};
pub use factor::Factor;
pub use flag_change::FlagChange;
pub use flag_definition::FlagProperty;
pub use git_change::{AwaitFields, FieldChange, GitChange, GitMode, GitProvider, GitRepository, SecretName};
pub use inverse::Inverse;
pub use live_state::{LiveState, has_arrived, live_state};
pub use mutation::{
    DrainMutation, JobMutation, JsonPatch, Mutation, PodMutation, ScaleMutation, WaitMutation, WebhookCall,
};
pub use plan::{Action, Plan, PlanError, Risk};
pub use reference::{SecretKeyRef, TargetRef};
pub use registry::{ActionKind, ActionSpec};
pub use sequence::plan_sequence;
pub use view::{Reads, TargetView};
