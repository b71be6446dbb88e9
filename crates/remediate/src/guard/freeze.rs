//! A declared change freeze: nothing new is brought in while it holds.
//!
//! What keeps the running version alive is no change of it: more or other pods, a restart, a pod that is moved. What puts
//! back a version that ran before is the repair that a freeze is meant to leave possible. Everything else is new: other
//! limits, another value of a flag, a release that goes on, and what nobody can foresee, such as a Job or a call.

use causeway_actions::{ActionKind, Mutation};
use serde_json::Value;

use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::view::{Observed, RemediationView};
use crate::vocabulary::{Autonomy, FreezeMode};

/// A change freeze that holds in the namespace of a Remediation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeView {
    /// Name of the PeakEvent that declares it.
    pub event: String,
    /// What happens to changes.
    pub mode: FreezeMode,
    /// Annotations that exempt an object.
    pub except: Vec<String>,
}

impl FreezeView {
    /// Whether a live object carries one of the annotations.
    #[must_use]
    pub fn exempts(&self, object: &Value) -> bool {
        let annotations = object.pointer("/metadata/annotations");
        annotations.is_some_and(|all| self.except.iter().any(|key| all.get(key).is_some()))
    }
}

/// What an action does to the version that runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The same version goes on.
    Keeps,
    /// A version that ran before comes back.
    Restores,
    /// Something new.
    Brings,
}

fn effect(action: ActionKind) -> Effect {
    use ActionKind::{
        CallWebhook, Cordon, DeletePod, Drain, EvictPod, PatchResources, PauseRollout, ResumeRollout,
        RevertConfigMap, RevertSecretReference, RolloutRestart, RolloutUndo, RunJob, Scale, SetFeatureFlag,
        SetHPABounds, Wait,
    };
    match action {
        Scale | SetHPABounds | RolloutRestart | DeletePod | EvictPod | Cordon | Drain | PauseRollout
        | Wait => Effect::Keeps,
        RolloutUndo | RevertConfigMap | RevertSecretReference => Effect::Restores,
        PatchResources | SetFeatureFlag | ResumeRollout | RunJob | CallWebhook => Effect::Brings,
    }
}

/// Why the plan is a change that the freeze is about; `None` when it is none, or exempt.
fn frozen(view: &RemediationView, observed: &Observed, freeze: &FreezeView) -> Option<String> {
    let live = |mutation: &Mutation| observed.live.get(&mutation.target().uid);
    if !view.mutations.is_empty()
        && view.mutations.iter().all(|m| live(m).is_some_and(|object| freeze.exempts(object)))
    {
        return None;
    }
    let brings = |action: &&ActionKind| match effect(**action) {
        Effect::Keeps => false,
        // The end of a lease puts back what was there before the repair: the version that was repaired.
        Effect::Restores => view.restores.is_some(),
        Effect::Brings => true,
    };
    if let Some(action) = view.actions.iter().find(brings) {
        return Some(format!("{action} changes what runs"));
    }
    let restores = view.actions.iter().any(|action| effect(*action) == Effect::Restores);
    let by_git = view.mutations.iter().any(|m| matches!(m, Mutation::GitChange(_)));
    // What applies a repository is held back like everybody else, so that the change would never arrive.
    (restores && by_git).then(|| "what applies the repository is frozen too".to_owned())
}

/// In a freeze that warns, changes of what runs are left to people.
pub(super) fn ceiling(view: &RemediationView, observed: &Observed) -> Autonomy {
    let changes = |freeze: &&FreezeView| frozen(view, observed, freeze).is_some();
    observed.freeze.as_ref().filter(changes).map_or(Autonomy::Auto, |_| Autonomy::Approve)
}

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let Some(freeze) = context.observed.freeze.as_ref().filter(|freeze| freeze.mode == FreezeMode::Deny)
    else {
        return Verdict::Allow;
    };
    frozen(context.view, context.observed, freeze).map_or(Verdict::Allow, |why| {
        let exempt = match freeze.except.first() {
            Some(key) => format!(": annotate the object with {key} to exempt it"),
            None => String::new(),
        };
        Verdict::Deny(
            Reason::ChangeFreeze,
            format!("PeakEvent {} freezes changes, and {why}{exempt}", freeze.event),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, observed, view};
    use crate::guard::Moment;
    use serde_json::json;

    fn in_freeze(mode: FreezeMode) -> Observed {
        let except = vec!["causeway.dev/emergency".to_owned()];
        Observed { freeze: Some(FreezeView { event: "sale".into(), mode, except }), ..observed() }
    }

    fn answer(view: &RemediationView, observed: &Observed) -> Verdict {
        check(&Context { view, observed, now: at(60), moment: Moment::Begin })
    }

    fn doing(action: ActionKind) -> RemediationView {
        RemediationView { actions: vec![action], ..view() }
    }

    fn is_denied(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Deny(Reason::ChangeFreeze, _))
    }

    #[test]
    fn only_what_is_new_is_frozen() {
        use ActionKind::{CallWebhook, PatchResources, ResumeRollout, RunJob, SetFeatureFlag};
        let new = [PatchResources, SetFeatureFlag, ResumeRollout, RunJob, CallWebhook];
        for action in ActionKind::ALL {
            let denied = is_denied(&answer(&doing(*action), &in_freeze(FreezeMode::Deny)));
            assert_eq!(denied, new.contains(action), "{action}");
            assert_eq!(answer(&doing(*action), &in_freeze(FreezeMode::Warn)), Verdict::Allow, "{action}");
            assert_eq!(answer(&doing(*action), &observed()), Verdict::Allow, "{action}");
            let warned = ceiling(&doing(*action), &in_freeze(FreezeMode::Warn));
            assert_eq!(warned == Autonomy::Approve, new.contains(action), "{action}");
        }
    }

    #[test]
    fn the_end_of_a_lease_brings_back_no_version_but_takes_replicas_back() {
        let ending = |action| RemediationView { restores: Some("r".into()), ..doing(action) };
        let world = in_freeze(FreezeMode::Deny);
        assert!(is_denied(&answer(&ending(ActionKind::RolloutUndo), &world)));
        assert_eq!(answer(&ending(ActionKind::Scale), &world), Verdict::Allow);
    }

    #[test]
    fn an_annotation_exempts_only_if_every_target_has_it() {
        let mut world = in_freeze(FreezeMode::Deny);
        let plan = doing(ActionKind::PatchResources);
        let uids: Vec<String> = plan.mutations.iter().map(Mutation::live_key).collect();
        for (index, uid) in uids.iter().enumerate() {
            assert!(is_denied(&answer(&plan, &world)), "{index}");
            let object = world.live.get_mut(uid).unwrap();
            object["metadata"]["annotations"] = json!({"causeway.dev/emergency": "INC-7"});
        }
        assert_eq!(answer(&plan, &world), Verdict::Allow);
        if let Some(freeze) = &mut world.freeze {
            freeze.except.clear();
        }
        assert!(is_denied(&answer(&plan, &world)));
    }
}
