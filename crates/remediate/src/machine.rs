//! The state machine of a repair.

use causeway_actions::{Inverse, LiveState, Mutation, has_arrived};
use jiff::Timestamp;
use json_patch::PatchOperation;
use serde_json::Value;

use crate::applier;
use crate::decision::Decision;
use crate::guard::{self, Context, Moment, Verdict, approvals, cooldown_end};
use crate::reason::{Lasting, Reason};
use crate::view::{Claim, ClaimOrigin, Direction, Observed, RemediationView, StepState, later};
use crate::vocabulary::{Outcome, Phase};
use crate::{undo, verify};

/// What to do next with a Remediation. Pure: equal inputs give equal answers, and nothing is remembered in between.
///
/// `now` is the clock (not the time of the data). A mutation is only ever asked for by [`Decision::Mutate`], which needs a
/// claim in the status and, right then, the consent of every guard.
pub fn step(view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    match decide(view, observed, now) {
        Decision::Finish { phase, outcome, reason, message } => {
            let left = applier::left_suspended(view, observed);
            if left.is_empty() {
                return Decision::Finish { phase, outcome, reason, message };
            }
            let left = left.join(", ");
            let message = format!(
                "{message}; still suspended by this repair: {left}: resume it once Git has what shall run"
            );
            Decision::Finish { phase, outcome, reason, message }
        }
        other => other,
    }
}

fn decide(view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    let progress = &view.progress;
    if progress.phase.is_final() {
        return Decision::wait(None, Reason::Progressing, "it is over");
    }
    if let Some(claim) = progress.open_claim() {
        return resolve(claim, view, observed, now);
    }
    if progress.is_undoing() {
        return undo::next(view, observed, now);
    }
    if progress.any(Direction::Apply, StepState::Unknown) {
        let message = "it is not known whether a step was made: somebody has to look";
        return Decision::finish(Phase::Failed, Outcome::Error, Reason::OutcomeUnknown, message);
    }
    if progress.any(Direction::Apply, StepState::Failed) {
        return after_failure(view, observed, now);
    }
    let next = (0..view.mutations.len()).find(|step| progress.result(*step, Direction::Apply).is_none());
    match (next, &progress.verification) {
        (Some(step), _) => next_step(step, view, observed, now),
        (None, None) => {
            let data_from = observed.symptom.and_then(|symptom| symptom.watermark).unwrap_or(now);
            let deadline = later(data_from, view.verify.within);
            Decision::Verify { started_at: now, data_from, deadline }
        }
        (None, Some(watch)) => verify::judge(view, observed, watch, now),
    }
}

/// The next step forth, or what keeps it from being made.
fn next_step(step: usize, view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    let moment = moment_of(view);
    let record = |state, reason, message: String| Decision::RecordResult {
        step,
        direction: Direction::Apply,
        state,
        reason,
        message,
    };
    if let (Moment::Continue, Some(mutation)) = (moment, view.mutations.get(step)) {
        let live = observed.live_of(mutation);
        if let Some(why) = applier::nothing_to_resume(mutation, live) {
            return record(StepState::Done, Reason::ResolvedByLooking, why.to_owned());
        }
        if applier::is_stale(mutation, live) {
            let message = format!("{} is not as it was when it was planned to suspend it", mutation.target());
            return record(StepState::Failed, Reason::StalePlan, message);
        }
    }
    match gate(view, observed, now, moment) {
        Ok(approvals) => Decision::Claim { step, direction: Direction::Apply, approvals },
        // What was done before has to be taken back, so that this is the failure of a step and not the end.
        Err(Decision::Finish { reason, message, .. })
            if moment == Moment::Continue && matches!(view.inverse, Inverse::Mutations(_)) =>
        {
            record(StepState::Failed, reason, message)
        }
        Err(decision) => decision,
    }
}

/// Whether something was changed already.
fn moment_of(view: &RemediationView) -> Moment {
    if view.progress.any(Direction::Apply, StepState::Done) { Moment::Continue } else { Moment::Begin }
}

/// The only way to a claim and to a mutation: asks the guards and counts the Approvals.
///
/// `Ok` holds the names of the Approvals that are used; none under Auto and when taking back.
pub(crate) fn gate(
    view: &RemediationView,
    observed: &Observed,
    now: Timestamp,
    moment: Moment,
) -> Result<Vec<String>, Decision> {
    let context = Context { view, observed, now, moment };
    let verdict = guard::ask(&context);
    if let Verdict::Deny(reason, message) = &verdict
        && reason.lasting() == Lasting::Final
    {
        return Err(refuse(*reason, message.clone(), moment));
    }
    if moment != Moment::Undo && view.progress.dry_run_digest.is_none() {
        return Err(Decision::DryRun);
    }
    match verdict {
        Verdict::Allow => Ok(Vec::new()),
        Verdict::Deny(reason, message) => {
            let begin_by = (moment == Moment::Begin).then_some(view.expires_at);
            let rested = (reason == Reason::CoolingDown).then(|| cooldown_end(&context)).flatten();
            Err(Decision::wait([begin_by, rested].into_iter().flatten().min(), reason, message))
        }
        Verdict::NeedsApproval => {
            let needed = context.policy().map_or(1, |policy| policy.approvals_needed.max(1));
            let counting = approvals::counting(&context);
            if counting.len() < needed {
                let have = counting.len();
                return Err(Decision::RequestApproval { needed, have, until: view.expires_at });
            }
            Ok(counting.values().take(needed).map(|approval| approval.name.clone()).collect())
        }
    }
}

/// The end that a final refusal leads to.
fn refuse(reason: Reason, message: String, moment: Moment) -> Decision {
    let (phase, outcome) = match (moment, reason) {
        (Moment::Begin, Reason::PlanExpired) => (Phase::Expired, Outcome::Expired),
        (Moment::Begin, Reason::StalePlan | Reason::TargetNotManaged) => (Phase::Refused, Outcome::Stale),
        (Moment::Begin, _) => (Phase::Refused, Outcome::Refused),
        (Moment::Continue | Moment::Undo, _) => (Phase::Failed, Outcome::NotEffective),
    };
    Decision::finish(phase, outcome, reason, message)
}

/// A claim without a result: made just now, or left by a crash.
fn resolve(claim: &Claim, view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    let (step, direction) = (claim.step, claim.direction);
    let Some(mutation) = view.mutation(step, direction) else {
        let message = "the claim names a step that the plan does not have";
        return Decision::finish(Phase::Failed, Outcome::Error, Reason::ProofIncomplete, message);
    };
    // Whether a commit was made before a crash, the target tells once it has arrived there: then the plan is not stale, but
    // under way. Making it again finds it.
    let in_git = match mutation {
        Mutation::GitChange(change) if observed.claim_origin == ClaimOrigin::Found => Some(change),
        _ => None,
    };
    let moment = match direction {
        Direction::Undo => Moment::Undo,
        Direction::Apply if in_git.is_some_and(|change| has_arrived(change, observed.live_of(mutation))) => {
            Moment::Continue
        }
        Direction::Apply => moment_of(view),
    };
    let changed = view.progress.any(Direction::Apply, StepState::Done);
    let proceed = |decision: Decision| match gate(view, observed, now, moment) {
        Ok(_) => decision,
        // A commit that may be there, and may not be gone on with: somebody has to look.
        Err(Decision::Finish { reason, message, .. })
            if in_git.is_some() && direction == Direction::Apply && !changed =>
        {
            // What was pushed meanwhile, or the time that has passed, takes nothing away from a commit that is there.
            if matches!(reason, Reason::StalePlan | Reason::PlanExpired) {
                return Decision::Find { step, direction, message };
            }
            Decision::RecordResult { step, direction, state: StepState::Unknown, reason, message }
        }
        // What was done before has to be taken back, so that this is the failure of a step and not the end.
        Err(Decision::Finish { reason, message, .. }) if moment != Moment::Begin => {
            // On the way back, the other steps are taken back all the same.
            let is_known = in_git.is_none() || direction == Direction::Apply;
            let state = if is_known { StepState::Failed } else { StepState::Unknown };
            Decision::RecordResult { step, direction, state, reason, message }
        }
        Err(other) => other,
    };
    if observed.claim_origin == ClaimOrigin::Fresh {
        return proceed(Decision::Mutate { step, direction });
    }
    let record = |state, reason, message: &str| Decision::RecordResult {
        step,
        direction,
        state,
        reason,
        message: message.into(),
    };
    let live = observed.live_of(mutation);
    if let Some(why) = applier::nothing_to_resume(mutation, live) {
        return record(StepState::Done, Reason::ResolvedByLooking, why);
    }
    if applier::is_others(mutation, live) && direction == Direction::Apply {
        return record(StepState::Failed, Reason::NotOurs, "somebody else has suspended it: it is left so");
    }
    if applier::is_applier(mutation.target()) && live.is_none() {
        let message = "what applies the target does not exist, or may not be read any more";
        return record(StepState::Unknown, Reason::OutcomeUnknown, message);
    }
    match applier::state(mutation, live) {
        LiveState::New => {
            record(StepState::Done, Reason::ResolvedByLooking, "the target shows the new value")
        }
        LiveState::Foreign => record(StepState::Failed, Reason::NotOurs, "the target shows another value"),
        LiveState::Unknown => {
            let lost =
                record(StepState::Unknown, Reason::OutcomeUnknown, "looking can't tell whether it was made");
            if !mutation.is_repeatable() {
                return lost;
            }
            // The step looks again, and makes only what was not made; what may not go on may have been made.
            match gate(view, observed, now, moment) {
                Ok(_) => Decision::Mutate { step, direction },
                Err(Decision::Finish { .. }) => lost,
                Err(other) => other,
            }
        }
        LiveState::Old if mutation.is_repeatable() => proceed(Decision::Mutate { step, direction }),
        LiveState::Old => match touched(claim, mutation, live) {
            Touched::Yes if applier::resumes_ours(mutation, live) => {
                proceed(Decision::Claim { step, direction, approvals: view.progress.approvals_used.clone() })
            }
            Touched::No => proceed(Decision::Mutate { step, direction }),
            Touched::StatusOnly => {
                proceed(Decision::Claim { step, direction, approvals: view.progress.approvals_used.clone() })
            }
            Touched::Yes => record(
                StepState::Failed,
                Reason::NotOurs,
                "the target shows the old value but was changed since",
            ),
        },
    }
}

/// What happened to a target since a claim.
enum Touched {
    No,
    StatusOnly,
    Yes,
}

fn touched(claim: &Claim, mutation: &Mutation, live: Option<&Value>) -> Touched {
    let metadata = live.and_then(|object| object.get("metadata"));
    let version = metadata.and_then(|m| m.get("resourceVersion")).and_then(Value::as_str);
    if version == Some(claim.resource_version.as_str()) {
        return Touched::No;
    }
    let generation = metadata.and_then(|m| m.get("generation")).and_then(Value::as_i64);
    let is_same = generation.is_some() && generation == claim.generation;
    if is_same && is_counted(mutation) { Touched::StatusOnly } else { Touched::Yes }
}

/// Whether a change of what a mutation writes counts up the generation: one of metadata does not.
fn is_counted(mutation: &Mutation) -> bool {
    let Mutation::JsonPatch(patch) = mutation else { return true };
    let is_metadata = |operation: &PatchOperation| operation.path().as_str().starts_with("/metadata/");
    patch.operations().is_ok_and(|operations| !operations.0.iter().any(is_metadata))
}

/// A step could not be made: take back what was made before it.
fn after_failure(view: &RemediationView, observed: &Observed, now: Timestamp) -> Decision {
    let made = view.progress.any(Direction::Apply, StepState::Done);
    match (&view.inverse, made) {
        (_, false) => {
            let message = "a step could not be made, nothing was changed";
            Decision::finish(Phase::Failed, Outcome::Error, Reason::StepFailed, message)
        }
        (Inverse::Mutations(_), true) => undo::next(view, observed, now),
        (Inverse::NotNeeded | Inverse::None, true) => {
            let message = "a step could not be made, those before it stay";
            Decision::finish(Phase::Failed, Outcome::Error, Reason::StepFailed, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_actions::Mutation;
    use serde_json::json;

    use crate::fixture::world::{Crash, World};
    use crate::fixture::{self, at, live, observed, scale, too_late, view};
    use crate::view::{PauseView, StepResult, SymptomView};
    use crate::vocabulary::{Autonomy, SymptomState};

    fn world() -> World {
        World::new(view(), observed())
    }

    fn ends(decision: &Decision) -> (Phase, Outcome, Reason) {
        match decision {
            Decision::Finish { phase, outcome, reason, .. } => (*phase, *outcome, *reason),
            other => panic!("{other:?}"),
        }
    }

    fn waits(decision: &Decision) -> Reason {
        match decision {
            Decision::Wait { reason, .. } => *reason,
            other => panic!("{other:?}"),
        }
    }

    const FORTH: [(usize, Direction); 2] = [(0, Direction::Apply), (1, Direction::Apply)];

    #[test]
    fn a_repair_that_helps() {
        let mut world = world();
        world.view.progress.dry_run_digest = None;
        assert_eq!(step(&world.view, &world.observed, at(60)), Decision::DryRun);
        assert_eq!(waits(&world.run(at(60))), Reason::SymptomFiring);
        assert_eq!(world.made, FORTH);
        assert_eq!(world.view.progress.approvals_used, ["by-anna"]);
        world.data(100, SymptomState::Clear, Some(70));
        assert_eq!(waits(&world.run(at(100))), Reason::Holding);
        world.data(370, SymptomState::Clear, Some(70));
        assert_eq!(ends(&world.run(at(370))), (Phase::Succeeded, Outcome::Verified, Reason::SymptomCleared));
        assert_eq!(world.made, FORTH);
    }

    #[test]
    fn a_repair_that_does_not_help_is_taken_back() {
        let mut world = world();
        world.run(at(60));
        world.data(599, SymptomState::Firing, None);
        assert_eq!(waits(&world.run(at(650))), Reason::SymptomFiring);
        world.data(600, SymptomState::Firing, None);
        assert_eq!(ends(&world.run(at(660))), (Phase::RolledBack, Outcome::RolledBack, Reason::TakenBack));
        assert_eq!(world.observed.live["uid-checkout"]["spec"]["replicas"], 2);
        assert_eq!(world.observed.live["uid-pricing"]["spec"]["replicas"], 1);
    }

    #[test]
    fn what_somebody_else_changed_is_left_as_it_is() {
        let mut world = world();
        world.run(at(60));
        world.observed.live.insert("uid-pricing".into(), live("pricing", 7));
        world.data(600, SymptomState::Firing, None);
        assert_eq!(ends(&world.run(at(660))), (Phase::Failed, Outcome::NotEffective, Reason::UndoIncomplete));
        assert_eq!(world.observed.live["uid-pricing"]["spec"]["replicas"], 7);
        assert_eq!(world.observed.live["uid-checkout"]["spec"]["replicas"], 2);
    }

    #[test]
    fn a_dead_shipper_is_neither_success_nor_a_reason_to_act() {
        for state in [SymptomState::NoData, SymptomState::Firing, SymptomState::Clear] {
            let mut world = world();
            world.run(at(60));
            world.data(100, state, Some(70));
            world.run(at(700));
            assert_eq!(world.view.progress.phase, Phase::Verifying);
            let late = at(60 + 1200 + 300);
            assert_eq!(ends(&world.run(late)), (Phase::Failed, Outcome::Inconclusive, Reason::Inconclusive));
            assert_eq!(world.made, FORTH, "{state:?}");
        }
    }

    #[test]
    fn a_symptom_that_comes_back_restarts_the_hold() {
        let mut world = world();
        world.run(at(60));
        world.data(550, SymptomState::Clear, Some(500));
        assert_eq!(waits(&world.run(at(550))), Reason::Holding);
        world.data(700, SymptomState::Clear, Some(500));
        assert_eq!(waits(&world.run(at(700))), Reason::Holding);
        world.data(720, SymptomState::Firing, None);
        assert_eq!(ends(&world.run(at(720))).0, Phase::RolledBack);
    }

    #[test]
    fn clear_data_from_before_the_change_does_not_count() {
        let mut world = world();
        world.run(at(60));
        world.observed.symptom = Some(SymptomView {
            state: SymptomState::Clear,
            clear_since: Some(at(-5000)),
            watermark: Some(at(299)),
        });
        assert_eq!(waits(&world.run(at(299))), Reason::Holding);
    }

    #[test]
    fn without_approval_people_are_asked_until_the_plan_expires() {
        let mut world = world();
        world.observed.approvals.clear();
        let asked = Decision::RequestApproval { needed: 1, have: 0, until: at(900) };
        assert_eq!(world.run(at(60)), asked);
        assert_eq!(world.view.progress.phase, Phase::AwaitingApproval);
        assert_eq!(ends(&world.run(too_late())), (Phase::Expired, Outcome::Expired, Reason::PlanExpired));
        assert!(world.made.is_empty());
    }

    #[test]
    fn a_pause_holds_every_step_and_a_plan_that_has_begun_goes_on_after_it() {
        let mut world = world();
        let pause = PauseView { name: "freeze".into(), namespaces: Vec::new() };
        world.observed.pauses.push(pause.clone());
        assert_eq!(waits(&world.run(at(60))), Reason::Paused);
        world.observed.pauses.clear();
        for _ in 0..3 {
            let decision = step(&world.view, &world.observed, at(61));
            world.carry_out(&decision, Crash::Never);
        }
        assert_eq!(world.made, FORTH[..1]);
        world.observed.pauses.push(pause);
        assert_eq!(waits(&world.run(at(62))), Reason::Paused);
        world.observed.pauses.clear();
        world.run(too_late());
        assert_eq!(world.made, FORTH);
    }

    #[test]
    fn a_stale_plan_changes_nothing_and_says_so() {
        let mut world = world();
        world.observed.rebuilt_digest = Some(Ok("sha256:now".into()));
        assert_eq!(ends(&world.run(at(60))), (Phase::Refused, Outcome::Stale, Reason::StalePlan));
        assert!(world.made.is_empty());
    }

    #[test]
    fn a_commit_that_reached_the_target_before_a_crash_could_be_told_is_found_again() {
        let mut view = view();
        let target = view.targets[0].clone();
        let change = serde_json::json!({"type": "GitChange", "gitChange": {"target": target, "idempotencyKey": "k",
            "repository": {"url": "https://git.example.com/a", "branch": "main", "path": "."}, "pullRequest": false,
            "fields": [{"path": "/spec/replicas", "from": "2", "to": "4"}]}});
        view.mutations = vec![serde_json::from_value(change).unwrap()];
        crate::fixture::reseal(&mut view);
        let claim =
            Claim { step: 0, direction: Direction::Apply, resource_version: "1".into(), generation: None };
        view.progress.claim = Some(claim.clone());
        let mut observed = observed();
        observed.live.insert("uid-checkout".into(), live("checkout", 4));
        observed.rebuilt_digest = Some(Ok("sha256:of a plan from 4 to 8".into()));
        observed.policy.as_mut().unwrap().runbooks[0].1 = Autonomy::Auto;
        let again = step(&view, &observed, at(60));
        assert_eq!(again, Decision::Mutate { step: 0, direction: Direction::Apply });
        // Before it was claimed, the same is a stale plan.
        view.progress.claim = None;
        assert_eq!(ends(&step(&view, &observed, at(60))).2, Reason::StalePlan);
        // Where the commit has not arrived, the repository tells whether it was made; it is not made for the first time when the
        // plan may not begin any more. Where nothing may be gone on with, somebody has to look.
        view.progress.claim = Some(claim);
        let is_unknown = |decision: &Decision| {
            matches!(decision, Decision::RecordResult { state: StepState::Unknown, .. })
        };
        let mut elsewhere = observed.clone();
        elsewhere.live.insert("uid-checkout".into(), live("checkout", 2));
        elsewhere.rebuilt_digest = Some(Ok(view.plan_digest.clone()));
        let again = step(&view, &elsewhere, at(60));
        assert_eq!(again, Decision::Mutate { step: 0, direction: Direction::Apply });
        let mut observed_stale = elsewhere.clone();
        observed_stale.rebuilt_digest = Some(Ok("sha256:of a plan from 9 to 18".into()));
        for (observed, now) in [(&elsewhere, too_late()), (&observed_stale, at(60))] {
            let late = step(&view, observed, now);
            assert!(matches!(&late, Decision::Find { step: 0, .. }), "{late:?}");
        }
        observed.opted_in.clear();
        let stopped = step(&view, &observed, at(60));
        assert!(is_unknown(&stopped), "{stopped:?}");
        // What was changed before it is taken back.
        let before = view.mutations[0].clone();
        view.mutations.insert(0, scale("pricing", 1, 3));
        view.mutations[1] = before;
        crate::fixture::reseal(&mut view);
        view.progress.claim.as_mut().unwrap().step = 1;
        view.progress.results.push(crate::view::StepResult {
            step: 0,
            direction: Direction::Apply,
            state: StepState::Done,
        });
        let stopped = step(&view, &observed, at(60));
        assert!(matches!(stopped, Decision::RecordResult { state: StepState::Failed, .. }), "{stopped:?}");
    }

    #[test]
    fn a_target_that_changes_after_the_claim_is_not_touched() {
        let mut world = world();
        let claim = step(&world.view, &world.observed, at(60));
        world.carry_out(&claim, Crash::AfterClaim);
        // Scaled by hand there and back: the value is the old one, the generation is not.
        world.observed.live.get_mut("uid-checkout").unwrap()["metadata"]["generation"] = Value::from(3);
        world.observed.live.get_mut("uid-checkout").unwrap()["metadata"]["resourceVersion"] =
            Value::from("9");
        assert_eq!(ends(&world.run(at(61))), (Phase::Failed, Outcome::Error, Reason::StepFailed));
        assert!(world.made.is_empty());
    }

    #[test]
    fn a_status_update_after_the_claim_only_renews_it() {
        let mut world = world();
        let claim = step(&world.view, &world.observed, at(60));
        world.carry_out(&claim, Crash::AfterClaim);
        world.observed.live.get_mut("uid-checkout").unwrap()["metadata"]["resourceVersion"] =
            Value::from("2");
        let again = step(&world.view, &world.observed, at(61));
        assert!(matches!(again, Decision::Claim { step: 0, direction: Direction::Apply, .. }), "{again:?}");
        world.run(at(61));
        assert_eq!(world.made, FORTH);
    }

    #[test]
    fn a_second_step_that_fails_takes_the_first_back() {
        let mut world = world();
        for _ in 0..3 {
            let decision = step(&world.view, &world.observed, at(60));
            world.carry_out(&decision, Crash::Never);
        }
        world.observed.live.remove("uid-pricing");
        let claim =
            Claim { step: 1, direction: Direction::Apply, resource_version: "1".into(), generation: None };
        world.view.progress.claim = Some(claim);
        world.observed.claim_origin = ClaimOrigin::Found;
        let end = world.run(at(61));
        assert_eq!(ends(&end), (Phase::RolledBack, Outcome::RolledBack, Reason::TakenBack));
        assert_eq!(world.observed.live["uid-checkout"]["spec"]["replicas"], 2, "the first step is back");
    }

    #[test]
    fn auto_needs_no_approval_and_a_plan_without_inverse_always_does() {
        let mut world = world();
        world.observed.approvals.clear();
        world.observed.policy.as_mut().unwrap().runbooks[0].1 = Autonomy::Auto;
        world.run(at(60));
        assert_eq!(world.made, FORTH);
        let mut view = view();
        view.inverse = Inverse::None;
        crate::fixture::reseal(&mut view);
        let mut world = World::new(view, world.observed);
        world.observed.live = observed().live;
        world.observed.rebuilt_digest = Some(Ok(world.view.plan_digest.clone()));
        assert!(matches!(world.run(at(60)), Decision::RequestApproval { .. }));
        assert!(world.made.is_empty());
    }

    #[test]
    fn a_flag_is_looked_at_before_anybody_is_asked() {
        let change = fixture::flag_change();
        let mut view = view();
        view.mutations = vec![Mutation::FlagChange(change.clone())];
        view.inverse = Inverse::Mutations(vec![Mutation::FlagChange(change.reversed())]);
        fixture::reseal(&mut view);
        let claim =
            Claim { step: 0, direction: Direction::Apply, resource_version: "1".into(), generation: None };
        view.progress.claim = Some(claim);
        let decide = |flag: Option<&str>, now| {
            let mut observed = observed();
            observed.rebuilt_digest = Some(Ok(view.plan_digest.clone()));
            observed.approvals[0].plan_digest.clone_from(&view.plan_digest);
            let flag = flag.map(|value| (change.place(), json!({"defaultVariant": value})));
            observed.live.extend(flag);
            step(&view, &observed, now)
        };
        let again = Decision::Mutate { step: 0, direction: Direction::Apply };
        assert_eq!(decide(Some("on"), at(60)), again);
        assert_eq!(decide(None, at(60)), again, "the step itself looks");
        for (flag, now, want) in [
            (Some("off"), at(60), StepState::Done),
            (Some("off"), too_late(), StepState::Done),
            (Some("blue"), at(60), StepState::Failed),
            (None, too_late(), StepState::Unknown),
        ] {
            let decision = decide(flag, now);
            let Decision::RecordResult { state, .. } = decision else { panic!("{flag:?}: {decision:?}") };
            assert_eq!(state, want, "{flag:?}");
        }
        // What was never turned is not turned back, whatever else was changed for the same target.
        view.mutations.insert(0, crate::fixture::view().mutations[0].clone());
        view.progress.claim = None;
        let result = |step, state| StepResult { step, direction: Direction::Apply, state };
        view.progress.results = vec![result(0, StepState::Done), result(1, StepState::Failed)];
        let back = crate::undo::next(&view, &observed(), at(61));
        assert!(
            matches!(&back, Decision::RecordResult { state: StepState::Done, message, .. } if message == "it was never changed"),
            "{back:?}"
        );
    }
}
