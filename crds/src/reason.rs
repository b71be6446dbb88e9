//! Reasons of conditions and events that controllers write.
//!
//! Reasons of guards and of the state machine are `causeway_remediate::Reason`; reasons of plans are
//! `causeway_actions::PlanError::category`.

use crate::condition::words;

words! {
    /// Why a condition is what it is.
    Reason {
        /// Work goes on.
        Progressing,
        /// Everything is as the spec says.
        Reconciled,
        /// The spec can't be worked with; the message says why.
        InvalidSpec,
        /// The spec is valid, and this version can't evaluate it; the message says what to use instead.
        NotSupported,
        /// Turned off by `suspend`.
        Suspended,
        /// An object that the spec names is not there.
        DependencyMissing,
        /// A Secret or its key is not there.
        SecretMissing,
        /// Causeway's ServiceAccount may not do what is needed.
        Forbidden,
        /// The API server could not be reached or answered with an error.
        ApiError,
        /// The endpoint is up.
        Listening,
        /// The endpoint could not be opened.
        BindFailed,
        /// Nothing has arrived yet.
        Waiting,
        /// Records arrive.
        Flowing,
        /// Records arrived, and do no longer.
        Silent,
        /// More arrives than the limits allow.
        LimitExceeded,
        /// Everything fits the limits.
        WithinLimits,
        /// Workloads and neighbours are seen.
        Observed,
        /// A workload is not there.
        WorkloadMissing,
        /// No trace shows the service yet.
        NotSeenYet,
        /// Every objective is met.
        ObjectivesMet,
        /// An objective burns.
        BudgetBurning,
        /// The series is evaluated.
        Evaluating,
        /// More history is needed.
        Learning,
        /// The model is fitted.
        Trained,
        /// Within the band.
        WithinBand,
        /// Outside of the band.
        Deviating,
        /// Data is missing.
        NoData,
        /// A bound will be crossed.
        CrossingAhead,
        /// No bound will be crossed.
        NoCrossing,
        /// The lake can't answer what is asked for the series; the message says why.
        QueryFailed,
        /// The objective was evaluated.
        Evaluated,
        /// Within budget.
        Healthy,
        /// A ticket window burns.
        Burning,
        /// A page window burns.
        BurningFast,
        /// The budget is gone.
        Exhausted,
        /// The steps can be planned.
        Compiled,
        /// Every test passed.
        TestsPassed,
        /// A test did not pass.
        TestsFailed,
        /// The recorded incident of a test is not at hand.
        BundleMissing,
        /// A guardrail lowers what the policy grants.
        LoweredByGuardrail,
        /// No guardrail exists, so that Suggest is the ceiling.
        GuardrailMissing,
        /// Nothing is lowered.
        Compliant,
        /// A Pause holds.
        Paused,
        /// The limit of an hour is used up.
        RateLimited,
        /// Another remediation may run.
        Available,
        /// The decision counts.
        Valid,
        /// The decision was used.
        Used,
        /// The decision is about something else than the plan shows now.
        Stale,
        /// The decision came too late, or nobody used it in time.
        Expired,
        /// The event is to come.
        Planned,
        /// Every service that an autoscaler grows can grow as far as is expected to be needed.
        CapacityEnough,
        /// A service ends before the expected load.
        CapacityShort,
        /// Nobody knows how far the services grow.
        CapacityUnknown,
        /// What runs was changed while a change freeze held.
        ChangedInFreeze,
        /// Detectors know of the event, or its effect builds up.
        Armed,
        /// The event is on.
        Active,
        /// The effect of the event wears off.
        CoolingDown,
        /// The event is over.
        Completed,
        /// The last message arrived.
        Delivered,
        /// The last message did not arrive.
        DeliveryFailed,
        /// The incident is tracked.
        Tracked,
        /// One cause stands out.
        CauseFound,
        /// No cause stands out.
        Ambiguous,
        /// The evidence is not complete.
        IncompleteData,
        /// The symptom is there.
        SymptomFiring,
        /// The symptom is gone.
        SymptomClear,
        /// Nobody could be found to repair it: no runbook fits.
        NoRunbook,
        /// A repair was planned.
        RemediationPlanned,
        /// A repair made the symptom go.
        RemediationSucceeded,
        /// No repair helped.
        RemediationFailed,
        /// It went by itself.
        SelfRecovered,
        /// A person said who looks after it.
        AcknowledgedBy,
        /// Nobody looks after it, for longer than the declared peak allows.
        Unacknowledged,
        /// Nobody decided about its repair in time.
        ApprovalExpired,
        /// A person wants no messages for a while.
        SilencedUntil,
        /// The while without messages is over.
        SilenceOver,
        /// It became a part of another incident.
        Merged,
    }
}
