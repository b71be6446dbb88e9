//! A plan is not begun after its expiry, which is not later than that of any plan.

use std::time::Duration;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::view::later;

/// How long a plan may wait for its begin.
pub const PLAN_LIFETIME: Duration = Duration::from_secs(3600);
/// By how much the clocks of operator and executor may differ.
const SKEW: Duration = Duration::from_secs(60);

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let expires_at = context.view.expires_at;
    if later(context.now, PLAN_LIFETIME + SKEW) < expires_at {
        let message =
            format!("a plan holds for {} min, this one until {expires_at}", PLAN_LIFETIME.as_secs() / 60);
        return Verdict::Deny(Reason::ProofIncomplete, message);
    }
    Verdict::allow_if(context.now < expires_at, Reason::PlanExpired, || {
        format!("the plan expired at {expires_at}")
    })
}
