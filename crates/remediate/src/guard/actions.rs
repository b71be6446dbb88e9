//! Only actions that every guardrail allows.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let refused = context.view.actions.iter().find(|action| {
        context
            .observed
            .guardrails
            .iter()
            .any(|rail| !rail.allowed_actions.is_empty() && !rail.allowed_actions.contains(action))
    });
    refused.map_or(Verdict::Allow, |action| {
        Verdict::Deny(Reason::ActionNotAllowed, format!("a ClusterGuardrail does not allow {action}"))
    })
}
