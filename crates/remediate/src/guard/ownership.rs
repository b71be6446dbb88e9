//! A field is changed only where its keeper will not put the old value back.

use crate::guard::{Context, Verdict};
use crate::ownership::ownership;
use crate::vocabulary::Unreconciled;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let unreconciled = context.policy().map_or(Unreconciled::Patch, |policy| policy.unreconciled);
    let live = |mutation: &_| context.observed.live_of(mutation);
    match ownership(&context.view.mutations, live, unreconciled) {
        Ok(_) => Verdict::Allow,
        Err((reason, message)) => Verdict::Deny(reason, message),
    }
}
