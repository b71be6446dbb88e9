//! What the executor should do next.

use jiff::Timestamp;

use crate::reason::Reason;
use crate::view::{Direction, StepState};
use crate::vocabulary::{Outcome, Phase};

/// One thing to do. Do it, write it to the status, read the world again, ask again.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing now. Ask again at `until`, or earlier when something that was read changes.
    Wait {
        /// The next moment at which the answer may differ by the clock alone.
        until: Option<Timestamp>,
        /// Why.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// Run the plan as a server-side dry-run and write the difference and its digest.
    DryRun,
    /// Set the phase AwaitingApproval and ask people, if that was not done yet.
    RequestApproval {
        /// People who must agree.
        needed: usize,
        /// People who have agreed.
        have: usize,
        /// When the plan expires.
        until: Timestamp,
    },
    /// Read the target, and write the claim with its resourceVersion and generation by compare-and-swap; set the phase
    /// Applying; note `approvals` as used. Then ask again with [`crate::ClaimOrigin::Fresh`].
    Claim {
        /// Index into the mutations, or into those of the inverse.
        step: usize,
        /// Forth or back.
        direction: Direction,
        /// Names of Approvals that this uses.
        approvals: Vec<String>,
    },
    /// Make the claimed mutation, once, and write the result. If the answer does not tell what happened, write nothing and
    /// ask again with [`crate::ClaimOrigin::Found`].
    Mutate {
        /// Index into the mutations, or into those of the inverse.
        step: usize,
        /// Forth or back.
        direction: Direction,
    },
    /// Look in the repository whether the claimed change of what Git declares was made before a crash, and go on with what is
    /// there; make nothing. Where nothing is there, the step has failed, for this reason.
    Find {
        /// Index into the mutations.
        step: usize,
        /// Forth.
        direction: Direction,
        /// Why it may not be made any more, for people.
        message: String,
    },
    /// Write this result; nothing has to be made.
    RecordResult {
        /// Index into the mutations, or into those of the inverse.
        step: usize,
        /// Forth or back.
        direction: Direction,
        /// What came of it.
        state: StepState,
        /// Why.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// Every step is made: set the phase Verifying, and write the begin of the watch.
    Verify {
        /// Now, by the clock.
        started_at: Timestamp,
        /// How far the data reaches.
        data_from: Timestamp,
        /// When the symptom must be gone, in data time.
        deadline: Timestamp,
    },
    /// It is over. Write the final phase and the outcome.
    Finish {
        /// The final phase.
        phase: Phase,
        /// What came of it.
        outcome: Outcome,
        /// Why.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
}

impl Decision {
    /// The end of a Remediation.
    pub(crate) fn finish(phase: Phase, outcome: Outcome, reason: Reason, message: impl Into<String>) -> Self {
        Self::Finish { phase, outcome, reason, message: message.into() }
    }

    /// Nothing now.
    pub(crate) fn wait(until: Option<Timestamp>, reason: Reason, message: impl Into<String>) -> Self {
        Self::Wait { until, reason, message: message.into() }
    }
}
