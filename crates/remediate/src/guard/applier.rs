//! What applies a target from another namespace is suspended only while it says itself that it applies it: also the second
//! one of a plan, and once more on the way back.

use causeway_actions::Mutation;

use crate::applier::{applies, switched};
use crate::guard::{Context, Moment, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let view = context.view;
    let next = match context.moment {
        Moment::Begin | Moment::Continue => view.next_apply(),
        Moment::Undo => view.next_undo().map(|(_, mutation)| mutation),
    };
    let suspends = |mutation: &&Mutation| {
        mutation.target().namespace != view.namespace && switched(mutation) == Some(true)
    };
    let Some(mutation) = next.filter(suspends) else { return Verdict::Allow };
    let repaired = || view.targets.iter().filter(|target| target.namespace == view.namespace);
    let live = context.observed.live_of(mutation);
    let says = live.is_some_and(|applier| repaired().any(|target| applies(applier, target)));
    Verdict::allow_if(says, Reason::GitOwned, || {
        format!("{} does not say in its status that it applies a target of this repair", mutation.target())
    })
}
