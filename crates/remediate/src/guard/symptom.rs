//! Something must hurt, and it must be known that it does. What takes a change back at the end of its lease needs the
//! opposite: that nothing does.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::vocabulary::SymptomState;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let restores = context.view.restores.is_some();
    match context.observed.symptom.map(|symptom| symptom.state) {
        Some(SymptomState::Firing) if restores => {
            Verdict::Deny(Reason::CapacityNeeded, "the symptom is there".into())
        }
        Some(SymptomState::Clear) if restores => Verdict::Allow,
        Some(SymptomState::Firing) => Verdict::Allow,
        Some(SymptomState::Clear) => Verdict::Deny(Reason::SymptomGone, "the symptom is gone".into()),
        Some(SymptomState::NoData) => Verdict::Deny(Reason::NoData, "data is missing".into()),
        None => Verdict::Deny(Reason::IncidentOver, "the Incident is gone".into()),
    }
}
