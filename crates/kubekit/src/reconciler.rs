//! The five steps that a controller of one kind consists of.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::conditions::{Progress, Statement};
use crate::error::ReconcileError;
use crate::events::Occurrence;

/// A kind with a status; implemented for every type that derives `kube::CustomResource` with `status`.
pub trait Kind:
    Resource<DynamicType = ()>
    + HasStatus<Status: Serialize + DeserializeOwned + Default + Send + Sync>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()>
        + HasStatus<Status: Serialize + DeserializeOwned + Default + Send + Sync>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// The status type of a kind.
pub type StatusOf<K> = <K as HasStatus>::Status;

/// When the object is looked at again although nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Requeue {
    /// Only when something changes.
    #[default]
    OnChange,
    /// At once; the object stays queued, so that the process does not count as settled.
    Now,
    /// After this long on the machine's clock; for polling things outside the cluster.
    After(Duration),
    /// When the controller's [`crate::Clock`] has reached this time; for expiry, hold times and cooldowns.
    At(Timestamp),
}

/// The result of a successful reconcile.
#[derive(Debug, Clone)]
pub struct Report<S> {
    /// The whole status of the kind. Its `conditions`, `observedGeneration` and `lastHandledRequestedAt` are filled
    /// in by the harness, whatever stands there.
    pub status: S,
    /// `Ready`, `Reconciling` and `Stalled`.
    pub progress: Progress,
    /// All other conditions; those that are not stated any more are removed.
    pub conditions: Vec<Statement>,
    /// Published as Kubernetes events if the status changed.
    pub occurrences: Vec<Occurrence>,
    /// When to look again.
    pub requeue: Requeue,
}

impl<S> Report<S> {
    /// A report with neither further conditions nor events, looked at again when something changes.
    #[must_use]
    pub fn new(status: S, progress: Progress) -> Self {
        Self { status, progress, conditions: Vec::new(), occurrences: Vec::new(), requeue: Requeue::OnChange }
    }

    /// Adds a condition.
    #[must_use]
    pub fn condition(mut self, statement: Statement) -> Self {
        self.conditions.push(statement);
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn occurrence(mut self, occurrence: Occurrence) -> Self {
        self.occurrences.push(occurrence);
        self
    }

    /// Says when to look again.
    #[must_use]
    pub fn requeue(mut self, requeue: Requeue) -> Self {
        self.requeue = requeue;
        self
    }
}

/// A controller of one kind, as five steps that [`crate::Controller`] runs in this order:
/// `dereference → validate → build → apply → update_status`.
///
/// Only `dereference` and `apply` do input and output; the implementation holds its own client and mirrors. The same
/// object is never reconciled twice at a time. The harness writes the status, only when it changed.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Kind: Kind;
    /// What `dereference` found: the things that the object refers to.
    type Inputs: Send;
    /// The object and its inputs after validation, in the types of the domain.
    type Valid: Send;
    /// What has to be there: objects, requests, settings.
    type Built: Send;
    /// What was done; the status can be computed from nothing else.
    type Applied: Send;
    /// Why a step failed.
    type Error: ReconcileError;

    /// Name of the controller, in lower case with dashes: field manager, metric label and event reporter.
    const NAME: &'static str;

    /// Reads what the object refers to, from mirrors where possible.
    fn dereference(
        &self,
        object: &Self::Kind,
    ) -> impl Future<Output = Result<Self::Inputs, Self::Error>> + Send;

    /// Checks the object with its inputs. No input or output.
    ///
    /// # Errors
    /// Usually of [`crate::Category::InvalidSpec`].
    fn validate(
        &self,
        object: &Self::Kind,
        inputs: Self::Inputs,
        now: Timestamp,
    ) -> Result<Self::Valid, Self::Error>;

    /// Computes what has to be there. No input or output.
    ///
    /// # Errors
    /// When nothing sensible can be built.
    fn build(
        &self,
        object: &Self::Kind,
        valid: Self::Valid,
        now: Timestamp,
    ) -> Result<Self::Built, Self::Error>;

    /// Makes it so.
    fn apply(
        &self,
        object: &Self::Kind,
        built: Self::Built,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Applied, Self::Error>> + Send;

    /// Computes the status. No input or output.
    fn update_status(
        &self,
        object: &Self::Kind,
        applied: Self::Applied,
        now: Timestamp,
    ) -> Report<StatusOf<Self::Kind>>;

    /// The status after a failed step; `None` keeps it as it is, except for the shared conditions.
    fn status_on_error(
        &self,
        _object: &Self::Kind,
        _error: &Self::Error,
        _now: Timestamp,
    ) -> Option<StatusOf<Self::Kind>> {
        None
    }

    /// True for an object with `suspend: true`: no step runs and nothing is written.
    fn suspended(&self, _object: &Self::Kind) -> bool {
        false
    }

    /// Called when the object is gone, to drop what is held for it in memory.
    fn forget(&self, _object: &Self::Kind) {}
}
