//! The words that policies, plans and statuses share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far Causeway may go by itself. Ordered: each level includes those before.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Autonomy {
    /// Explain incidents, plan nothing.
    Observe,
    /// Plan and show the diff, change nothing.
    #[default]
    Suggest,
    /// Change something after an approval.
    Approve,
    /// Change something alone, within the policy.
    Auto,
}

/// Where a repair stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The plan is written, guards and dry-run are next.
    #[default]
    Planned,
    /// Waits for people.
    AwaitingApproval,
    /// Changes are being made.
    Applying,
    /// The changes are made, the symptom is being watched.
    Verifying,
    /// The symptom is gone and stayed gone while data was flowing.
    Succeeded,
    /// The repair did not help, and what it changed was taken back.
    RolledBack,
    /// The repair did not help or could not be finished; see the reason.
    Failed,
    /// A guard said no.
    Refused,
    /// Nobody decided, or nothing happened, in time.
    Expired,
}

impl Phase {
    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Failed | Self::Refused | Self::Expired)
    }
}

/// What came of a repair, for records and incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The symptom is gone and stayed gone.
    Verified,
    /// The symptom stayed, the change was taken back.
    RolledBack,
    /// The symptom stayed, and nothing was or could be taken back.
    NotEffective,
    /// Data was missing: neither success nor failure is known.
    Inconclusive,
    /// The target had changed since the plan; nothing was changed.
    Stale,
    /// A change failed, or it is not known whether it happened.
    Error,
    /// A guard or a person said no.
    Refused,
    /// Too late.
    Expired,
}

/// What the symptom of the incident does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SymptomState {
    /// It is there.
    #[default]
    Firing,
    /// It is gone, and data is flowing.
    Clear,
    /// Data is missing: nothing is known.
    NoData,
}

/// By which way a change is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Via {
    /// Directly, through the API server.
    #[default]
    Patch,
    /// By a call to another system.
    Webhook,
    /// By a commit or a pull request.
    Git,
}

/// What to do with a field that somebody set and that nobody puts back: the next `kubectl apply` or release will.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unreconciled {
    /// Change it, and say that the source will overwrite it.
    #[default]
    Patch,
    /// Leave it.
    Refuse,
}

/// What to do about a repair that is foretold to do harm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WhatIf {
    /// Refuse it.
    #[default]
    NoPredictedHarm,
    /// Show the prediction, and leave it at that.
    Ignore,
}

/// What a change freeze does to changes of what runs.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum FreezeMode {
    /// They are let pass, with a warning.
    #[default]
    Warn,
    /// They are refused.
    Deny,
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalDecision {
    /// Go ahead.
    Approve,
    /// Do not do it.
    Reject,
}

/// Writes the variant's name, as it stands in specs and statuses.
macro_rules! as_str {
    ($($type:ident { $($variant:ident),+ })+) => {
        $(impl $type {
            /// The name as it stands in specs and statuses.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        })+
    };
}

as_str! {
    Autonomy { Observe, Suggest, Approve, Auto }
    Phase { Planned, AwaitingApproval, Applying, Verifying, Succeeded, RolledBack, Failed, Refused, Expired }
    Outcome { Verified, RolledBack, NotEffective, Inconclusive, Stale, Error, Refused, Expired }
    SymptomState { Firing, Clear, NoData }
    Via { Patch, Webhook, Git }
    Unreconciled { Patch, Refuse }
    WhatIf { NoPredictedHarm, Ignore }
    FreezeMode { Warn, Deny }
    ApprovalDecision { Approve, Reject }
}
