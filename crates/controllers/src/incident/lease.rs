//! The end of a lease: a direct change that has helped is not kept for ever. A new Remediation proposes to take it back, with
//! guards, approvals and a verification of its own; the executor holds it while the capacity is needed.

use std::sync::Arc;
use std::time::Duration;

use causeway_actions::plan_digest;
use causeway_crds::occurrence::peak_on;
use causeway_crds::reference::LocalRef;
use causeway_crds::{Incident, Outcome, PeakEvent, Remediation, RemediationSpec};
use causeway_remediate::PLAN_LIFETIME;
use jiff::Timestamp;
use kube::{Client, Resource, ResourceExt};

use super::repair::{next_name, service_of, write};
use crate::error::ControllerError;
use crate::mirrors::Mirrors;
use crate::plan;
use crate::ports::Ports;
use crate::target_view;
use crate::text::{bounded, stamp};
use crate::what_if;

/// How long a lease that is over and can't be ended yet is left alone.
const LATER: Duration = Duration::from_secs(600);

/// The first repair whose lease ends, and when; those that were taken back, or proposed to be, have none. A proposal that
/// had to wait for too long counts for nothing.
pub(super) fn next_end(runs: &[Arc<Remediation>]) -> Option<(Timestamp, &Arc<Remediation>)> {
    let waited = |run: &Remediation| {
        run.status.as_ref().is_some_and(|status| status.outcome == Some(Outcome::Expired))
    };
    let proposed = |name: &str| {
        runs.iter().any(|run| {
            run.spec.restores.as_ref().is_some_and(|restored| restored.name == name) && !waited(run)
        })
    };
    runs.iter()
        .filter_map(|run| {
            let status = run.status.as_ref().filter(|status| status.outcome == Some(Outcome::Verified))?;
            let lease = run.spec.lease_for.as_ref()?;
            let end = status.finished_at.as_ref()?.0.checked_add(lease.get()).ok()?;
            (run.spec.restores.is_none() && !proposed(&run.name_any())).then_some((end, run))
        })
        .min_by_key(|(end, _)| *end)
}

/// When leases are to be looked at again.
pub(super) fn next_look(runs: &[Arc<Remediation>], now: Timestamp) -> Option<Timestamp> {
    let later = now.checked_add(LATER).unwrap_or(now);
    next_end(runs).map(|(end, _)| if end > now { end } else { later })
}

/// Whether a declared peak is on where a repair was made: then nothing is proposed that would only wait.
pub(super) fn peak_is_on(mirrors: &Mirrors, run: &Remediation, now: Timestamp) -> bool {
    let peaks: Vec<PeakEvent> = mirrors.peaks.list().iter().map(|event| event.as_ref().clone()).collect();
    peak_on(&peaks, &run.namespace().unwrap_or_default(), now).is_some()
}

/// Writes the Remediation that takes `run` back.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn propose(
    client: &Client,
    mirrors: &Mirrors,
    ports: &Ports,
    incident: &Incident,
    run: &Remediation,
    now: Timestamp,
) -> Result<Option<Arc<Remediation>>, ControllerError> {
    let Some((mutations, inverse)) = plan::restoring(&run.spec) else { return Ok(None) };
    let namespace = run.namespace().unwrap_or_default();
    let name = run.name_any();
    let view = target_view::of_targets(client, &run.spec.targets, &name, now).await?;
    // What the run's actions are said of goes the other way now.
    let steps = what_if::steps(&mutations, &[], &view, &service_of(mirrors));
    let digest = plan_digest(&mutations, &inverse);
    let effect = what_if::predicted_effect(&ports.engine.what_if(&steps), &digest);
    let spec = RemediationSpec {
        summary: bounded(&format!("Take back what {name} changed: {}", run.spec.summary), 1024),
        diff: bounded(&format!("taken back:\n{}", run.spec.diff), 16_384),
        notes: Vec::new(),
        planned_at: stamp(now),
        plan_digest: digest,
        predicted_effect: Some(effect),
        mutations,
        inverse,
        lease_for: None,
        restores: Some(LocalRef { name: name.clone() }),
        expires_at: stamp(now.checked_add(PLAN_LIFETIME).unwrap_or(now)),
        ..run.spec.clone()
    };
    let mut object = Remediation::new(&next_name(mirrors, incident, &namespace), spec);
    if incident.namespace().as_deref() == Some(namespace.as_str()) {
        object.metadata.owner_references = incident.controller_owner_ref(&()).map(|owner| vec![owner]);
    }
    object.metadata.namespace = Some(namespace);
    write(client, mirrors, object).await.map(Some)
}
