//! Nothing is changed unless the plan carries its whole proof. (That there was a dry-run is asked at the gate.)

use causeway_actions::{Inverse, plan_digest};
use std::time::Duration;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let view = context.view;
    let complete = || -> Result<(), &'static str> {
        if view.mutations.is_empty() {
            return Err("the plan has no mutation");
        }
        if plan_digest(&view.mutations, &view.inverse) != view.plan_digest {
            return Err("planDigest is not the digest of the mutations and the inverse");
        }
        if matches!(&view.inverse, Inverse::Mutations(back) if back.is_empty()) {
            return Err("the inverse has no mutation");
        }
        if view.verify.hold == Duration::ZERO || view.verify.within == Duration::ZERO {
            return Err("the plan does not say how success is seen");
        }
        let known = |uid: &str| view.targets.iter().any(|target| target.uid == uid);
        if !view.mutations.iter().chain(view.undo_mutations()).all(|m| known(&m.target().uid)) {
            return Err("a mutation acts on something that is not a target");
        }
        if view.targets.iter().any(|target| target.namespace != view.namespace) {
            return Err("a target is in another namespace");
        }
        Ok(())
    };
    match complete() {
        Ok(()) => Verdict::Allow,
        Err(what) => Verdict::Deny(Reason::ProofIncomplete, what.into()),
    }
}
