//! Guards: each looks at one thing and says yes or no. A new guard is one file and one line in [`GUARDS`].

pub mod approvals;
pub mod attempts;
pub mod autonomy;
pub mod expiry;
pub mod freeze;

mod actions;
mod applier;
mod availability;
mod capacity;
mod concurrency;
mod confidence;
mod cooldown;
mod flap;
mod namespace;
mod ownership;
mod pause;
mod proof;
mod rate;
mod repetition;
mod stale;
mod symptom;
mod targets;
mod whatif;

pub(crate) use cooldown::rests_until as cooldown_end;

use jiff::Timestamp;

use crate::reason::{Lasting, Reason};
use crate::view::{Observed, PolicyView, RemediationView};

/// What a guard says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing against it.
    Allow,
    /// No, for this reason; whether it may pass is [`Reason::lasting`].
    Deny(Reason, String),
    /// Only after people agreed.
    NeedsApproval,
}

impl Verdict {
    /// `Allow` if `fine`, else the refusal.
    pub(crate) fn allow_if(fine: bool, reason: Reason, message: impl FnOnce() -> String) -> Self {
        if fine { Self::Allow } else { Self::Deny(reason, message()) }
    }
}

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The first mutation.
    Begin,
    /// Another mutation of a plan that has begun.
    Continue,
    /// A mutation that takes back.
    Undo,
}

/// What guards look at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The Remediation.
    pub view: &'a RemediationView,
    /// The world.
    pub observed: &'a Observed,
    /// Now, by the clock.
    pub now: Timestamp,
    /// What is about to happen.
    pub moment: Moment,
}

impl<'a> Context<'a> {
    /// The policy.
    pub fn policy(&self) -> Option<&'a PolicyView> {
        self.observed.policy.as_ref()
    }
}

/// A guard: its moments and its check.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// Name for logs and metrics.
    pub name: &'static str,
    /// When it is asked.
    pub moments: &'static [Moment],
    /// The check.
    pub check: fn(&Context<'_>) -> Verdict,
}

const BEGIN: &[Moment] = &[Moment::Begin];
const FORTH: &[Moment] = &[Moment::Begin, Moment::Continue];
const ALWAYS: &[Moment] = &[Moment::Begin, Moment::Continue, Moment::Undo];

/// Every guard, in the order in which they are asked.
pub const GUARDS: &[Guard] = &[
    Guard { name: "expiry", moments: BEGIN, check: expiry::check },
    Guard { name: "proof", moments: ALWAYS, check: proof::check },
    Guard { name: "namespace", moments: ALWAYS, check: namespace::check },
    Guard { name: "pause", moments: ALWAYS, check: pause::check },
    Guard { name: "actions", moments: FORTH, check: actions::check },
    Guard { name: "freeze", moments: BEGIN, check: freeze::check },
    Guard { name: "symptom", moments: BEGIN, check: symptom::check },
    Guard { name: "capacity", moments: BEGIN, check: capacity::check },
    Guard { name: "stale", moments: BEGIN, check: stale::check },
    Guard { name: "ownership", moments: FORTH, check: ownership::check },
    Guard { name: "applier", moments: ALWAYS, check: applier::check },
    Guard { name: "confidence", moments: BEGIN, check: confidence::check },
    Guard { name: "repetition", moments: BEGIN, check: repetition::check },
    Guard { name: "attempts", moments: BEGIN, check: attempts::check },
    Guard { name: "flap", moments: BEGIN, check: flap::check },
    Guard { name: "targets", moments: BEGIN, check: targets::check },
    Guard { name: "availability", moments: BEGIN, check: availability::check },
    Guard { name: "whatif", moments: BEGIN, check: whatif::check },
    Guard { name: "concurrency", moments: BEGIN, check: concurrency::check },
    Guard { name: "cooldown", moments: BEGIN, check: cooldown::check },
    Guard { name: "rate", moments: BEGIN, check: rate::check },
    Guard { name: "autonomy", moments: FORTH, check: autonomy::check },
];

/// Asks the guards. A refusal that is final comes before one that may pass; else the first in the list counts.
pub fn ask(context: &Context<'_>) -> Verdict {
    let mut answer = Verdict::Allow;
    for guard in GUARDS.iter().filter(|guard| guard.moments.contains(&context.moment)) {
        match (guard.check)(context) {
            Verdict::Allow => {}
            Verdict::Deny(reason, message) if reason.lasting() == Lasting::Final => {
                return Verdict::Deny(reason, message);
            }
            verdict if answer == Verdict::Allow => answer = verdict,
            _ => {}
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{approval, at, elsewhere, guardrail, observed, past, policy, too_late, view};
    use crate::view::{OtherRun, PauseView};
    use crate::vocabulary::{ApprovalDecision, Autonomy, Outcome, Phase, SymptomState, WhatIf};
    use causeway_actions::{ActionKind, Inverse};

    type Change = Box<dyn Fn(&mut RemediationView, &mut Observed)>;

    fn verdict(
        change: impl Fn(&mut RemediationView, &mut Observed),
        moment: Moment,
        now: Timestamp,
    ) -> Verdict {
        let (mut view, mut observed) = (view(), observed());
        change(&mut view, &mut observed);
        ask(&Context { view: &view, observed: &observed, now, moment })
    }

    #[track_caller]
    fn denies(reason: Reason, change: impl Fn(&mut RemediationView, &mut Observed)) {
        match verdict(change, Moment::Begin, at(60)) {
            Verdict::Deny(found, message) => assert_eq!(found, reason, "{message}"),
            other => panic!("{other:?} instead of {reason}"),
        }
    }

    fn running(other: OtherRun) -> OtherRun {
        OtherRun { phase: Phase::Verifying, outcome: None, began_at: Some(at(0)), finished_at: None, ..other }
    }

    fn rail(change: impl Fn(&mut GuardrailView)) -> impl Fn(&mut RemediationView, &mut Observed) {
        move |_, o| change(&mut o.guardrails[0])
    }
    use crate::view::GuardrailView;

    #[test]
    fn with_everything_in_order_people_are_asked() {
        assert_eq!(verdict(|_, _| (), Moment::Begin, at(60)), Verdict::NeedsApproval);
    }

    #[test]
    fn each_guard_refuses_its_case() {
        assert!(matches!(
            verdict(|_, _| (), Moment::Begin, too_late()),
            Verdict::Deny(Reason::PlanExpired, _)
        ));
        denies(Reason::ProofIncomplete, |v, _| v.plan_digest = "sha256:other".into());
        denies(Reason::ProofIncomplete, |v, _| v.mutations.clear());
        denies(Reason::ProofIncomplete, |v, _| v.verify.hold = std::time::Duration::ZERO);
        denies(Reason::ProofIncomplete, |v, _| v.targets.truncate(1));
        denies(Reason::ProofIncomplete, |v, _| {
            v.inverse = Inverse::Mutations(Vec::new());
            crate::fixture::reseal(v);
        });
        denies(Reason::ProofIncomplete, |v, _| v.targets[0].namespace = "elsewhere".into());
        denies(Reason::ProofIncomplete, |_, o| o.rebuilt_digest = None);
        denies(Reason::ProtectedNamespace, rail(|g| g.protected_namespaces.push("shop".into())));
        denies(Reason::NotOptedIn, |_, o| o.opted_in.clear());
        denies(Reason::Paused, |_, o| o.pauses.push(PauseView { name: "p".into(), namespaces: Vec::new() }));
        denies(Reason::PolicySuspended, |_, o| o.policy.as_mut().unwrap().suspended = true);
        denies(Reason::ActionNotAllowed, rail(|g| g.allowed_actions.push(ActionKind::RolloutUndo)));
        denies(Reason::SymptomGone, |_, o| o.symptom.as_mut().unwrap().state = SymptomState::Clear);
        denies(Reason::NoData, |_, o| o.symptom.as_mut().unwrap().state = SymptomState::NoData);
        denies(Reason::IncidentOver, |_, o| o.symptom = None);
        denies(Reason::StalePlan, |_, o| o.rebuilt_digest = Some(Ok("sha256:other".into())));
        denies(Reason::StalePlan, |_, o| o.rebuilt_digest = Some(Err("nothing to do".into())));
        denies(Reason::TargetNotManaged, |_, o| o.live.clear());
        denies(Reason::GitOwned, |_, o| {
            let live = o.live.get_mut("uid-checkout").unwrap();
            live["metadata"]["managedFields"] = serde_json::json!([{"manager": "kustomize-controller",
                "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        });
        denies(Reason::NotReconciled, |_, o| {
            o.policy.as_mut().unwrap().unreconciled = crate::vocabulary::Unreconciled::Refuse;
            let live = o.live.get_mut("uid-pricing").unwrap();
            live["metadata"]["managedFields"] = serde_json::json!([{"manager": "kubectl-client-side-apply",
                "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        });
        denies(Reason::OperatorOwned, |_, o| {
            let live = o.live.get_mut("uid-pricing").unwrap();
            live["metadata"]["ownerReferences"] =
                serde_json::json!([{"kind": "Kafka", "name": "main", "controller": true}]);
        });
        denies(Reason::LowConfidence, |v, _| v.confidence = 0.79);
        denies(Reason::LowMargin, |v, _| v.margin = 0.19);
        denies(Reason::TooManyTargets, |_, o| o.service_workloads = 2);
        denies(Reason::ProofIncomplete, |v, _| v.predicted_effect = None);
        denies(Reason::ProofIncomplete, |v, _| {
            v.predicted_effect.as_mut().unwrap().summary = "nothing can happen".into()
        });
        denies(Reason::PredictedHarm, |v, _| *v = crate::fixture::harmful(v.clone()));
        denies(Reason::PolicyMissing, |_, o| o.policy = None);
        denies(Reason::ObserveOnly, |v, _| v.runbook = "another".into());
    }

    #[test]
    fn a_policy_may_ignore_what_is_foretold_but_not_take_another_plans_word() {
        let ignore = |o: &mut Observed| o.policy.as_mut().unwrap().what_if = WhatIf::Ignore;
        let harmful = |v: &mut RemediationView, o: &mut Observed| {
            *v = crate::fixture::harmful(v.clone());
            ignore(o);
        };
        assert_eq!(verdict(harmful, Moment::Begin, at(60)), Verdict::NeedsApproval);
        let missing = |v: &mut RemediationView, o: &mut Observed| {
            v.predicted_effect = None;
            ignore(o);
        };
        assert_eq!(verdict(missing, Moment::Begin, at(60)), Verdict::NeedsApproval);
        denies(Reason::ProofIncomplete, |v, o| {
            v.predicted_effect = v.predicted_effect.clone().map(|effect| effect.sealed("sha256:other"));
            ignore(o);
        });
    }

    #[test]
    fn history_refuses() {
        denies(Reason::AlreadyTried, |_, o| o.others.push(past("a", ActionKind::Scale)));
        denies(Reason::EarlierInconclusive, |_, o| {
            o.others.push(OtherRun {
                outcome: Some(Outcome::Inconclusive),
                ..past("a", ActionKind::RolloutRestart)
            });
        });
        denies(Reason::AttemptsUsed, |_, o| {
            o.others = ["a", "b"].map(|name| past(name, ActionKind::RolloutRestart)).to_vec();
        });
        denies(Reason::Flapping, |_, o| {
            o.others = ["a", "b", "c"].map(|n| OtherRun { targets: view().targets, ..elsewhere(n) }).to_vec();
        });
        denies(Reason::CoolingDown, |_, o| {
            let targets = view().targets;
            o.others.push(OtherRun { targets, finished_at: Some(at(0)), ..elsewhere("a") });
        });
        denies(Reason::RateLimited, |_, o| {
            let recent = |n: usize| OtherRun {
                began_at: Some(at(-60)),
                finished_at: Some(at(-30)),
                ..elsewhere(&n.to_string())
            };
            o.others = (0..6).map(recent).collect();
        });
        denies(Reason::RateLimited, |_, o| {
            o.guardrails[0].actions_per_hour = Some(1);
            o.others.push(OtherRun { began_at: Some(at(-60)), namespace: "b".into(), ..elsewhere("a") });
        });
    }

    #[test]
    fn one_action_at_a_time_for_cause_target_and_dependency() {
        let cases: [fn(&mut OtherRun); 4] = [
            |other| other.cause_id = "cause-1".into(),
            |other| other.targets = view().targets,
            |other| other.shared_dependencies = vec!["db".into()],
            |other| other.namespace = "shop".into(),
        ];
        for change in cases {
            denies(Reason::Busy, |_, o| {
                let mut other = OtherRun { namespace: "far".into(), ..running(elsewhere("a")) };
                change(&mut other);
                o.others.push(other);
            });
        }
        denies(Reason::Busy, |_, o| {
            o.others =
                ["x", "y", "z"].map(|n| OtherRun { namespace: n.into(), ..running(elsewhere(n)) }).to_vec();
        });
        let one_elsewhere = |_: &mut RemediationView, o: &mut Observed| {
            o.others.push(OtherRun { namespace: "far".into(), ..running(elsewhere("a")) });
        };
        assert_eq!(verdict(one_elsewhere, Moment::Begin, at(60)), Verdict::NeedsApproval);
    }

    #[test]
    fn scaling_down_keeps_enough() {
        denies(Reason::TooFewAvailable, |v, o| {
            if let causeway_actions::Mutation::Scale(scale) = &mut v.mutations[0] {
                (scale.from, scale.to) = (10, 6);
            }
            crate::fixture::reseal(v);
            o.rebuilt_digest = Some(Ok(v.plan_digest.clone()));
        });
    }

    #[test]
    fn the_end_of_a_lease_takes_no_capacity_that_is_needed() {
        let lease_over = |v: &mut RemediationView, o: &mut Observed| {
            v.restores = Some("checkout-7f3a-1".into());
            if let causeway_actions::Mutation::Scale(scale) = &mut v.mutations[0] {
                (scale.from, scale.to) = (4, 3);
            }
            crate::fixture::reseal(v);
            o.rebuilt_digest = Some(Ok(v.plan_digest.clone()));
            o.symptom.as_mut().unwrap().state = SymptomState::Clear;
        };
        // What was done for the incident before does not speak against taking it back.
        let history = |_: &mut RemediationView, o: &mut Observed| {
            o.others = ["a", "b"].map(|name| past(name, ActionKind::Scale)).to_vec();
        };
        let all = |change: Change| {
            verdict(
                move |v, o| {
                    lease_over(v, o);
                    history(v, o);
                    change(v, o);
                },
                Moment::Begin,
                at(60),
            )
        };
        assert_eq!(all(Box::new(|_, _| ())), Verdict::NeedsApproval);
        let refused: Vec<(Reason, Change)> = vec![
            (Reason::CapacityNeeded, Box::new(|_, o| o.peak = Some("black-friday".to_owned()))),
            (Reason::CapacityNeeded, Box::new(|_, o| o.hurting = Some("cart".into()))),
            (
                Reason::CapacityNeeded,
                Box::new(|_, o| o.symptom.as_mut().unwrap().state = SymptomState::Firing),
            ),
            (Reason::NoData, Box::new(|_, o| o.symptom.as_mut().unwrap().state = SymptomState::NoData)),
            (Reason::IncidentOver, Box::new(|_, o| o.symptom = None)),
            (
                Reason::AlreadyTried,
                Box::new(|v, o| {
                    o.others.push(OtherRun { restores: v.restores.clone(), ..past("c", ActionKind::Scale) });
                }),
            ),
        ];
        for (reason, change) in refused {
            let found = all(change);
            assert!(matches!(&found, Verdict::Deny(got, _) if *got == reason), "{reason:?}: {found:?}");
        }
    }

    #[test]
    fn the_least_of_all_ceilings_counts() {
        let auto = |o: &mut Observed| o.policy.as_mut().unwrap().runbooks[0].1 = Autonomy::Auto;
        let cases: Vec<(Autonomy, Change)> = vec![
            (Autonomy::Auto, Box::new(|_, _| ())),
            (Autonomy::Suggest, Box::new(|_, o| o.guardrails.clear())),
            (Autonomy::Approve, Box::new(|_, o| o.guardrails[0].max_autonomy = Autonomy::Approve)),
            (
                Autonomy::Suggest,
                Box::new(|_, o| {
                    o.guardrails.push(GuardrailView { max_autonomy: Autonomy::Suggest, ..guardrail() })
                }),
            ),
            (Autonomy::Suggest, Box::new(|_, o| o.admission_since = None)),
            (Autonomy::Observe, Box::new(|_, o| o.peak_ceiling = Some(Autonomy::Observe))),
            (Autonomy::Approve, Box::new(|v, _| v.inverse = Inverse::None)),
            (Autonomy::Auto, Box::new(|v, _| v.inverse = Inverse::NotNeeded)),
            (Autonomy::Observe, Box::new(|_, o| o.policy = None)),
        ];
        for (want, change) in cases {
            let (mut view, mut observed) = (view(), observed());
            auto(&mut observed);
            change(&mut view, &mut observed);
            assert_eq!(autonomy::effective_autonomy(&view, &observed, at(60)).0, want);
        }
    }

    #[test]
    fn approvals_count_only_when_everything_about_them_fits() {
        type Case = fn(&mut crate::view::ApprovalView);
        let refused: [Case; 8] = [
            |a| a.plan_digest = "sha256:other".into(),
            |a| a.dry_run_digest = Some("dry-2".into()),
            |a| a.dry_run_digest = None,
            |a| a.remediation = "another".into(),
            |a| a.created_at = at(-20_000),
            |a| a.created_at = at(60 - 901),
            |a| a.expires_at = Some(at(60)),
            |a| a.approver = String::new(),
        ];
        let count = |approvals: Vec<crate::view::ApprovalView>, others: Vec<OtherRun>| {
            let view = view();
            let observed = Observed { approvals, others, policy: Some(policy()), ..observed() };
            let context = Context { view: &view, observed: &observed, now: at(60), moment: Moment::Begin };
            approvals::counting(&context).len()
        };
        assert_eq!(count(vec![approval("anna")], Vec::new()), 1);
        for change in refused {
            let mut one = approval("anna");
            change(&mut one);
            assert_eq!(count(vec![one.clone()], Vec::new()), 0, "{one:?}");
        }
        let twice = crate::view::ApprovalView { name: "again".into(), ..approval("anna") };
        assert_eq!(count(vec![approval("anna"), twice, approval("ben")], Vec::new()), 2);
        let used = OtherRun { approvals_used: vec!["by-anna".into()], ..elsewhere("a") };
        assert_eq!(count(vec![approval("anna")], vec![used]), 0);
        denies(Reason::Rejected, |_, o| {
            o.approvals
                .push(crate::view::ApprovalView { decision: ApprovalDecision::Reject, ..approval("cleo") });
        });
    }

    #[test]
    fn taking_back_asks_only_what_concerns_it() {
        let all_used = |_: &mut RemediationView, o: &mut Observed| {
            o.others = ["a", "b", "c"].map(|name| past(name, ActionKind::Scale)).to_vec();
            o.guardrails.clear();
            o.rebuilt_digest = None;
        };
        assert_eq!(verdict(all_used, Moment::Undo, too_late()), Verdict::Allow);
        let paused = |_: &mut RemediationView, o: &mut Observed| {
            o.pauses.push(PauseView { name: "p".into(), namespaces: vec!["shop".into()] });
        };
        assert!(matches!(verdict(paused, Moment::Undo, at(0)), Verdict::Deny(Reason::Paused, _)));
    }

    /// The plan, while what applies its target from another namespace is suspended.
    fn suspending(view: &mut RemediationView, observed: &mut Observed) {
        let applier = serde_json::json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system", "uid": "uid-apps"}, "spec": {},
            "status": {"inventory": {"entries": [{"id": "shop_checkout_apps_Deployment", "v": "v1"}]}}});
        let (suspend, resume, _) = crate::applier::switches(&applier).unwrap();
        view.targets.push(suspend.target().clone());
        view.mutations.insert(0, suspend.clone());
        view.mutations.push(resume.clone());
        if let Inverse::Mutations(back) = &mut view.inverse {
            back.insert(0, suspend);
            back.push(resume);
        }
        seal(view, observed);
        observed.live.insert("uid-apps".into(), applier);
        observed.opted_in.insert("flux-system".into());
    }

    fn seal(view: &mut RemediationView, observed: &mut Observed) {
        crate::fixture::reseal(view);
        observed.rebuilt_digest = Some(Ok(view.plan_digest.clone()));
        observed.approvals[0].plan_digest.clone_from(&view.plan_digest);
    }

    #[test]
    fn what_applies_from_another_namespace_is_suspended_and_resumed_and_nothing_else() {
        use causeway_actions::{Mutation, PodMutation, ScaleMutation};
        let with = |change: &dyn Fn(&mut RemediationView, &mut Observed), moment| {
            let changed = |v: &mut RemediationView, o: &mut Observed| {
                suspending(v, o);
                change(v, o);
            };
            verdict(changed, moment, at(60))
        };
        assert_eq!(with(&|_, _| (), Moment::Begin), Verdict::NeedsApproval);
        assert_eq!(with(&|_, _| (), Moment::Undo), Verdict::Allow);
        let refused = |want: Reason, change: &dyn Fn(&mut RemediationView, &mut Observed)| {
            for moment in [Moment::Begin, Moment::Continue, Moment::Undo] {
                match with(change, moment) {
                    Verdict::Deny(reason, message) => assert_eq!(reason, want, "{moment:?}: {message}"),
                    other => panic!("{moment:?}: {other:?} instead of {want}"),
                }
            }
        };
        let elsewhere = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        refused(Reason::NotOptedIn, &|_, o| o.opted_in.retain(|namespace| namespace == "shop"));
        refused(Reason::ProtectedNamespace, &|_, o| {
            o.guardrails[0].protected_namespaces = elsewhere(&["flux-system"]);
        });
        refused(Reason::Paused, &|_, o| {
            o.pauses.push(PauseView { name: "p".into(), namespaces: elsewhere(&["flux-system"]) });
        });
        refused(Reason::GitOwned, &|_, o| {
            o.live.get_mut("uid-apps").unwrap()["status"] = serde_json::json!({"inventory": {"entries": []}});
        });
        refused(Reason::GitOwned, &|_, o| {
            // Elsewhere it is said of another cluster.
            o.live.get_mut("uid-apps").unwrap()["spec"] =
                serde_json::json!({"kubeConfig": {"secretRef": {"name": "paris"}}});
        });
        let not_resumed = |v: &mut RemediationView, o: &mut Observed| {
            v.mutations.pop();
            seal(v, o);
        };
        refused(Reason::ProofIncomplete, &not_resumed);
        refused(Reason::ProofIncomplete, &|v, o| {
            if let Inverse::Mutations(back) = &mut v.inverse {
                back.pop();
            }
            seal(v, o);
        });
        refused(Reason::ProofIncomplete, &|v, o| {
            v.mutations.swap(0, 3);
            seal(v, o);
        });
        let apps = |v: &RemediationView| v.targets[2].clone();
        for change in [
            |target| Mutation::Scale(ScaleMutation { target, from: 1, to: 2 }),
            |target| Mutation::Delete(PodMutation { target }),
            |target| {
                let patch = r#"[{"op": "add", "path": "/spec/path", "value": "/"}]"#.to_owned();
                Mutation::JsonPatch(causeway_actions::JsonPatch { target, patch })
            },
        ] {
            refused(Reason::ProofIncomplete, &|v, o| {
                v.mutations.insert(1, change(apps(v)));
                seal(v, o);
            });
        }
        // A mutation that names the uid of a target and means another object.
        refused(Reason::ProofIncomplete, &|v, o| {
            let target = causeway_actions::TargetRef { name: "infra".into(), ..apps(v) };
            v.mutations.insert(1, Mutation::Delete(PodMutation { target }));
            seal(v, o);
        });
        refused(Reason::ProofIncomplete, &|v, o| {
            v.targets.rotate_right(1);
            seal(v, o);
        });
        // It is that of many: one of them does not have to rest because another was repaired.
        let repaired = |v: &mut RemediationView, o: &mut Observed| {
            let target = apps(v);
            o.others = ["a", "b", "c"]
                .map(|n| OtherRun {
                    targets: vec![target.clone()],
                    finished_at: Some(at(0)),
                    ..elsewhere_run(n)
                })
                .to_vec();
        };
        assert_eq!(with(&repaired, Moment::Begin), Verdict::NeedsApproval);
        let busy = |v: &mut RemediationView, o: &mut Observed| {
            o.others = vec![running(OtherRun { targets: vec![apps(v)], ..elsewhere_run("a") })];
        };
        assert!(matches!(with(&busy, Moment::Begin), Verdict::Deny(Reason::Busy, _)), "one at a time");
    }

    fn elsewhere_run(name: &str) -> OtherRun {
        OtherRun { began_at: Some(at(-600)), ..elsewhere(name) }
    }
}
