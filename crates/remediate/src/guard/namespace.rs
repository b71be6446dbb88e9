//! Only in namespaces that opted in, and never in protected ones: that of the repair, and that of what applies its target.

use crate::applier::how_to_opt_in;
use crate::guard::{Context, Moment, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let (own, observed) = (&context.view.namespace, context.observed);
    let touched = match (context.moment, context.view.next_undo()) {
        // What is not let in any more keeps nothing else from being taken back.
        (Moment::Undo, Some((_, mutation))) => [&mutation.target().namespace].into(),
        _ => context.view.namespaces(),
    };
    for namespace in touched {
        if observed.guardrails.iter().any(|rail| rail.protected_namespaces.contains(namespace)) {
            return Verdict::Deny(
                Reason::ProtectedNamespace,
                format!("{namespace} is protected by a ClusterGuardrail"),
            );
        }
        if !observed.opted_in.contains(namespace) {
            let how =
                if namespace == own { String::new() } else { format!(": {}", how_to_opt_in(namespace)) };
            return Verdict::Deny(
                Reason::NotOptedIn,
                format!("{namespace} has no ServiceAccount causeway-fixer{how}"),
            );
        }
    }
    Verdict::Allow
}
