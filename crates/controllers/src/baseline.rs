//! Baseline: checked; it does not reach the detectors yet, and its status says so.

use causeway_crds::baseline::{BaselineState, BaselineStatus};
use causeway_crds::{Baseline, ConditionType, Reason};
use causeway_kubekit::{ObjectKey, Progress, Report, Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::observing::Observer;

pub(crate) struct Baselines(pub(crate) Mirrors);

impl Observer for Baselines {
    type Kind = Baseline;
    const NAME: &'static str = "baseline";

    fn report(&self, object: &Baseline, _now: Timestamp) -> Report<BaselineStatus> {
        let (namespace, service) = (object.namespace().unwrap_or_default(), &object.spec.service_ref.name);
        let state = if object.spec.suspend { BaselineState::Suspended } else { BaselineState::Learning };
        let status = BaselineStatus { state, ..BaselineStatus::default() };
        let progress = service_progress(&self.0, &namespace, service);
        let learning = "The golden signals of every service are learned without a Baseline; this version does \
                        not yet judge the series named here";
        Report::new(status, progress).condition(Statement::new(
            ConditionType::ModelReady.as_str(),
            Truth::False,
            Reason::Learning.as_str(),
            learning,
        ))
    }
}

/// Ready when the MonitoredService that a spec names exists.
pub(crate) fn service_progress(mirrors: &Mirrors, namespace: &str, service: &str) -> Progress {
    if mirrors.services.get(&ObjectKey::namespaced(namespace, service)).is_some() {
        return Progress::ready(
            Reason::Reconciled.as_str(),
            format!("Valid, for MonitoredService {namespace}/{service}"),
        );
    }
    Progress::Retrying {
        reason: Reason::DependencyMissing.as_str().to_owned(),
        message: format!(
            "MonitoredService {namespace}/{service} does not exist: create it, or correct spec.serviceRef.name"
        ),
    }
}
