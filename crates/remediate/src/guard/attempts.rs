//! After some attempts at one incident, people take over.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let Some(policy) = context.policy() else { return Verdict::Allow };
    if context.view.restores.is_some() {
        return Verdict::Allow;
    }
    let used = context
        .observed
        .others
        .iter()
        .filter(|other| {
            other.incident == context.view.incident && other.began_at.is_some() && other.restores.is_none()
        })
        .count();
    Verdict::allow_if(used < policy.limits.attempts_per_incident, Reason::AttemptsUsed, || {
        format!("{used} attempts were made at this incident")
    })
}
