//! Judging a repair by the symptom, in the time of the data.

use causeway_actions::Inverse;
use jiff::Timestamp;

use crate::decision::Decision;
use crate::reason::Reason;
use crate::undo;
use crate::view::{Observed, RemediationView, Verification, between, later};
use crate::vocabulary::{Outcome, Phase, SymptomState};

/// Judges the repair.
///
/// - Gone, and without a break for the hold time, with data up to there: succeeded.
/// - There at the deadline or later: it did not help; taken back where that is possible.
/// - Data missing: wait. If by the clock twice `within` plus `hold` have passed without a verdict: inconclusive, which is
///   no success, and nothing more is changed.
pub fn judge(view: &RemediationView, observed: &Observed, watch: &Verification, now: Timestamp) -> Decision {
    let (within, hold) = (view.verify.within, view.verify.hold);
    let give_up = later(later(watch.started_at, within.saturating_mul(2)), hold);
    let watermark = observed.symptom.and_then(|symptom| symptom.watermark).unwrap_or(watch.data_from);
    let waiting = match observed.symptom.map(|symptom| (symptom.state, symptom.clear_since)) {
        Some((SymptomState::Clear, since)) => {
            let gone_from = since.unwrap_or(watermark).max(watch.data_from);
            if between(gone_from, watermark) >= hold {
                let message = format!("the symptom has been gone since {gone_from}");
                return Decision::finish(
                    Phase::Succeeded,
                    Outcome::Verified,
                    Reason::SymptomCleared,
                    message,
                );
            }
            let message =
                format!("the symptom has been gone since {gone_from}, {}s are asked for", hold.as_secs());
            Decision::wait(Some(give_up), Reason::Holding, message)
        }
        Some((SymptomState::Firing, _)) if watermark >= watch.deadline => {
            return persists(view, observed, now);
        }
        Some((SymptomState::Firing, _)) => {
            let message = format!("the symptom is there, it has until {} of the data", watch.deadline);
            Decision::wait(Some(give_up), Reason::SymptomFiring, message)
        }
        Some((SymptomState::NoData, _)) | None => {
            Decision::wait(Some(give_up), Reason::NoData, "data is missing: nothing can be said")
        }
    };
    if now >= give_up {
        let message = "data was missing for too long to judge: somebody has to look";
        return Decision::finish(Phase::Failed, Outcome::Inconclusive, Reason::Inconclusive, message);
    }
    waiting
}

fn persists(view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    match view.inverse {
        Inverse::Mutations(_) => undo::next(view, observed, now),
        Inverse::NotNeeded => {
            let message = "the symptom stayed; the action leaves nothing to take back";
            Decision::finish(Phase::Failed, Outcome::NotEffective, Reason::SymptomPersists, message)
        }
        Inverse::None => {
            let message = "the symptom stayed; the action can't be taken back";
            Decision::finish(Phase::Failed, Outcome::NotEffective, Reason::SymptomPersists, message)
        }
    }
}
