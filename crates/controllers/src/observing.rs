//! Controllers that only look: everything they do is a status computed from mirrors.

use std::future::{Future, ready};

use causeway_kubekit::{Kind, Reconciler, Report, StatusOf};
use jiff::Timestamp;

use crate::error::ControllerError;

/// Computes the status of a kind from the object and what is in memory.
pub(crate) trait Observer: Send + Sync + 'static {
    type Kind: Kind;
    const NAME: &'static str;

    /// Waits for what a mirror of all objects of a kind can't give.
    fn prepare(&self, _object: &Self::Kind) -> impl Future<Output = ()> + Send {
        ready(())
    }

    fn report(&self, object: &Self::Kind, now: Timestamp) -> Report<StatusOf<Self::Kind>>;

    fn forget(&self, _object: &Self::Kind) {}
}

/// Runs an [`Observer`] in the harness.
pub(crate) struct Observing<O>(pub(crate) O);

impl<O: Observer> Reconciler for Observing<O> {
    type Kind = O::Kind;
    type Inputs = ();
    type Valid = ();
    type Built = ();
    type Applied = ();
    type Error = ControllerError;

    const NAME: &'static str = O::NAME;

    async fn dereference(&self, object: &O::Kind) -> Result<(), ControllerError> {
        self.0.prepare(object).await;
        Ok(())
    }

    fn validate(&self, _object: &O::Kind, (): (), _now: Timestamp) -> Result<(), ControllerError> {
        Ok(())
    }

    fn build(&self, _object: &O::Kind, (): (), _now: Timestamp) -> Result<(), ControllerError> {
        Ok(())
    }

    async fn apply(&self, _object: &O::Kind, (): (), _now: Timestamp) -> Result<(), ControllerError> {
        Ok(())
    }

    fn update_status(&self, object: &O::Kind, (): (), now: Timestamp) -> Report<StatusOf<O::Kind>> {
        self.0.report(object, now)
    }

    fn forget(&self, object: &O::Kind) {
        self.0.forget(object);
    }
}
