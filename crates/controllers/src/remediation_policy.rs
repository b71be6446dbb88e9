//! RemediationPolicy: what is left of its autonomy, and how much of its budget is used.

use std::time::Duration;

use causeway_crds::remediation_policy::RemediationPolicyStatus;
use causeway_crds::{Autonomy, ConditionType, Reason, RemediationPolicy};
use causeway_kubekit::{ObjectKey, Progress, Report, Requeue, Statement};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::observing::Observer;

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
        let effective = object.spec.autonomy.min(ceiling.unwrap_or(Autonomy::Suggest));
        let status = RemediationPolicyStatus {
            effective_autonomy: Some(effective),
            used_last_hour: i32::try_from(begun.len()).unwrap_or(i32::MAX),
            paused,
            ..RemediationPolicyStatus::default()
        };
        let limit = object.spec.limits.clone().unwrap_or_default().actions_per_hour;
        let available = status.used_last_hour < limit;
        let requeue = begun.iter().min().and_then(|first| first.checked_add(HOUR).ok());
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
