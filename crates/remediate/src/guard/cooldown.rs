//! A target rests after a repair.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::view::later;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    match rests_until(context) {
        Some(until) if until > context.now => {
            Verdict::Deny(Reason::CoolingDown, format!("the target rests until {until}"))
        }
        _ => Verdict::Allow,
    }
}

/// When the target may be touched again.
pub(crate) fn rests_until(context: &Context<'_>) -> Option<jiff::Timestamp> {
    let cooldown = context.policy()?.limits.cooldown;
    context
        .observed
        .others
        .iter()
        .filter(|other| other.began_at.is_some() && other.repaired(&context.view.targets))
        .filter_map(|other| other.finished_at)
        .map(|finished| later(finished, cooldown))
        .max()
}
