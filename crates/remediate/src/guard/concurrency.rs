//! One action at a time for each cause, target and shared dependency, in all namespaces; and the limits on how many run.

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let view = context.view;
    let running: Vec<_> = context.observed.others.iter().filter(|other| other.is_running()).collect();
    let in_the_way = running.iter().find(|other| {
        other.cause_id == view.cause_id
            || other.touches(&view.targets)
            || other
                .shared_dependencies
                .iter()
                .any(|dependency| view.shared_dependencies.contains(dependency))
    });
    if let Some(other) = in_the_way {
        let message =
            format!("{}/{} acts on the same cause, target or dependency", other.namespace, other.name);
        return Verdict::Deny(Reason::Busy, message);
    }
    let same_policy = running
        .iter()
        .filter(|other| other.namespace == view.namespace && other.policy == view.policy)
        .count();
    if context.policy().is_some_and(|policy| same_policy >= policy.limits.concurrent) {
        return Verdict::Deny(Reason::Busy, format!("{same_policy} run under this policy"));
    }
    let cluster = context.observed.guardrails.iter().filter_map(|rail| rail.concurrent_per_cluster).min();
    Verdict::allow_if(cluster.is_none_or(|most| running.len() < most), Reason::Busy, || {
        format!("{} run in the cluster", running.len())
    })
}
