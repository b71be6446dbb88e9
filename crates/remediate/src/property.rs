//! Properties of the state machine over many worlds.

mod suspended;

use causeway_actions::{Inverse, Mutation, TargetRef, plan_digest};
use proptest::prelude::*;

use crate::decision::Decision;
use crate::effect::{EffectVerdict, PredictedEffect};
use crate::fixture::world::{Crash, World};
use crate::fixture::{approval, at, elsewhere, harmful, observed, past, reseal, view};
use crate::guard::{Context, Moment, approvals};
use crate::view::{Direction, Observed, OtherRun, PauseView, RemediationView};
use crate::vocabulary::{ApprovalDecision, Autonomy, Phase, SymptomState, WhatIf};
use crate::{effective_autonomy, step};

/// One thing that may be wrong, or not, with a plan or with the world.
fn disturb(kind: u8, view: &mut RemediationView, observed: &mut Observed) {
    let policy = observed.policy.as_mut();
    match kind {
        0 => view.plan_digest = "sha256:forged".into(),
        1 => view.progress.dry_run_digest = None,
        2 => observed.approvals.clear(),
        3 => observed.approvals[0].plan_digest = "sha256:other".into(),
        4 => observed.approvals[0].dry_run_digest = None,
        5 => view.verify.hold = std::time::Duration::ZERO,
        6 => view.inverse = Inverse::None,
        7 => view.inverse = Inverse::NotNeeded,
        8 => view.mutations.truncate(1),
        9 => observed.guardrails.clear(),
        10 => observed.admission_since = None,
        11 => observed.policy = None,
        12 => observed.rebuilt_digest = None,
        13 => observed.opted_in.clear(),
        14 => observed.pauses.push(PauseView { name: "p".into(), namespaces: Vec::new() }),
        15 => observed.guardrails[0].protected_namespaces.push("shop".into()),
        16 => observed.others.push(past("a", view.actions[0])),
        17 => observed.others.push(OtherRun { phase: Phase::Applying, ..elsewhere("a") }),
        18 => observed.peak_ceiling = Some(Autonomy::Suggest),
        19 => view.expires_at = at(-1),
        20 => observed.approvals[0].decision = ApprovalDecision::Reject,
        21 => observed.live.clear(),
        22 => view.confidence = 0.1,
        23 => policy.into_iter().for_each(|p| p.runbooks[0].1 = Autonomy::Auto),
        24 => policy.into_iter().for_each(|p| p.approvals_needed = 2),
        25 => observed.approvals.push(approval("ben")),
        26 => observed.symptom.as_mut().into_iter().for_each(|s| s.state = SymptomState::NoData),
        27 => view.plan_digest = plan_digest(&view.mutations, &view.inverse),
        28 => observed.rebuilt_digest = Some(Ok(view.plan_digest.clone())),
        29 => view.predicted_effect = None,
        30 => effect(view, |effect| effect.summary = "nothing can happen".into()),
        31 => effect(view, |effect| effect.verdict = EffectVerdict::NoHarm),
        32 => effect(view, |effect| effect.signals.clear()),
        33 => *view = harmful(view.clone()),
        34 => reseal(view),
        36 => elsewhere_too(view, observed),
        35 => policy.into_iter().for_each(|p| p.what_if = WhatIf::Ignore),
        _ => {}
    }
}

/// The second target is in another namespace that opted in, with everything else in order.
fn elsewhere_too(view: &mut RemediationView, observed: &mut Observed) {
    let moved = |target: &mut TargetRef| {
        if target.name == "pricing" {
            target.namespace = "flux-system".into();
        }
    };
    view.targets.iter_mut().for_each(moved);
    for mutation in view.mutations.iter_mut().chain(match &mut view.inverse {
        Inverse::Mutations(back) => back.as_mut_slice(),
        _ => &mut [],
    }) {
        if let Mutation::Scale(scale) = mutation {
            moved(&mut scale.target);
        }
    }
    observed.opted_in.insert("flux-system".into());
    reseal(view);
    observed.rebuilt_digest = Some(Ok(view.plan_digest.clone()));
}

fn effect(view: &mut RemediationView, change: impl Fn(&mut PredictedEffect)) {
    view.predicted_effect.iter_mut().for_each(change);
}

/// What must hold when a mutation is about to be made.
fn proven(world: &World, now: jiff::Timestamp) -> Result<(), String> {
    let (view, observed) = (&world.view, &world.observed);
    let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    check(view.plan_digest == plan_digest(&view.mutations, &view.inverse), "plan digest")?;
    check(view.progress.dry_run_digest.is_some(), "dry-run digest")?;
    check(view.verify.hold > std::time::Duration::ZERO, "verification")?;
    let asked = observed.policy.as_ref().map(|policy| policy.what_if).unwrap_or_default();
    match &view.predicted_effect {
        Some(effect) => {
            check(effect.digest == effect.digest_for(&view.plan_digest), "predicted effect of another plan")?;
            let harm = effect.verdict == EffectVerdict::Harm && asked == WhatIf::NoPredictedHarm;
            check(!harm, "predicted harm")?;
        }
        None => check(asked == WhatIf::Ignore, "predicted effect")?,
    }
    check(now < view.expires_at || !world.made.is_empty(), "expiry")?;
    check(observed.opted_in.contains("shop") && observed.pauses.is_empty(), "pause or opt-in")?;
    check(view.targets.iter().all(|target| target.namespace == "shop"), "another namespace")?;
    let context = Context { view, observed, now, moment: Moment::Begin };
    let enough =
        approvals::counting(&context).len() >= observed.policy.as_ref().map_or(1, |p| p.approvals_needed);
    match effective_autonomy(view, observed, now).0 {
        Autonomy::Auto => check(!matches!(view.inverse, Inverse::None), "auto without a way back"),
        Autonomy::Approve => check(enough, "approvals"),
        Autonomy::Observe | Autonomy::Suggest => Err("autonomy".into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_changed_without_the_whole_proof(kinds in prop::collection::vec(0u8..38, 0..5), start in 0i64..1000) {
        let (mut view, mut observed) = (view(), observed());
        for kind in kinds {
            if observed.approvals.is_empty() || observed.guardrails.is_empty() {
                break;
            }
            disturb(kind, &mut view, &mut observed);
        }
        let mut world = World::new(view, observed);
        for _ in 0..12 {
            let now = at(start);
            let decision = step(&world.view, &world.observed, now);
            prop_assert_eq!(&decision, &step(&world.view, &world.observed, now));
            if let Decision::Mutate { direction: Direction::Apply, .. } = decision {
                prop_assert!(world.view.progress.open_claim().is_some());
                prop_assert_eq!(proven(&world, now), Ok(()));
            }
            world.carry_out(&decision, Crash::Never);
        }
    }

    #[test]
    fn a_crash_anywhere_makes_every_mutation_once(crashes in prop::collection::vec(0usize..3, 40), helps in any::<bool>()) {
        let mut world = World::new(view(), observed());
        let (mut seconds, mut crashes) = (60, crashes.into_iter());
        loop {
            let decision = step(&world.view, &world.observed, at(seconds));
            let crash = [Crash::Never, Crash::AfterClaim, Crash::AfterMutation][crashes.next().unwrap_or(0)];
            world.carry_out(&decision, crash);
            match decision {
                Decision::Wait { .. } => {
                    seconds += 100;
                    let state = if helps { SymptomState::Clear } else { SymptomState::Firing };
                    world.data(seconds, state, Some(160));
                }
                Decision::Finish { phase, .. } => {
                    prop_assert_eq!(phase, if helps { Phase::Succeeded } else { Phase::RolledBack });
                    break;
                }
                _ => {}
            }
        }
        let mut wanted = vec![(0, Direction::Apply), (1, Direction::Apply)];
        if !helps {
            wanted.extend([(0, Direction::Undo), (1, Direction::Undo)]);
        }
        prop_assert_eq!(&world.made, &wanted);
        let replicas = |uid: &str| world.observed.live[uid]["spec"]["replicas"].as_i64();
        prop_assert_eq!((replicas("uid-checkout"), replicas("uid-pricing")), if helps { (Some(4), Some(3)) } else { (Some(2), Some(1)) });
    }
}
