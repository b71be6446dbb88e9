//! ClusterGuardrail: says that it is in force.

use causeway_crds::cluster_guardrail::ClusterGuardrailStatus;
use causeway_crds::{ClusterGuardrail, Reason};
use causeway_kubekit::{Progress, Report};
use jiff::Timestamp;

use crate::observing::Observer;

pub(crate) struct ClusterGuardrails;

impl Observer for ClusterGuardrails {
    type Kind = ClusterGuardrail;
    const NAME: &'static str = "cluster-guardrail";

    fn report(&self, object: &ClusterGuardrail, _now: Timestamp) -> Report<ClusterGuardrailStatus> {
        let message = format!("In force: autonomy is at most {}", object.spec.max_autonomy);
        Report::new(ClusterGuardrailStatus::default(), Progress::ready(Reason::Reconciled.as_str(), message))
    }
}
