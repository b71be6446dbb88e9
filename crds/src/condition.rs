//! Types of conditions.

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every word there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Type of a condition. All have positive polarity but Reconciling and Stalled, which are present only while true.
    ConditionType {
        /// Causeway's own work on the object is done. Says nothing about the health of the user's service.
        Ready,
        /// Work on the object goes on.
        Reconciling,
        /// Work on the object can't go on without a change of it.
        Stalled,
        /// MonitoredService: every workload named in the spec exists.
        WorkloadsFound,
        /// MonitoredService: callers and dependencies are known.
        TopologyKnown,
        /// MonitoredService: no objective burns.
        ObjectivesMet,
        /// LogSource: the endpoint listens and the credential is usable.
        Connected,
        /// LogSource: records arrive.
        Ingesting,
        /// LogSource: the sender stays within its limits. Baseline: every series is followed.
        WithinLimits,
        /// Baseline: the series has data.
        DataFlowing,
        /// Baseline: enough was learned.
        ModelReady,
        /// Baseline: the series is within its band.
        WithinBand,
        /// Baseline: no bound will be crossed.
        ForecastHealthy,
        /// SLO: the window is covered by data.
        HistorySufficient,
        /// SLO: budget is left.
        BudgetHealthy,
        /// SLO: no burn window burns.
        BurnRateHealthy,
        /// Runbook: every step can be planned.
        Compiled,
        /// Runbook: it does on recorded incidents what its tests expect.
        TestsPassed,
        /// Runbook, RemediationPolicy: causeway-fixer may do what the steps need.
        PermissionsSufficient,
        /// RemediationPolicy: the guardrails leave it as it is.
        GuardrailCompliant,
        /// RemediationPolicy: another remediation may run now.
        BudgetAvailable,
        /// PeakEvent: its services can grow as far as it is expected to need.
        CapacitySufficient,
        /// PeakEvent: the detectors of its services know of it.
        Armed,
        /// NotificationTarget: messages arrive.
        Deliverable,
        /// Incident: the cause is known.
        Diagnosed,
        /// Incident: a repair has made the symptom go.
        Mitigated,
        /// Incident: it is over.
        Resolved,
        /// Incident: somebody looks after it.
        Acknowledged,
        /// Incident: it was told anew, because nobody looked after it.
        Escalated,
        /// Incident: no messages are sent, because a person said so.
        Silenced,
        /// Remediation: the plan is complete.
        Planned,
        /// Remediation: policy and people allow it.
        Authorized,
        /// Remediation: every step was made.
        Applied,
        /// Remediation: the symptom is gone and stayed gone.
        Verified,
        /// Remediation: what was changed was taken back.
        RolledBack,
    }
}
