//! Another Remediation, as guards see it.

use causeway_actions::{ActionKind, TargetRef};
use jiff::Timestamp;

use crate::applier::is_applier;
use crate::vocabulary::{Outcome, Phase};

/// Another Remediation.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherRun {
    /// Name of it.
    pub name: String,
    /// Namespace of it.
    pub namespace: String,
    /// Its Incident as namespace/name.
    pub incident: String,
    /// Its policy.
    pub policy: String,
    /// Its runbook.
    pub runbook: String,
    /// Its cause.
    pub cause_id: String,
    /// Its evidence.
    pub evidence_digest: String,
    /// Its actions.
    pub actions: Vec<ActionKind>,
    /// What it touches.
    pub targets: Vec<TargetRef>,
    /// Shared dependencies that it touches.
    pub shared_dependencies: Vec<String>,
    /// The Remediation whose change it takes back.
    pub restores: Option<String>,
    /// Approvals that it used.
    pub approvals_used: Vec<String>,
    /// Its phase.
    pub phase: Phase,
    /// Its outcome.
    pub outcome: Option<Outcome>,
    /// When its first step was claimed; `None` if it changed nothing.
    pub began_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl OtherRun {
    /// Whether it has begun and is not over.
    pub fn is_running(&self) -> bool {
        self.began_at.is_some() && !self.phase.is_final()
    }

    /// Whether it touches one of `targets`.
    pub fn touches(&self, targets: &[TargetRef]) -> bool {
        self.targets.iter().any(|own| targets.iter().any(|target| target.uid == own.uid))
    }

    /// Whether it repaired one of `targets`. What applies a target is suspended and resumed, and not repaired: it may be
    /// that of many.
    pub fn repaired(&self, targets: &[TargetRef]) -> bool {
        let mut own = self.targets.iter().filter(|own| !is_applier(own));
        own.any(|own| targets.iter().any(|target| target.uid == own.uid))
    }
}
