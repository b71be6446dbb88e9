//! Which runbook to plan for an incident.

use causeway_actions::ActionKind;

use crate::reason::Reason;
use crate::view::{OtherRun, PolicyView};
use crate::vocabulary::{Autonomy, Outcome};

/// A plan that was stale before it began may be made again this often; then the target never holds still.
const STALE_PLANS: usize = 3;

/// The diagnosis of an incident as far as a choice needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseView {
    /// The Incident as namespace/name.
    pub incident: String,
    /// Identity of the cause.
    pub id: String,
    /// Class of the cause, such as `BadRelease`.
    pub kind: String,
    /// Confidence, 0 to 1.
    pub confidence: f64,
    /// Distance to the next candidate, 0 to 1.
    pub margin: f64,
    /// Whether no cause stands out.
    pub abstained: bool,
    /// Digest of the evidence.
    pub evidence_digest: String,
    /// API group of the target, empty for the core group.
    pub target_group: String,
    /// Kind of the target.
    pub target_kind: String,
    /// Namespace of the target.
    pub target_namespace: String,
    /// Name of the target.
    pub target_name: String,
}

/// A runbook as far as a choice needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunbookView {
    /// Name of the Runbook.
    pub name: String,
    /// Classes of causes that it repairs.
    pub causes: Vec<String>,
    /// Group and kind of what it acts on.
    pub targets: Vec<(String, String)>,
    /// Its actions.
    pub actions: Vec<ActionKind>,
    /// Turned off.
    pub suspended: bool,
}

/// A runbook under a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Name of the Runbook.
    pub runbook: String,
    /// Name of the RemediationPolicy.
    pub policy: String,
    /// Autonomy that the policy gives it, before guardrails.
    pub autonomy: Autonomy,
}

/// Why a runbook, or a whole policy, was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Name of the RemediationPolicy; empty when none was looked at.
    pub policy: String,
    /// Name of the Runbook; empty when the whole policy was passed over.
    pub runbook: String,
    /// Why: a [`Reason`], or one of `NoPolicy`, `NoSuchRunbook`, `RunbookSuspended`, `OtherCause`, `OtherTarget`,
    /// `NoClearCause`.
    pub reason: &'static str,
}

/// Chooses the first runbook that fits: policies by name, runbooks in the policy's order.
///
/// `policies` are those whose selector takes the service; `history` are all Remediations of the cluster. The choice never
/// depends on the order of `policies`, `runbooks` or `history`.
///
/// # Errors
/// Why nothing fits, one entry for each runbook that was looked at.
pub fn choose_runbook(
    cause: &CauseView,
    runbooks: &[RunbookView],
    policies: &[PolicyView],
    history: &[OtherRun],
) -> Result<Choice, Vec<Rejection>> {
    let rejection = |policy: &str, runbook: &str, reason| Rejection {
        policy: policy.to_owned(),
        runbook: runbook.to_owned(),
        reason,
    };
    if cause.abstained {
        return Err(vec![rejection("", "", "NoClearCause")]);
    }
    let mut by_name: Vec<&PolicyView> = policies.iter().collect();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rejections = Vec::new();
    for policy in by_name {
        if let Some(reason) = policy_against(cause, policy) {
            rejections.push(rejection(&policy.name, "", reason));
            continue;
        }
        for (name, autonomy) in &policy.runbooks {
            let found = runbooks.iter().find(|runbook| runbook.name == *name);
            match runbook_against(cause, found, *autonomy, history) {
                Some(reason) => rejections.push(rejection(&policy.name, name, reason)),
                None => {
                    return Ok(Choice {
                        runbook: name.clone(),
                        policy: policy.name.clone(),
                        autonomy: *autonomy,
                    });
                }
            }
        }
    }
    if rejections.is_empty() {
        rejections.push(rejection("", "", "NoPolicy"));
    }
    Err(rejections)
}

/// What speaks against a whole policy.
fn policy_against(cause: &CauseView, policy: &PolicyView) -> Option<&'static str> {
    if policy.suspended {
        return Some(Reason::PolicySuspended.as_str());
    }
    if cause.confidence < policy.min_confidence - 1e-9 {
        return Some(Reason::LowConfidence.as_str());
    }
    if cause.margin < policy.min_margin - 1e-9 {
        return Some(Reason::LowMargin.as_str());
    }
    None
}

/// What speaks against a runbook.
fn runbook_against(
    cause: &CauseView,
    runbook: Option<&RunbookView>,
    autonomy: Autonomy,
    history: &[OtherRun],
) -> Option<&'static str> {
    let Some(runbook) = runbook else { return Some("NoSuchRunbook") };
    if runbook.suspended {
        return Some("RunbookSuspended");
    }
    if autonomy == Autonomy::Observe {
        return Some(Reason::ObserveOnly.as_str());
    }
    if !runbook.causes.contains(&cause.kind) {
        return Some("OtherCause");
    }
    let fits = |(group, kind): &(String, String)| *group == cause.target_group && *kind == cause.target_kind;
    if !runbook.targets.iter().any(fits) {
        return Some("OtherTarget");
    }
    let same: Vec<&OtherRun> = history.iter().filter(|run| alike(cause, runbook, run)).collect();
    let stale = same.iter().filter(|run| run.outcome == Some(Outcome::Stale)).count();
    let tried = same
        .iter()
        .any(|run| run.began_at.is_some() || (run.phase.is_final() && run.outcome != Some(Outcome::Stale)));
    (tried || stale >= STALE_PLANS).then_some(Reason::AlreadyTried.as_str())
}

/// Whether `run` is what the runbook would be now: same target, cause and evidence, and an action in common.
fn alike(cause: &CauseView, runbook: &RunbookView, run: &OtherRun) -> bool {
    let same_target = run.targets.iter().any(|target| {
        target.kind == cause.target_kind
            && target.namespace == cause.target_namespace
            && target.name == cause.target_name
    });
    same_target
        && run.cause_id == cause.id
        && run.evidence_digest == cause.evidence_digest
        && run.actions.iter().any(|action| runbook.actions.contains(action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::vocabulary::Phase;

    fn cause(kind: &str) -> CauseView {
        CauseView {
            incident: "shop/checkout-7f3a".into(),
            id: "cause-1".into(),
            kind: kind.into(),
            confidence: 0.9,
            margin: 0.4,
            abstained: false,
            evidence_digest: "evidence-1".into(),
            target_group: "apps".into(),
            target_kind: "Deployment".into(),
            target_namespace: "shop".into(),
            target_name: "checkout".into(),
        }
    }

    fn runbook(name: &str, cause: &str, action: ActionKind) -> RunbookView {
        RunbookView {
            name: name.into(),
            causes: vec![cause.into()],
            targets: vec![("apps".into(), "Deployment".into())],
            actions: vec![action],
            suspended: false,
        }
    }

    fn policy(name: &str, runbooks: &[&str]) -> PolicyView {
        let runbooks = runbooks.iter().map(|r| ((*r).to_owned(), Autonomy::Approve)).collect();
        PolicyView { name: name.into(), runbooks, ..fixture::policy() }
    }

    fn shelf() -> Vec<RunbookView> {
        vec![
            runbook("undo", "BadRelease", ActionKind::RolloutUndo),
            runbook("restart", "FaultyInstance", ActionKind::RolloutRestart),
            runbook("restart-too", "FaultyInstance", ActionKind::Scale),
        ]
    }

    #[test]
    fn the_order_of_the_policy_decides_and_that_of_the_lists_does_not() {
        let chosen = |policies: &[PolicyView]| {
            choose_runbook(&cause("FaultyInstance"), &shelf(), policies, &[]).unwrap()
        };
        let (a, b) = (policy("a", &["undo", "restart-too", "restart"]), policy("b", &["restart"]));
        assert_eq!(chosen(&[a.clone(), b.clone()]).runbook, "restart-too");
        assert_eq!(chosen(&[b, a]).policy, "a");
    }

    #[test]
    fn says_why_nothing_fits() {
        let reasons = |cause: &CauseView, policies: &[PolicyView]| -> Vec<&'static str> {
            choose_runbook(cause, &shelf(), policies, &[]).unwrap_err().iter().map(|r| r.reason).collect()
        };
        let all = policy("a", &["undo", "missing"]);
        assert_eq!(
            reasons(&cause("MemoryLeak"), std::slice::from_ref(&all)),
            ["OtherCause", "NoSuchRunbook"]
        );
        assert_eq!(
            reasons(&CauseView { abstained: true, ..cause("BadRelease") }, std::slice::from_ref(&all)),
            ["NoClearCause"]
        );
        assert_eq!(
            reasons(&CauseView { confidence: 0.5, ..cause("BadRelease") }, std::slice::from_ref(&all)),
            ["LowConfidence"]
        );
        assert_eq!(
            reasons(&CauseView { margin: 0.1, ..cause("BadRelease") }, std::slice::from_ref(&all)),
            ["LowMargin"]
        );
        let pod = CauseView { target_kind: "Pod".into(), target_group: String::new(), ..cause("BadRelease") };
        assert_eq!(reasons(&pod, &[policy("a", &["undo"])]), ["OtherTarget"]);
        assert_eq!(reasons(&cause("BadRelease"), &[]), ["NoPolicy"]);
        let suspended = PolicyView { suspended: true, ..all };
        assert_eq!(reasons(&cause("BadRelease"), &[suspended]), ["PolicySuspended"]);
    }

    #[test]
    fn what_was_tried_is_passed_over_until_there_is_new_evidence() {
        let past = fixture::past("checkout-7f3a-1", ActionKind::RolloutRestart);
        let policies = [policy("a", &["restart", "restart-too"])];
        let first = |cause: &CauseView| {
            choose_runbook(cause, &shelf(), &policies, std::slice::from_ref(&past)).unwrap().runbook
        };
        assert_eq!(first(&cause("FaultyInstance")), "restart-too");
        let stale =
            OtherRun { began_at: None, phase: Phase::Refused, outcome: Some(Outcome::Stale), ..past.clone() };
        let after = |times| {
            let history = vec![stale.clone(); times];
            choose_runbook(&cause("FaultyInstance"), &shelf(), &policies, &history).unwrap().runbook
        };
        assert_eq!((after(2).as_str(), after(3).as_str()), ("restart", "restart-too"));
        assert_eq!(
            first(&CauseView { evidence_digest: "evidence-2".into(), ..cause("FaultyInstance") }),
            "restart"
        );
    }
}
