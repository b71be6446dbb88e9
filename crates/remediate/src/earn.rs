//! Autonomy that is earned: a runbook acts alone on a target only after it has proven itself there under the eyes of people,
//! and one run that did not help takes that away.

use causeway_actions::TargetRef;

use crate::view::OtherRun;
use crate::vocabulary::{Autonomy, Outcome};

/// What has to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarnRule {
    /// What is earned.
    pub to: Autonomy,
    /// Runs that were verified. At least 1.
    pub verified_runs: usize,
    /// Runs among them that may have been of no help, or worse.
    pub max_harmful: usize,
}

/// What was shown: the newest runs of one runbook on one target, as many as the rule looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Runs that were verified.
    pub verified: usize,
    /// Runs that changed something and were not: taken back, without effect, failed, or not to be judged.
    pub harmful: usize,
    /// Whether the newest run was verified.
    pub newest_verified: bool,
}

impl EarnRule {
    /// The autonomy with this evidence. Only Approve can be raised: below it nothing is carried out, so that nothing can be
    /// shown.
    pub fn earned(&self, listed: Autonomy, evidence: Evidence) -> Autonomy {
        let shown = evidence.verified >= self.verified_runs.max(1)
            && evidence.harmful <= self.max_harmful
            && evidence.newest_verified;
        if listed == Autonomy::Approve && shown { listed.max(self.to) } else { listed }
    }
}

/// Looks at the newest runs of `runbook` on the workload or configuration that `targets` begins with. Runs are ordered by
/// their end; the order of `history` does not matter. Targets are compared by name, so that a new object of the same name
/// keeps what was earned.
pub fn evidence(rule: &EarnRule, runbook: &str, targets: &[TargetRef], history: &[OtherRun]) -> Evidence {
    let Some(subject) = targets.first() else { return Evidence::default() };
    let same = |run: &&OtherRun| {
        run.runbook == runbook
            && run.began_at.is_some()
            && run.restores.is_none()
            && run.phase.is_final()
            && run.targets.first().is_some_and(|target| {
                (&target.kind, &target.namespace, &target.name)
                    == (&subject.kind, &subject.namespace, &subject.name)
            })
    };
    let mut runs: Vec<&OtherRun> = history.iter().filter(same).collect();
    runs.sort_by_key(|run| std::cmp::Reverse((run.finished_at, run.began_at, run.name.as_str())));
    let mut evidence = Evidence::default();
    for (index, run) in runs.iter().take(rule.verified_runs.max(1) + rule.max_harmful).enumerate() {
        let verified = run.outcome == Some(Outcome::Verified);
        if verified {
            evidence.verified += 1;
        } else {
            evidence.harmful += 1;
        }
        evidence.newest_verified |= index == 0 && verified;
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, past, target};
    use crate::vocabulary::Phase;
    use causeway_actions::ActionKind;
    use proptest::prelude::*;

    fn run(index: i64, outcome: Outcome) -> OtherRun {
        let phase = if outcome == Outcome::Verified { Phase::Succeeded } else { Phase::RolledBack };
        OtherRun {
            runbook: "scale".into(),
            outcome: Some(outcome),
            phase,
            began_at: Some(at(index * 100)),
            finished_at: Some(at(index * 100 + 50)),
            ..past(&format!("r-{index}"), ActionKind::Scale)
        }
    }

    fn autonomy(rule: &EarnRule, listed: Autonomy, history: &[OtherRun]) -> Autonomy {
        rule.earned(listed, evidence(rule, "scale", &[target("checkout")], history))
    }

    const RULE: EarnRule = EarnRule { to: Autonomy::Auto, verified_runs: 3, max_harmful: 0 };

    #[test]
    fn is_earned_by_success_and_lost_by_one_failure() {
        let mut history: Vec<OtherRun> = (0..2).map(|i| run(i, Outcome::Verified)).collect();
        assert_eq!(autonomy(&RULE, Autonomy::Approve, &history), Autonomy::Approve);
        history.push(run(2, Outcome::Verified));
        assert_eq!(autonomy(&RULE, Autonomy::Approve, &history), Autonomy::Auto);
        history.push(run(3, Outcome::Inconclusive));
        assert_eq!(autonomy(&RULE, Autonomy::Approve, &history), Autonomy::Approve);
        history.extend((4..6).map(|i| run(i, Outcome::Verified)));
        assert_eq!(autonomy(&RULE, Autonomy::Approve, &history), Autonomy::Approve);
        history.push(run(6, Outcome::Verified));
        assert_eq!(autonomy(&RULE, Autonomy::Approve, &history), Autonomy::Auto);
    }

    #[test]
    fn counts_only_this_runbook_on_this_target() {
        let of = |change: fn(&mut OtherRun)| {
            let mut history: Vec<OtherRun> = (0..5).map(|i| run(i, Outcome::Verified)).collect();
            history.iter_mut().for_each(change);
            autonomy(&RULE, Autonomy::Approve, &history)
        };
        assert_eq!(of(|_| ()), Autonomy::Auto);
        assert_eq!(of(|run| run.runbook = "other".into()), Autonomy::Approve);
        assert_eq!(of(|run| run.targets = vec![target("cart")]), Autonomy::Approve);
        assert_eq!(of(|run| run.began_at = None), Autonomy::Approve);
        assert_eq!(of(|run| run.phase = Phase::Verifying), Autonomy::Approve);
    }

    proptest! {
        #[test]
        fn there_is_no_way_to_auto_without_the_evidence(
            outcomes in prop::collection::vec(0usize..8, 0..14),
            verified_runs in 0usize..5,
            max_harmful in 0usize..3,
            listed in 0usize..4,
            rotate in 0usize..14,
        ) {
            use Outcome::{Error, Inconclusive, NotEffective, RolledBack, Stale, Verified};
            let words = [Verified, Verified, RolledBack, NotEffective, Inconclusive, Stale, Error, Verified];
            let listed = [Autonomy::Observe, Autonomy::Suggest, Autonomy::Approve, Autonomy::Auto][listed];
            let outcomes: Vec<Outcome> = outcomes.into_iter().map(|o| words[o]).collect();
            let mut history: Vec<OtherRun> = (0i64..).zip(&outcomes).map(|(i, o)| run(i, *o)).collect();
            let rule = EarnRule { to: Autonomy::Auto, verified_runs, max_harmful };
            let before = autonomy(&rule, listed, &history);
            if !history.is_empty() {
                let by = rotate % history.len();
                history.rotate_left(by);
            }
            prop_assert_eq!(autonomy(&rule, listed, &history), before, "the order of the list decides nothing");
            if before == Autonomy::Auto && listed != Autonomy::Auto {
                prop_assert_eq!(listed, Autonomy::Approve);
                prop_assert_eq!(outcomes.last(), Some(&Verified));
                let newest: Vec<&Outcome> = outcomes.iter().rev().take(verified_runs.max(1) + max_harmful).collect();
                let verified = newest.iter().filter(|o| ***o == Verified).count();
                prop_assert!(verified >= verified_runs.max(1));
                prop_assert!(newest.len() - verified <= max_harmful);
            }
            history.push(run(100, RolledBack));
            prop_assert_eq!(autonomy(&rule, Autonomy::Approve, &history), Autonomy::Approve, "one failure takes it away");
        }
    }
}
