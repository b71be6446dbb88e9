//! Remediation: carries plans out. The only writer of a Remediation's status, and the only one that changes workloads.
//!
//! One decision a reconcile: read the world live, ask [`causeway_remediate::step`], do that one thing, write the status.
//! The write is a compare-and-swap on the version that the decision was made for, so that a claim is in the API before
//! its mutation is sent, and a second executor loses. One reconcile at a time, so that guards see what was claimed.

mod drain;
mod dry_run;
mod fixer;
mod flag;
mod git;
mod mutate;
mod observe;
mod proof;
mod record;
mod secret;

use std::collections::HashMap;

use causeway_actions::Mutation;
use causeway_crds::occurrence::{freeze_on, peak_ceiling, peak_on};
use causeway_crds::remediation::MeasuredEffect;
use causeway_crds::{PeakEvent, Phase, Remediation, RemediationStatus};
use causeway_gitops::Git;
use causeway_kubekit::{ObjectKey, Reconciler, Report};
use causeway_remediate::{
    Claim, ClaimOrigin, Decision, Direction, Observed, RemediationView, StepState, step,
};
use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;

pub(crate) use self::fixer::Fixers;
use self::git::Repositories;
pub(crate) use self::observe::FirstSeen;
use crate::admission::Admission;
use crate::error::ControllerError;
use crate::what_if;

pub(crate) struct Remediations {
    pub(crate) client: Client,
    /// Changes workloads as the fixer of their namespace.
    pub(crate) fixers: Fixers,
    pub(crate) admission: Admission,
    pub(crate) first_seen: FirstSeen,
    /// Claims that this process wrote and has not tried yet.
    pub(crate) fresh: Mutex<HashMap<ObjectKey, Claim>>,
    pub(crate) http: reqwest::Client,
    pub(crate) git: Git,
}

/// A Remediation and the world around it.
pub(crate) struct World {
    view: RemediationView,
    observed: Observed,
    /// Every PeakEvent.
    peaks: Vec<PeakEvent>,
}

/// What came of a decision.
pub(crate) enum Deed {
    /// Nothing had to be done to the world: the status tells the decision.
    Noted,
    /// The plan was rehearsed.
    DryRun(Result<dry_run::Rehearsal, String>),
    /// A step was made or could not be made.
    Step(StepState, String),
    /// The target changed between the look and the step: look again.
    LookAgain,
    /// The step is under way, or something holds it up for now: go on with it at that moment.
    Later(Timestamp, String),
}

/// A decision, and what came of it.
pub(crate) struct Applied {
    seen: Option<MeasuredEffect>,
    world: Option<World>,
    decision: Option<Decision>,
    deed: Deed,
}

/// What was read for one decision.
pub(crate) struct Look {
    /// `None` where nothing is to be decided any more.
    world: Option<World>,
    /// What the operator has measured of the predicted effect, if the status does not have it.
    seen: Option<MeasuredEffect>,
}

/// What was decided on it.
pub(crate) struct Decided {
    decision: Option<(World, Decision)>,
    seen: Option<MeasuredEffect>,
}

impl Reconciler for Remediations {
    type Kind = Remediation;
    type Inputs = Look;
    type Valid = Decided;
    type Built = Decided;
    type Applied = Applied;
    type Error = ControllerError;

    const NAME: &'static str = "remediation";

    async fn dereference(&self, object: &Remediation) -> Result<Look, ControllerError> {
        let seen = if what_if::awaits(object) { self.measured(object).await? } else { None };
        let world = if phase(object).is_final() { None } else { Some(self.observe(object).await?) };
        Ok(Look { world, seen })
    }

    fn validate(
        &self,
        _object: &Remediation,
        look: Look,
        now: Timestamp,
    ) -> Result<Decided, ControllerError> {
        let decision = look.world.map(|mut world| {
            world.observed.peak_ceiling = peak_ceiling(&world.peaks, &world.view.namespace, now);
            world.observed.peak = peak_on(&world.peaks, &world.view.namespace, now);
            world.observed.freeze = freeze_on(&world.peaks, &world.view.namespace, now);
            let decision = step(&world.view, &world.observed, now);
            (world, decision)
        });
        Ok(Decided { decision, seen: look.seen })
    }

    fn build(
        &self,
        _object: &Remediation,
        decided: Decided,
        _now: Timestamp,
    ) -> Result<Decided, ControllerError> {
        Ok(decided)
    }

    async fn apply(
        &self,
        object: &Remediation,
        decided: Decided,
        now: Timestamp,
    ) -> Result<Applied, ControllerError> {
        let Decided { decision, seen } = decided;
        let Some((world, decision)) = decision else {
            return Ok(Applied { seen, world: None, decision: None, deed: Deed::Noted });
        };
        let deed = self.carry_out(object, &world, &decision, now).await?;
        Ok(Applied { seen, world: Some(world), decision: Some(decision), deed })
    }

    fn update_status(
        &self,
        object: &Remediation,
        applied: Applied,
        now: Timestamp,
    ) -> Report<RemediationStatus> {
        let Applied { seen, world, decision, deed } = applied;
        let mut status = object.status.clone().unwrap_or_default();
        if let Some(effect) = seen {
            record::measured(&mut status, effect, now);
        }
        let (Some(world), Some(decision)) = (world, decision) else {
            return record::report(object, status, None);
        };
        let status = record::next(object, status, &world, &decision, &deed, now);
        if let (Decision::Claim { .. }, Some(claim)) = (&decision, record::claim_of(&status)) {
            self.fresh.lock().insert(ObjectKey::of(object), claim);
        }
        record::report(object, status, Some((&decision, &deed, now)))
    }

    fn forget(&self, object: &Remediation) {
        self.fresh.lock().remove(&ObjectKey::of(object));
    }
}

impl Remediations {
    async fn carry_out(
        &self,
        object: &Remediation,
        world: &World,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Deed, ControllerError> {
        match decision {
            Decision::DryRun => {
                Ok(Deed::DryRun(dry_run::rehearse(&self.repositories(), &self.fixers, world, now).await?))
            }
            Decision::Mutate { step, direction } | Decision::Find { step, direction, .. } => {
                // From here on it counts as tried, whatever happens.
                let claim = self.fresh.lock().remove(&ObjectKey::of(object));
                let claim = claim.or_else(|| world.view.progress.open_claim().cloned());
                let mutation = world.view.mutation(*step, *direction);
                let (Some(claim), Some(mutation)) = (claim, mutation) else { return Ok(Deed::LookAgain) };
                let claimed_at = object.status.as_ref().and_then(|status| Some(status.claim.as_ref()?.at.0));
                let rehearsed =
                    object.status.as_ref().and_then(|status| Some(status.dry_run.as_ref()?.diff.as_str()));
                let turn = mutate::Turn {
                    claim: &claim,
                    claimed_at: claimed_at.unwrap_or(now),
                    now,
                    remediation: &format!("{}/{}", world.view.namespace, world.view.name),
                    rehearsed: rehearsed.filter(|_| *direction == Direction::Apply),
                    direction: *direction,
                    is_first: world.observed.claim_origin == ClaimOrigin::Fresh,
                };
                let repositories = self.repositories();
                let made = match (decision, mutation) {
                    (Decision::Find { message, .. }, Mutation::GitChange(change)) => {
                        repositories.find(change, message, &turn).await?
                    }
                    _ => mutate::make(&repositories, &self.fixers, mutation, &turn).await?,
                };
                match made {
                    mutate::Made::Done(message) => Ok(Deed::Step(StepState::Done, message)),
                    mutate::Made::Refused(message) => Ok(Deed::Step(StepState::Failed, message)),
                    mutate::Made::Unknown(message) => Ok(Deed::Step(StepState::Unknown, message)),
                    mutate::Made::Changed => Ok(Deed::LookAgain),
                    mutate::Made::Later(at, message) => Ok(Deed::Later(at, message)),
                }
            }
            _ => Ok(Deed::Noted),
        }
    }

    fn repositories(&self) -> Repositories<'_> {
        Repositories { client: &self.client, git: &self.git, http: &self.http }
    }

    /// Whether the claim in the status is this process's own and untried.
    fn origin(&self, object: &Remediation, view: &RemediationView) -> ClaimOrigin {
        let fresh = self.fresh.lock();
        match (fresh.get(&ObjectKey::of(object)), view.progress.open_claim()) {
            (Some(own), Some(found)) if own == found => ClaimOrigin::Fresh,
            _ => ClaimOrigin::Found,
        }
    }
}

fn phase(object: &Remediation) -> Phase {
    object.status.as_ref().map(|status| status.phase).unwrap_or_default()
}
