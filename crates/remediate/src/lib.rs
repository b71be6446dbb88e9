//! Guards and the state machine of a repair.
//!
//! ```text
//!   Incident + Runbooks + policies ── choose_runbook ──► Choice ── Action::plan ──► Remediation (spec, immutable)
//!   RemediationView + Observed + now ── step ──► Decision ──► the executor does it, writes status, asks again
//!                                        │
//!                                     guards, in order, one file each
//! ```
//!
//! [`step`] decides one thing at a time and remembers nothing: everything it knows stands in the Remediation's status
//! ([`Progress`]) and in what the caller just read ([`Observed`]). So a crash at any point is resolved by reading again.

pub mod applier;
pub mod choose;
pub mod decision;
pub mod duration;
pub mod earn;
pub mod effect;
pub mod gitops;
pub mod guard;
pub mod machine;
pub mod other_run;
pub mod ownership;
pub mod precondition;
pub mod reason;
pub mod schedule;
pub mod undo;
pub mod verify;
pub mod view;
pub mod vocabulary;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod property;

pub use applier::{Applier, applier_of, how_to_opt_in};
pub use choose::{CauseView, Choice, Rejection, RunbookView, choose_runbook};
pub use decision::Decision;
pub use duration::DurationText;
pub use earn::{EarnRule, Evidence, evidence};
pub use effect::{EffectSignal, EffectVerdict, PredictedEffect, SignalForecast, SignalMeasure};
pub use gitops::{GitRule, through_git};
pub use guard::autonomy::effective_autonomy;
pub use guard::expiry::PLAN_LIFETIME;
pub use guard::freeze::FreezeView;
pub use guard::{Moment, Verdict};
pub use machine::step;
pub use ownership::{Owner, owner_of, owner_of_field, ownership};
pub use precondition::{Facts, Precondition, PreconditionError};
pub use reason::Reason;
pub use schedule::Schedule;
pub use view::{
    ApprovalView, Claim, ClaimOrigin, Direction, GuardrailView, Limits, Observed, OtherRun, PauseView,
    PolicyView, Progress, RemediationView, StepResult, StepState, SymptomView, Verification, VerifyRule,
    WindowView,
};
pub use vocabulary::{
    ApprovalDecision, Autonomy, FreezeMode, Outcome, Phase, SymptomState, Unreconciled, Via, WhatIf,
};
