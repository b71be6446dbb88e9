//! Taking back, and only what is still ours.

use causeway_actions::LiveState;
use jiff::Timestamp;

use crate::applier;
use crate::decision::Decision;
use crate::guard::Moment;
use crate::machine::gate;
use crate::reason::Reason;
use crate::view::{Direction, Observed, RemediationView, StepState};
use crate::vocabulary::{Outcome, Phase};

/// The next step back, or the end.
pub fn next(view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    let progress = &view.progress;
    let Some((step, mutation)) = view.next_undo() else { return end(view) };
    let record = |state, reason, message: &str| Decision::RecordResult {
        step,
        direction: Direction::Undo,
        state,
        reason,
        message: message.into(),
    };
    let changed = view.mutations.iter().enumerate().any(|(index, made)| {
        made.touches_what(mutation) && progress.result(index, Direction::Apply) == Some(StepState::Done)
    });
    if !changed {
        return record(StepState::Done, Reason::ResolvedByLooking, "it was never changed");
    }
    let live = observed.live_of(mutation);
    if let Some(why) = applier::nothing_to_resume(mutation, live) {
        return record(StepState::Done, Reason::ResolvedByLooking, why);
    }
    match applier::state(mutation, live) {
        LiveState::New => record(StepState::Done, Reason::ResolvedByLooking, "the old value is in place"),
        LiveState::Foreign => record(
            StepState::Failed,
            Reason::NotOurs,
            "somebody changed the value since: it is left as it is",
        ),
        LiveState::Unknown if !mutation.is_repeatable() => {
            record(StepState::Unknown, Reason::OutcomeUnknown, "looking can't tell")
        }
        // What nobody has looked at yet, the step itself looks at.
        LiveState::Old | LiveState::Unknown => match gate(view, observed, now, Moment::Undo) {
            Ok(_) => Decision::Claim { step, direction: Direction::Undo, approvals: Vec::new() },
            // The other steps are taken back all the same.
            Err(Decision::Finish { reason, message, .. }) => record(StepState::Failed, reason, &message),
            Err(decision) => decision,
        },
    }
}

fn end(view: &RemediationView) -> Decision {
    let progress = &view.progress;
    let failed_step = progress.any(Direction::Apply, StepState::Failed);
    if progress.any(Direction::Undo, StepState::Failed) || progress.any(Direction::Undo, StepState::Unknown) {
        let message = "not everything could be taken back: somebody has to look";
        return Decision::finish(Phase::Failed, Outcome::NotEffective, Reason::UndoIncomplete, message);
    }
    let message = if failed_step {
        "a step could not be made; what was changed before is as it was"
    } else {
        "the symptom stayed; everything is as it was"
    };
    Decision::finish(Phase::RolledBack, Outcome::RolledBack, Reason::TakenBack, message)
}
