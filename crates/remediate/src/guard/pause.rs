//! The kill switch, and a suspended policy.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let namespaces = context.view.namespaces();
    let covers =
        |names: &[String]| names.is_empty() || namespaces.iter().any(|namespace| names.contains(namespace));
    if let Some(pause) = context.observed.pauses.iter().find(|pause| covers(&pause.namespaces)) {
        return Verdict::Deny(Reason::Paused, format!("Pause {} holds", pause.name));
    }
    let suspended = context.policy().filter(|policy| policy.suspended);
    suspended.map_or(Verdict::Allow, |policy| {
        Verdict::Deny(Reason::PolicySuspended, format!("RemediationPolicy {} is suspended", policy.name))
    })
}
