//! A plan is not begun after its expiry.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let expires_at = context.view.expires_at;
    Verdict::allow_if(context.now < expires_at, Reason::PlanExpired, || {
        format!("the plan expired at {expires_at}")
    })
}
