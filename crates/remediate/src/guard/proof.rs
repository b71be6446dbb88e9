//! Nothing is changed unless the plan carries its whole proof. (That there was a dry-run is asked at the gate.)

use std::time::Duration;

use causeway_actions::{Inverse, TargetRef, plan_digest};

use crate::applier::switched;
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
        if !view.mutations.iter().chain(view.undo_mutations()).all(|m| view.targets.contains(m.target())) {
            return Err("a mutation acts on something that is not a target");
        }
        if view.targets.first().is_none_or(|target| target.namespace != view.namespace) {
            return Err("what is repaired is in another namespace");
        }
        let elsewhere = |target: &&TargetRef| target.namespace != view.namespace;
        for target in view.targets.iter().filter(elsewhere) {
            for mutations in [view.mutations.as_slice(), view.undo_mutations()] {
                let of_it = mutations.iter().filter(|mutation| mutation.target() == target);
                let switched: Vec<Option<bool>> = of_it.map(switched).collect();
                if switched != [Some(true), Some(false)] {
                    return Err(
                        "a target is in another namespace, and more is done to it than to suspend and to resume it",
                    );
                }
            }
        }
        Ok(())
    };
    match complete() {
        Ok(()) => Verdict::Allow,
        Err(what) => Verdict::Deny(Reason::ProofIncomplete, what.into()),
    }
}
