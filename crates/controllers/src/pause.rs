//! Pause: says that it holds, and what it holds up.

use causeway_crds::pause::PauseStatus;
use causeway_crds::{Pause, Reason};
use causeway_kubekit::{Progress, Report};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::mirrors::Mirrors;
use crate::observing::Observer;

pub(crate) struct Pauses(pub(crate) Mirrors);

impl Observer for Pauses {
    type Kind = Pause;
    const NAME: &'static str = "pause";

    fn report(&self, object: &Pause, _now: Timestamp) -> Report<PauseStatus> {
        let runs = self.0.remediations.list();
        let held = runs.iter().filter(|run| {
            let unfinished = run.status.as_ref().is_none_or(|status| !status.phase.is_final());
            unfinished && object.spec.covers(&run.namespace().unwrap_or_default())
        });
        let held = i32::try_from(held.count()).unwrap_or(i32::MAX);
        let place = match object.spec.namespaces.as_slice() {
            [] => "nothing at all".to_owned(),
            [one] => format!("nothing in namespace {one}"),
            several => format!("nothing in {} namespaces", several.len()),
        };
        let message = format!("Causeway changes {place}; delete this object to go on");
        let status = PauseStatus { held, ..PauseStatus::default() };
        Report::new(status, Progress::ready(Reason::Paused.as_str(), message))
    }
}
