//! The plan must be the one that would be made now.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let live = &context.observed.live;
    if let Some(gone) = context.view.targets.iter().find(|target| !live.contains_key(&target.uid)) {
        return Verdict::Deny(
            Reason::TargetNotManaged,
            format!("{gone} does not exist, or is another object now"),
        );
    }
    match &context.observed.rebuilt_digest {
        Some(Ok(digest)) => Verdict::allow_if(*digest == context.view.plan_digest, Reason::StalePlan, || {
            "the target has changed: a plan made now differs".into()
        }),
        Some(Err(why)) => Verdict::Deny(Reason::StalePlan, format!("a plan can't be made any more: {why}")),
        None => Verdict::Deny(Reason::ProofIncomplete, "the plan was not made anew".into()),
    }
}
