//! The same action never runs twice on the same target for the same cause, unless there is new evidence.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::vocabulary::Outcome;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let view = context.view;
    if view.restores.is_some() {
        let twice =
            context.observed.others.iter().find(|o| o.restores == view.restores && o.began_at.is_some());
        return Verdict::allow_if(twice.is_none(), Reason::AlreadyTried, || {
            "it was taken back already".into()
        });
    }
    for other in context.observed.others.iter().filter(|other| other.began_at.is_some()) {
        let same_actions = other.actions.iter().any(|action| view.actions.contains(action));
        let nothing_new = other.cause_id == view.cause_id && other.evidence_digest == view.evidence_digest;
        if same_actions && nothing_new && other.repaired(&view.targets) {
            let message = format!("{} did this already, and nothing new is known", other.name);
            return Verdict::Deny(Reason::AlreadyTried, message);
        }
        if other.incident == view.incident && other.outcome == Some(Outcome::Inconclusive) {
            let message = format!("{} could not be judged, somebody has to look", other.name);
            return Verdict::Deny(Reason::EarlierInconclusive, message);
        }
    }
    Verdict::Allow
}
