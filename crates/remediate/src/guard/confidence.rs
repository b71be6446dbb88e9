//! The diagnosis must be as sure as the policy asks.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let Some(policy) = context.policy() else { return Verdict::Allow };
    // Confidence and margin come as decimal text; the small term makes equal text compare as equal.
    let at_least = |value: f64, least: f64| value >= least - 1e-9;
    let view = context.view;
    if !at_least(view.confidence, policy.min_confidence) {
        let message =
            format!("confidence {:.2}, the policy asks for {:.2}", view.confidence, policy.min_confidence);
        return Verdict::Deny(Reason::LowConfidence, message);
    }
    Verdict::allow_if(at_least(view.margin, policy.min_margin), Reason::LowMargin, || {
        format!("margin {:.2}, the policy asks for {:.2}", view.margin, policy.min_margin)
    })
}
