//! RemediationPolicy: what is left of its autonomy, and how much of its budget is used.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_crds::remediation_policy::{Earned, RemediationPolicyStatus};
use causeway_crds::view::{other_run, policy_view};
use causeway_crds::{Autonomy, ConditionType, Reason, RemediationPolicy};
use causeway_kubekit::{ObjectKey, Progress, Report, Requeue, Statement};
use causeway_remediate::{OtherRun, PolicyView, WindowView, evidence};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::text::bounded;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Policies(pub(crate) Mirrors);

impl Observer for Policies {
    type Kind = RemediationPolicy;
    const NAME: &'static str = "remediation-policy";

    fn report(&self, object: &RemediationPolicy, now: Timestamp) -> Report<RemediationPolicyStatus> {
        let namespace = object.namespace().unwrap_or_default();
        let begun = self.begun_last_hour(&namespace, &object.name_any(), now);
        let paused = self.0.pauses.list().iter().any(|pause| pause.spec.covers(&namespace));
        let ceiling = self.0.guardrails.list().iter().map(|rail| rail.spec.max_autonomy).min();
        let view = policy_view(object);
        let holding: Vec<&WindowView> = view.windows.iter().filter(|window| holds(window, now)).collect();
        let granted = holding.iter().map(|window| window.autonomy).min().unwrap_or(object.spec.autonomy);
        let effective = granted.min(ceiling.unwrap_or(Autonomy::Suggest));
        let status = RemediationPolicyStatus {
            effective_autonomy: Some(effective),
            used_last_hour: i32::try_from(begun.len()).unwrap_or(i32::MAX),
            paused,
            windows: holding.iter().map(|window| window.name.clone()).collect(),
            earned: self.earned(&namespace, &view),
            ..RemediationPolicyStatus::default()
        };
        let limit = object.spec.limits.clone().unwrap_or_default().actions_per_hour;
        let available = status.used_last_hour < limit;
        let turn = if view.windows.is_empty() { None } else { next_minute(now) };
        let requeue = begun.iter().min().and_then(|first| first.checked_add(HOUR).ok());
        let requeue = [requeue, turn].into_iter().flatten().min();
        Report::new(status, self.progress(object, &namespace, paused))
            .condition(compliance(object.spec.autonomy, ceiling))
            .condition(Statement::new(
                ConditionType::BudgetAvailable.as_str(),
                available,
                if available { Reason::Available } else { Reason::RateLimited }.as_str(),
                format!("At most {limit} repairs begin in an hour"),
            ))
            .requeue(requeue.map_or(Requeue::OnChange, Requeue::At))
    }
}

impl Policies {
    fn begun_last_hour(&self, namespace: &str, policy: &str, now: Timestamp) -> Vec<Timestamp> {
        let runs = self.0.remediations.list_in(namespace);
        let mine = runs.iter().filter(|run| run.spec.policy_ref.name == policy);
        let begun = mine.filter_map(|run| Some(run.status.as_ref()?.began_at.as_ref()?.0));
        begun.filter(|at| at.checked_add(HOUR).is_ok_and(|end| end > now)).collect()
    }

    /// Where each runbook stands on each target that it ran on.
    fn earned(&self, namespace: &str, view: &PolicyView) -> Vec<Earned> {
        let Some(rule) = &view.earn else { return Vec::new() };
        let runs: Vec<OtherRun> =
            self.0.remediations.list_in(namespace).iter().map(|run| other_run(run)).collect();
        let mut seen = BTreeMap::new();
        for run in &runs {
            let (Some(listed), Some(target)) = (view.listed(&run.runbook), run.targets.first()) else {
                continue;
            };
            let key = (run.runbook.clone(), format!("{}/{}", target.kind, target.name));
            if seen.contains_key(&key) {
                continue;
            }
            let shown = evidence(rule, &run.runbook, std::slice::from_ref(target), &runs);
            let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            let earned = Earned {
                runbook: bounded(&key.0, 253),
                target: bounded(&key.1, 320),
                verified: number(shown.verified),
                harmful: number(shown.harmful),
                autonomy: rule.earned(listed, shown),
            };
            seen.insert(key, earned);
        }
        seen.into_values().take(64).collect()
    }

    fn progress(&self, object: &RemediationPolicy, namespace: &str, paused: bool) -> Progress {
        let missing: Vec<&str> = object
            .spec
            .runbooks
            .iter()
            .map(|runbook| runbook.name.as_str())
            .filter(|name| self.0.runbooks.get(&ObjectKey::namespaced(namespace, *name)).is_none())
            .collect();
        if !missing.is_empty() {
            return Progress::Retrying {
                reason: Reason::DependencyMissing.as_str().to_owned(),
                message: format!(
                    "Runbook {} does not exist in namespace {namespace}: create it, or take it out of spec.runbooks",
                    missing.join(", ")
                ),
            };
        }
        if let Some(window) = policy_view(object).windows.iter().find(|window| window.zone.is_none()) {
            return Progress::stalled(
                Reason::InvalidSpec.as_str(),
                format!("Window {} names a time zone that is not known: it never holds", window.name),
            );
        }
        if object.spec.suspend {
            return Progress::ready(Reason::Suspended.as_str(), "Suspended: nothing is planned or done");
        }
        if paused {
            return Progress::ready(
                Reason::Paused.as_str(),
                "A Pause holds in this namespace: nothing is done",
            );
        }
        Progress::ready(Reason::Reconciled.as_str(), "In force")
    }
}

fn holds(window: &WindowView, now: Timestamp) -> bool {
    window.zone.as_ref().is_some_and(|zone| window.schedule.contains(now, zone))
}

/// The begin of the next minute: windows begin and end there.
fn next_minute(now: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second((now.as_second().div_euclid(60) + 1) * 60).ok()
}

fn compliance(wanted: Autonomy, ceiling: Option<Autonomy>) -> Statement {
    let name = ConditionType::GuardrailCompliant.as_str();
    match ceiling {
        None => Statement::new(
            name,
            false,
            Reason::GuardrailMissing.as_str(),
            "Without a ClusterGuardrail plans are shown and not carried out: create one",
        ),
        Some(ceiling) if ceiling < wanted => Statement::new(
            name,
            false,
            Reason::LoweredByGuardrail.as_str(),
            format!("A ClusterGuardrail lowers {wanted} to {ceiling}"),
        ),
        Some(_) => Statement::new(name, true, Reason::Compliant.as_str(), "Within the ClusterGuardrails"),
    }
}
