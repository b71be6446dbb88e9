//! The change freeze of a PeakEvent: where it stands, and what was changed in spite of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_crds::occurrence::Occurrence as Time;
use causeway_crds::peak_event::{FreezeState, FreezeStatus, FrozenChange, PeakEventStatus, PeakPhase};
use causeway_crds::{MonitoredService, PeakEvent, Reason};
use causeway_engine::Change;
use causeway_kubekit::Occurrence;
use kube::ResourceExt;

use crate::text::{bounded, stamp_us};

/// Namespaces, and changes, that a status holds.
const NAMESPACES: usize = 256;
const LATEST: usize = 8;

/// Where the freeze of `object` stands in an occurrence, given what the engine saw; `None` where none is declared.
pub(crate) fn status(
    object: &PeakEvent,
    phase: PeakPhase,
    time: &Time,
    services: &[Arc<MonitoredService>],
    changed: &[Change],
) -> Option<FreezeStatus> {
    object.spec.change_freeze.as_ref()?;
    let mut namespaces: BTreeSet<String> =
        services.iter().filter_map(|service| service.namespace()).collect();
    if object.spec.service_selector.is_none() {
        namespaces.extend(object.spec.namespaces.iter().cloned());
    }
    let state = match phase {
        PeakPhase::Planned => FreezeState::Planned,
        PeakPhase::Armed | PeakPhase::Active | PeakPhase::CoolingDown => FreezeState::Holding,
        PeakPhase::Completed => FreezeState::Over,
    };
    let whole = time.warms_from.as_microsecond()..time.cools_until.as_microsecond();
    let within: Vec<&Change> = changed.iter().filter(|change| whole.contains(&change.time_us)).collect();
    // What the status knows already stays, also if the engine has lost it.
    let before = object.status.as_ref().and_then(|status| known(status, time)).cloned().unwrap_or_default();
    let mut latest = before.latest;
    for change in &within {
        let change = written(change);
        if !latest.contains(&change) {
            latest.push(change);
        }
    }
    latest.sort_by(|a, b| (a.at.0, &a.object).cmp(&(b.at.0, &b.object)));
    let seen = i32::try_from(within.len().max(latest.len())).unwrap_or(i32::MAX);
    latest.drain(..latest.len().saturating_sub(LATEST));
    Some(FreezeStatus {
        state,
        namespaces: namespaces.into_iter().take(NAMESPACES).collect(),
        changes: before.changes.max(seen),
        latest,
    })
}

/// What an event says of those changes that stand in `now` and not in its status yet.
pub(crate) fn news(object: &PeakEvent, time: &Time, now: &FreezeStatus) -> Vec<Occurrence> {
    let before = object.status.as_ref().and_then(|status| known(status, time));
    let fresh =
        now.latest.iter().filter(|change| before.is_none_or(|before| !before.latest.contains(change)));
    let sentence = |change: &FrozenChange| {
        let by = change.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        Occurrence::warning(
            Reason::ChangedInFreeze.as_str(),
            format!("{} was changed{by} at {} while the change freeze held", change.object, change.at.0),
        )
    };
    fresh.map(sentence).collect()
}

/// What the status says of the same occurrence.
fn known<'a>(status: &'a PeakEventStatus, time: &Time) -> Option<&'a FreezeStatus> {
    let is_same = status.starts.as_ref().is_some_and(|starts| starts.0 == time.start);
    status.freeze.as_ref().filter(|_| is_same)
}

fn written(change: &Change) -> FrozenChange {
    FrozenChange {
        at: stamp_us(change.time_us),
        object: bounded(&change.object, 512),
        by: (!change.author.is_empty()).then(|| bounded(&change.author, 253)),
    }
}
