//! Something must hurt, and it must be known that it does.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::vocabulary::SymptomState;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    match context.observed.symptom.map(|symptom| symptom.state) {
        Some(SymptomState::Firing) => Verdict::Allow,
        Some(SymptomState::Clear) => Verdict::Deny(Reason::SymptomGone, "the symptom is gone".into()),
        Some(SymptomState::NoData) => Verdict::Deny(Reason::NoData, "data is missing".into()),
        None => Verdict::Deny(Reason::IncidentOver, "the Incident is gone".into()),
    }
}
