//! Not too many workloads of a service at once.

use std::collections::BTreeSet;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let Some(policy) = context.policy() else { return Verdict::Allow };
    let workload = |kind: &str| matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
    let touched: BTreeSet<&str> =
        context.view.targets.iter().filter(|t| workload(&t.kind)).map(|t| t.uid.as_str()).collect();
    let all = context.observed.service_workloads.max(1);
    let allowed = (all * policy.limits.max_targets_percent as usize / 100).max(1);
    Verdict::allow_if(touched.len() <= allowed, Reason::TooManyTargets, || {
        format!("{} workloads of {all}, allowed are {allowed}", touched.len())
    })
}
