//! Why a Remediation is where it is.

/// What happens after a guard said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It may pass: wait, until the plan expires.
    Passing,
    /// It ends the Remediation.
    Final,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $lasting:ident),+ $(,)?) => {
        /// A stable word for statuses, events and metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Whether it may pass.
            pub fn lasting(self) -> Lasting {
                match self { $(Self::$name => Lasting::$lasting,)+ }
            }
        }
    };
}

reasons! {
    /// Too late to begin.
    PlanExpired => Final,
    /// A Pause holds in the namespace.
    Paused => Passing,
    /// The policy is suspended.
    PolicySuspended => Passing,
    /// The policy is gone, or does not allow the runbook any more.
    PolicyMissing => Final,
    /// The namespace has no account for repairs.
    NotOptedIn => Final,
    /// Nothing is changed in this namespace.
    ProtectedNamespace => Final,
    /// A declared change freeze holds.
    ChangeFreeze => Final,
    /// A guardrail does not allow the action.
    ActionNotAllowed => Final,
    /// The plan does not carry its whole proof.
    ProofIncomplete => Final,
    /// The target has changed since the plan was made.
    StalePlan => Final,
    /// The target does not exist.
    TargetNotManaged => Final,
    /// A GitOps tool keeps the field: it would put its value back.
    GitOwned => Final,
    /// Another operator keeps the object or the field.
    OperatorOwned => Final,
    /// Somebody set the field, and the policy leaves such fields alone.
    NotReconciled => Final,
    /// The symptom is gone: nothing to repair.
    SymptomGone => Final,
    /// The incident is over or gone.
    IncidentOver => Final,
    /// Data is missing: no reason to act.
    NoData => Passing,
    /// What would be taken back is needed now.
    CapacityNeeded => Passing,
    /// The cause is not sure enough.
    LowConfidence => Final,
    /// The next cause is too near.
    LowMargin => Final,
    /// The incident has had its attempts.
    AttemptsUsed => Final,
    /// The same was tried, and nothing new is known.
    AlreadyTried => Final,
    /// An earlier attempt could not be judged.
    EarlierInconclusive => Final,
    /// The target was repaired too often.
    Flapping => Final,
    /// Another repair runs for the cause, the target or a shared dependency.
    Busy => Passing,
    /// The target rests after a repair.
    CoolingDown => Passing,
    /// The limit of an hour is used up.
    RateLimited => Passing,
    /// Too many workloads of the service at once.
    TooManyTargets => Final,
    /// Too few replicas would stay available.
    TooFewAvailable => Final,
    /// It would do harm, as far as telemetry tells.
    PredictedHarm => Final,
    /// The policy only observes.
    ObserveOnly => Final,
    /// Plans are shown, not carried out.
    SuggestOnly => Passing,
    /// People are asked.
    AwaitingApproval => Passing,
    /// A person said no.
    Rejected => Final,
    /// The symptom is there; it is watched.
    SymptomFiring => Passing,
    /// The symptom is gone; it is watched whether it stays gone.
    Holding => Passing,
    /// The symptom is gone and stayed gone.
    SymptomCleared => Final,
    /// The symptom stayed.
    SymptomPersists => Final,
    /// Data was missing for too long to judge.
    Inconclusive => Final,
    /// A step could not be made.
    StepFailed => Final,
    /// It is not known whether a step was made.
    OutcomeUnknown => Final,
    /// Somebody else changed the target; it was left as it is.
    NotOurs => Final,
    /// Every step is back.
    TakenBack => Final,
    /// Not every step could be taken back.
    UndoIncomplete => Final,
    /// Looking at the target told what came of the step.
    ResolvedByLooking => Passing,
    /// The step is being made.
    Progressing => Passing,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
