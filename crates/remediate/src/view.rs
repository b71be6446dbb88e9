//! What the state machine looks at: the plan, its progress, and the world as the caller just read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_actions::{ActionKind, Inverse, Mutation, TargetRef};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::earn::EarnRule;
use crate::effect::PredictedEffect;
use crate::guard::freeze::FreezeView;
pub use crate::other_run::OtherRun;
use crate::schedule::Schedule;
use crate::vocabulary::{ApprovalDecision, Autonomy, Phase, SymptomState, Unreconciled, WhatIf};

/// A Remediation: the immutable plan, and how far it got.
#[derive(Debug, Clone, PartialEq)]
pub struct RemediationView {
    /// Name of the Remediation.
    pub name: String,
    /// Namespace of the Remediation and of what it repairs.
    pub namespace: String,
    /// The Incident as namespace/name.
    pub incident: String,
    /// Name of the RemediationPolicy.
    pub policy: String,
    /// Name of the Runbook.
    pub runbook: String,
    /// Identity of the cause.
    pub cause_id: String,
    /// Digest of the evidence that the plan rests on.
    pub evidence_digest: String,
    /// Confidence of the cause, 0 to 1.
    pub confidence: f64,
    /// Distance to the next cause, 0 to 1.
    pub margin: f64,
    /// Actions in the order of the runbook.
    pub actions: Vec<ActionKind>,
    /// Objects that are touched: first what is repaired. One of another namespace applies a target of this one, and is
    /// suspended and resumed, nothing else.
    pub targets: Vec<TargetRef>,
    /// Shared dependencies that are touched.
    pub shared_dependencies: Vec<String>,
    /// After this moment nothing is begun.
    pub expires_at: Timestamp,
    /// Digest that the spec claims for its mutations and inverse.
    pub plan_digest: String,
    /// What is done.
    pub mutations: Vec<Mutation>,
    /// How it is taken back.
    pub inverse: Inverse,
    /// How success is seen.
    pub verify: VerifyRule,
    /// The Remediation whose change this one takes back, because its lease is over.
    pub restores: Option<String>,
    /// What it was foretold to do.
    pub predicted_effect: Option<PredictedEffect>,
    /// How far it got (the status).
    pub progress: Progress,
}

/// How success is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyRule {
    /// The symptom must be gone this long after the change, in data time.
    pub within: Duration,
    /// How long it must stay gone, in data time. Above zero.
    pub hold: Duration,
}

/// How far a Remediation got.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Its phase.
    pub phase: Phase,
    /// Digest of the server-side dry-run.
    pub dry_run_digest: Option<String>,
    /// Names of the Approvals that were used.
    pub approvals_used: Vec<String>,
    /// The step that is being made.
    pub claim: Option<Claim>,
    /// Results of steps.
    pub results: Vec<StepResult>,
    /// The watch over the symptom.
    pub verification: Option<Verification>,
}

/// Whether a step goes forth or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// A mutation of the plan.
    Apply,
    /// A mutation of the inverse.
    Undo,
}

/// The intent to make a step, written before the mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Index into the mutations, or into those of the inverse.
    pub step: usize,
    /// Forth or back.
    pub direction: Direction,
    /// resourceVersion of the target at that moment.
    pub resource_version: String,
    /// generation of the target at that moment; objects such as ConfigMaps have none.
    pub generation: Option<i64>,
}

/// Who wrote the claim that is found in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOrigin {
    /// This process, just now, and it has not tried the mutation yet.
    Fresh,
    /// Anything else: another process, or this one after a try. The target tells what happened.
    Found,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// It happened.
    Done,
    /// It did not happen.
    Failed,
    /// It is not known whether it happened.
    Unknown,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepResult {
    /// Index into the mutations, or into those of the inverse.
    pub step: usize,
    /// Forth or back.
    pub direction: Direction,
    /// What came of it.
    pub state: StepState,
}

/// The watch over the symptom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// When it began, by the clock.
    pub started_at: Timestamp,
    /// How far the data reached then.
    pub data_from: Timestamp,
    /// When the symptom must be gone, in data time.
    pub deadline: Timestamp,
}

/// The world as the caller just read it. Read it anew before every call of [`crate::step`].
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The policy that the Remediation names; `None` if it is gone.
    pub policy: Option<PolicyView>,
    /// Every ClusterGuardrail.
    pub guardrails: Vec<GuardrailView>,
    /// Every Pause.
    pub pauses: Vec<PauseView>,
    /// Ceiling of a declared peak, if there is one. It can only lower.
    pub peak_ceiling: Option<Autonomy>,
    /// Name of a declared peak that is on.
    pub peak: Option<String>,
    /// The change freeze of a declared peak, if one holds.
    pub freeze: Option<FreezeView>,
    /// Since when the admission policies stand as shipped; `None` if they do not.
    pub admission_since: Option<Timestamp>,
    /// Namespaces that have the account that the executor acts as, among those of [`RemediationView::namespaces`].
    pub opted_in: BTreeSet<String>,
    /// Approvals that name this Remediation.
    pub approvals: Vec<ApprovalView>,
    /// The symptom of the incident, also when it is over; `None` only if the Incident object is gone.
    pub symptom: Option<SymptomView>,
    /// Live targets by uid, and Jobs that a plan makes by `Job/namespace/name` ([`Mutation::live_key`]); a missing key means
    /// that the object does not exist. With their managedFields. Of flags that servers keep, those that a claim is about and
    /// that could be read.
    pub live: BTreeMap<String, Value>,
    /// Digest of the plan made anew from live objects; `Err` with the reason if it can't be made. Needed until the first
    /// mutation only.
    pub rebuilt_digest: Option<Result<String, String>>,
    /// What hurts in the service besides the symptom, if anything does: then no capacity is lowered.
    pub hurting: Option<String>,
    /// Every other Remediation of the cluster.
    pub others: Vec<OtherRun>,
    /// Workloads of the service that is repaired; at least 1.
    pub service_workloads: usize,
    /// Who wrote the claim in the status.
    pub claim_origin: ClaimOrigin,
}

/// A policy as far as one Remediation is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyView {
    /// Name of the policy.
    pub name: String,
    /// Runbooks in order of preference, each with the autonomy that it has under this policy.
    pub runbooks: Vec<(String, Autonomy)>,
    /// Turned off.
    pub suspended: bool,
    /// Least confidence, 0 to 1.
    pub min_confidence: f64,
    /// Least margin, 0 to 1.
    pub min_margin: f64,
    /// How much may be done.
    pub limits: Limits,
    /// People who must agree. At least 1.
    pub approvals_needed: usize,
    /// How long an Approval holds.
    pub approvals_expire_after: Duration,
    /// Other autonomy at certain times of the week.
    pub windows: Vec<WindowView>,
    /// Promotion by evidence.
    pub earn: Option<EarnRule>,
    /// What to do with fields that somebody set and nobody reconciles.
    pub unreconciled: Unreconciled,
    /// What to do about predicted harm.
    pub what_if: WhatIf,
}

impl PolicyView {
    /// The autonomy of a runbook before it is earned and before windows; `None` if the policy does not list it.
    pub fn listed(&self, runbook: &str) -> Option<Autonomy> {
        self.runbooks.iter().find(|(name, _)| name == runbook).map(|(_, autonomy)| *autonomy)
    }
}

/// Other autonomy at certain times of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowView {
    /// Name of the window.
    pub name: String,
    /// When.
    pub schedule: Schedule,
    /// In which zone. Without one, because its name is not known, the window never holds.
    pub zone: Option<TimeZone>,
    /// The autonomy then.
    pub autonomy: Autonomy,
}

/// How much a policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Remediations begun in any hour.
    pub actions_per_hour: usize,
    /// Remediations at the same time.
    pub concurrent: usize,
    /// Remediations begun for one incident.
    pub attempts_per_incident: usize,
    /// Rest of a target.
    pub cooldown: Duration,
    /// Share of a service's workloads, percent.
    pub max_targets_percent: u32,
    /// Share of replicas that stays available, percent.
    pub keep_available_percent: u32,
}

/// A guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailView {
    /// Ceiling.
    pub max_autonomy: Autonomy,
    /// Nothing is changed there.
    pub protected_namespaces: Vec<String>,
    /// What may be used; empty: everything.
    pub allowed_actions: Vec<ActionKind>,
    /// Remediations begun in any hour, in the cluster.
    pub actions_per_hour: Option<usize>,
    /// Remediations at the same time, in the cluster.
    pub concurrent_per_cluster: Option<usize>,
}

/// A Pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseView {
    /// Name of the Pause.
    pub name: String,
    /// Where; empty: everywhere.
    pub namespaces: Vec<String>,
}

/// An Approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalView {
    /// Name of the Approval.
    pub name: String,
    /// Remediation that it names.
    pub remediation: String,
    /// planDigest that it names.
    pub plan_digest: String,
    /// dryRunDigest that it names.
    pub dry_run_digest: Option<String>,
    /// What was decided.
    pub decision: ApprovalDecision,
    /// Who decided.
    pub approver: String,
    /// When it was created, as observed.
    pub created_at: Timestamp,
    /// Not used later.
    pub expires_at: Option<Timestamp>,
}

/// The symptom as the Incident's status tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymptomView {
    /// Firing, Clear or NoData.
    pub state: SymptomState,
    /// Since when it has been gone without a break, in data time.
    pub clear_since: Option<Timestamp>,
    /// How far the data reaches.
    pub watermark: Option<Timestamp>,
}

impl Observed {
    /// The live object that shows whether a mutation happened.
    pub fn live_of(&self, mutation: &Mutation) -> Option<&Value> {
        self.live.get(&mutation.live_key())
    }
}

impl RemediationView {
    /// The namespace of the Remediation, and those of its targets.
    pub fn namespaces(&self) -> BTreeSet<&String> {
        let touched = self.targets.iter().chain(self.mutations.iter().map(Mutation::target));
        touched.map(|target| &target.namespace).chain([&self.namespace]).collect()
    }

    /// The next mutation forth: the first one without a result.
    pub fn next_apply(&self) -> Option<&Mutation> {
        let mut steps = self.mutations.iter().enumerate();
        let is_open = |step| self.progress.result(step, Direction::Apply).is_none();
        steps.find(|(step, _)| is_open(*step)).map(|(_, mutation)| mutation)
    }

    /// The next mutation of the inverse, with its index: the first one without a result.
    pub fn next_undo(&self) -> Option<(usize, &Mutation)> {
        let mut steps = self.undo_mutations().iter().enumerate();
        steps.find(|(step, _)| self.progress.result(*step, Direction::Undo).is_none())
    }

    /// Mutations of the inverse; empty when it is not `Mutations`.
    pub fn undo_mutations(&self) -> &[Mutation] {
        match &self.inverse {
            Inverse::Mutations(mutations) => mutations,
            Inverse::NotNeeded | Inverse::None => &[],
        }
    }

    /// The mutation of a step.
    pub fn mutation(&self, step: usize, direction: Direction) -> Option<&Mutation> {
        match direction {
            Direction::Apply => self.mutations.get(step),
            Direction::Undo => self.undo_mutations().get(step),
        }
    }
}

impl Progress {
    /// The result of a step, if it is known.
    pub fn result(&self, step: usize, direction: Direction) -> Option<StepState> {
        self.results.iter().rfind(|r| r.step == step && r.direction == direction).map(|r| r.state)
    }

    /// Whether a step of this direction has this result.
    pub fn any(&self, direction: Direction, state: StepState) -> bool {
        self.results.iter().any(|r| r.direction == direction && r.state == state)
    }

    /// The claim whose result is not known.
    pub fn open_claim(&self) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| self.result(claim.step, claim.direction).is_none())
    }

    /// Whether taking back has begun.
    pub fn is_undoing(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.direction == Direction::Undo)
            || self.results.iter().any(|r| r.direction == Direction::Undo)
    }
}

/// `at + length`, at most the last moment there is.
pub(crate) fn later(at: Timestamp, length: Duration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// Time from `start` to `end`; zero when `end` is not after it.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or(Duration::ZERO)
}
