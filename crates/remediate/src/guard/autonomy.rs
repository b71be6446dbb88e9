//! How far Causeway may go by itself: the least of what policy, guardrails, peak and plan allow.

use causeway_actions::Inverse;
use jiff::Timestamp;

use crate::earn::evidence;
use crate::guard::{Context, Verdict, approvals, freeze};
use crate::reason::Reason;
use crate::view::{Observed, RemediationView, WindowView};
use crate::vocabulary::Autonomy;

/// The autonomy that is left, and what lowered it last.
///
/// Without a guardrail, or while the admission policies do not stand as shipped, Suggest is the ceiling. A plan that can't
/// be taken back never goes above Approve. A policy that is gone, or does not list the runbook, leaves Observe.
///
/// The policy grants what it lists for the runbook, raised by what was earned; a window that holds at `now` replaces that,
/// and of several the least counts.
pub fn effective_autonomy(
    view: &RemediationView,
    observed: &Observed,
    now: Timestamp,
) -> (Autonomy, &'static str) {
    let granted = granted(view, observed, now);
    let guardrail = observed
        .guardrails
        .iter()
        .map(|rail| (rail.max_autonomy, "a ClusterGuardrail"))
        .min_by_key(|(autonomy, _)| *autonomy)
        .unwrap_or((Autonomy::Suggest, "the lack of a ClusterGuardrail"));
    let admission = match observed.admission_since {
        Some(_) => (Autonomy::Auto, ""),
        None => (Autonomy::Suggest, "the lack of the admission policies"),
    };
    let peak = (observed.peak_ceiling.unwrap_or(Autonomy::Auto), "a declared peak");
    let freeze = (freeze::ceiling(view, observed), "a change freeze");
    let inverse = match view.inverse {
        Inverse::None => (Autonomy::Approve, "the lack of a way back"),
        Inverse::Mutations(_) | Inverse::NotNeeded => (Autonomy::Auto, ""),
    };
    [guardrail, admission, peak, freeze, inverse]
        .into_iter()
        .fold(granted, |least, ceiling| if ceiling.0 < least.0 { ceiling } else { least })
}

fn granted(view: &RemediationView, observed: &Observed, now: Timestamp) -> (Autonomy, &'static str) {
    let Some(policy) = &observed.policy else { return (Autonomy::Observe, "no policy allows the runbook") };
    let Some(listed) = policy.listed(&view.runbook) else {
        return (Autonomy::Observe, "no policy allows the runbook");
    };
    let holds = |window: &&WindowView| window.zone.as_ref().is_some_and(|z| window.schedule.contains(now, z));
    if let Some(window) = policy.windows.iter().filter(holds).map(|window| window.autonomy).min() {
        // Observe means that the runbook is not to be planned, at any time.
        return if listed == Autonomy::Observe {
            (listed, "the policy")
        } else {
            (window, "a window of the policy")
        };
    }
    match &policy.earn {
        Some(rule) => {
            let evidence = evidence(rule, &view.runbook, &view.targets, &observed.others);
            (rule.earned(listed, evidence), "the policy")
        }
        None => (listed, "the policy"),
    }
}

pub(super) fn check(context: &Context<'_>) -> Verdict {
    if approvals::rejected(context).is_some() {
        return Verdict::Deny(Reason::Rejected, "a person rejected the plan".into());
    }
    if context.observed.policy.is_none() {
        return Verdict::Deny(Reason::PolicyMissing, "the RemediationPolicy is gone".into());
    }
    match effective_autonomy(context.view, context.observed, context.now) {
        (Autonomy::Observe, why) => {
            Verdict::Deny(Reason::ObserveOnly, format!("limited to Observe by {why}"))
        }
        (Autonomy::Suggest, why) => {
            Verdict::Deny(Reason::SuggestOnly, format!("limited to Suggest by {why}"))
        }
        (Autonomy::Approve, _) => Verdict::NeedsApproval,
        (Autonomy::Auto, _) => Verdict::Allow,
    }
}
