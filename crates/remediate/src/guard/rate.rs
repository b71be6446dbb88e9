//! Not too many in an hour.

use std::time::Duration;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::view::{OtherRun, between};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let view = context.view;
    let count = |counts: &dyn Fn(&OtherRun) -> bool| {
        let recent =
            |other: &&OtherRun| other.began_at.is_some_and(|began| between(began, context.now) < HOUR);
        context.observed.others.iter().filter(recent).filter(|other| counts(other)).count()
    };
    let under_policy = count(&|other| other.namespace == view.namespace && other.policy == view.policy);
    if context.policy().is_some_and(|policy| under_policy >= policy.limits.actions_per_hour) {
        return Verdict::Deny(
            Reason::RateLimited,
            format!("{under_policy} began under this policy within the hour"),
        );
    }
    let everywhere = count(&|_| true);
    let most = context.observed.guardrails.iter().filter_map(|rail| rail.actions_per_hour).min();
    Verdict::allow_if(most.is_none_or(|most| everywhere < most), Reason::RateLimited, || {
        format!("{everywhere} began in the cluster within the hour")
    })
}
