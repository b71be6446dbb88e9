//! A target that needs one repair after the other needs a person.

use std::time::Duration;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::view::between;

/// Repairs of one target that are too many...
const REPAIRS: usize = 3;
/// ...within this time.
const WITHIN: Duration = Duration::from_secs(6 * 3600);

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let recent = context
        .observed
        .others
        .iter()
        .filter(|other| other.restores.is_none() && other.repaired(&context.view.targets))
        .filter_map(|other| other.began_at)
        .filter(|began| between(*began, context.now) < WITHIN)
        .count();
    Verdict::allow_if(recent < REPAIRS, Reason::Flapping, || {
        format!("the target was repaired {recent} times within 6 h")
    })
}
