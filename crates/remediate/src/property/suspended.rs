//! What applies the targets from another namespace is suspended and resumed, whatever happens meanwhile.

mod play;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use self::play::{
    ANNOTATES, By, CALM, EDITS, POLICY_GOES, Play, RESUMES, SHOP_OPTS_OUT, SUSPENDS, TIME_PASSES,
};
use crate::decision::Decision;
use crate::fixture::world::Crash;
use crate::view::{Direction, StepState};
use crate::vocabulary::Phase;

const CRASHES: [Crash; 6] = [
    Crash::Never,
    Crash::AfterClaim,
    Crash::BeforeMutation,
    Crash::AfterMutation,
    Crash::Refused,
    Crash::Unclear,
];

/// Mostly nothing, else one of the things that [`Play::happens`] knows.
fn event() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(CALM), 2 => 0u8..56]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_suspended_is_resumed_or_told(
        kinds in (0u8..4, 0u8..4),
        is_proposed in any::<bool>(),
        turns in prop::collection::vec((event(), event(), prop_oneof![4 => Just(0usize), 1 => 0usize..6]), 10..60),
    ) {
        let mut play = Play::new(kinds, is_proposed);
        // When everything has happened, nothing goes wrong any more, and time goes on.
        let calm = (0..100).map(|_| (TIME_PASSES, CALM, 0));
        for (index, (before, between, crash)) in turns.iter().copied().chain(calm).enumerate() {
            play.happens(before);
            if index >= turns.len() {
                play.world.observed.pauses.clear();
            }
            if let Decision::Finish { message, .. } = play.turn(between, CRASHES[crash])? {
                return play.over(&message);
            }
        }
        prop_assert!(false, "it never ends: {:?}", play.world.view.progress);
    }
}

/// Everything goes well up to this claim.
fn claimed(kind: u8, wanted: usize) -> Play {
    let mut play = Play::new((kind, kind), false);
    until(&mut play, &Decision::Claim { step: wanted, direction: Direction::Apply, approvals: Vec::new() });
    play
}

/// Everything goes well until this is decided.
fn until(play: &mut Play, wanted: &Decision) {
    let is_it = (0..100).any(|_| play.turn(CALM, Crash::Never).unwrap() == *wanted);
    assert!(is_it, "it never comes to {wanted:?}: {:?}", play.world.view.progress);
}

/// Everything goes well until this step is made, and then the policy is gone.
fn denied_after(step: usize) -> Play {
    let mut play = claimed(0, step);
    play.turn(CALM, Crash::Never).unwrap();
    play.happens(POLICY_GOES);
    play
}

#[test]
fn who_suspends_it_between_claim_and_patch_has_suspended_it() {
    let mut play = claimed(0, 0);
    assert_eq!(
        play.turn(SUSPENDS, Crash::Never).unwrap(),
        Decision::Mutate { step: 0, direction: Direction::Apply }
    );
    let (phase, _, told) = play.end();
    assert_eq!(
        (phase, told),
        (Phase::Failed, vec!["somebody else has suspended it: it is left so".to_owned()])
    );
    assert!(play.world.made.is_empty());
}

#[test]
fn what_somebody_else_has_suspended_since_is_left_and_the_repair_goes_on() {
    // Before the claim to resume it, and after.
    for step in [5, 6] {
        let mut play = claimed(0, step);
        play.happens(RESUMES);
        play.happens(SUSPENDS);
        let (_, _, told) = play.end();
        assert_eq!(told[..1], ["somebody else has suspended it since: it is left so"], "{step}");
        assert_eq!(play.suspended.values().collect::<Vec<_>>(), [&By::SomebodyElse]);
        assert!(!play.world.view.progress.is_undoing(), "{step}");
    }
}

#[test]
fn what_keeps_a_plan_from_going_on_has_it_taken_back() {
    let mut play = denied_after(2);
    let (phase, message, told) = play.end();
    assert_eq!((phase, play.suspended.len()), (Phase::RolledBack, 0), "{message} {told:?}");
}

#[test]
fn what_can_not_be_put_back_any_more_does_not_keep_it_suspended() {
    let mut play = denied_after(3);
    let back = Decision::Claim { step: 2, direction: Direction::Undo, approvals: Vec::new() };
    until(&mut play, &back);
    play.happens(SHOP_OPTS_OUT);
    let (phase, message, told) = play.end();
    assert_eq!((phase, play.suspended.len()), (Phase::Failed, 0), "{message} {told:?}");
}

#[test]
fn what_others_write_next_to_the_switch_does_not_count() {
    // Annotations come to an Application before the result is written.
    let mut play = claimed(3, 0);
    play.turn(CALM, Crash::AfterMutation).unwrap();
    play.happens(ANNOTATES);
    play.turn(CALM, Crash::Never).unwrap();
    assert!(play.world.view.progress.any(Direction::Apply, StepState::Done));
    // Its path is changed between the claim to resume it and the patch.
    for kind in [0, 3] {
        let mut play = claimed(kind, 6);
        play.happens(EDITS);
        play.end();
        assert_eq!((play.suspended.len(), play.world.view.progress.is_undoing()), (0, false), "{kind}");
    }
}
