//! Only in namespaces that opted in, and never in protected ones.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let namespace = &context.view.namespace;
    if context.observed.guardrails.iter().any(|rail| rail.protected_namespaces.contains(namespace)) {
        return Verdict::Deny(
            Reason::ProtectedNamespace,
            format!("{namespace} is protected by a ClusterGuardrail"),
        );
    }
    Verdict::allow_if(context.observed.opted_in, Reason::NotOptedIn, || {
        format!("{namespace} has no ServiceAccount causeway-fixer")
    })
}
