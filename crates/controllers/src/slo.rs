//! SLO: checked; it is not evaluated yet, and its status says so.

use causeway_crds::slo::{SLOState, SLOStatus};
use causeway_crds::{ConditionType, Reason, SLO};
use causeway_kubekit::{Report, Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::baseline::service_progress;
use crate::mirrors::Mirrors;
use crate::observing::Observer;

pub(crate) struct Slos(pub(crate) Mirrors);

impl Observer for Slos {
    type Kind = SLO;
    const NAME: &'static str = "slo";

    fn report(&self, object: &SLO, _now: Timestamp) -> Report<SLOStatus> {
        let (namespace, service) = (object.namespace().unwrap_or_default(), &object.spec.service_ref.name);
        let state = if object.spec.suspend { SLOState::Suspended } else { SLOState::Learning };
        let status = SLOStatus { state, ..SLOStatus::default() };
        let message = "Not evaluated: this version checks the objective and does not yet compute its budget";
        Report::new(status, service_progress(&self.0, &namespace, service)).condition(Statement::new(
            ConditionType::HistorySufficient.as_str(),
            Truth::False,
            Reason::Learning.as_str(),
            message,
        ))
    }
}
