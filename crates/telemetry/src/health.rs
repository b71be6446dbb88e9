//! Named readiness checks, and whether the process is alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// State of one readiness check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckState {
    /// The part can do its work.
    Ready,
    /// The part can't do its work now, with the reason in a few words (no secrets: it is shown without a login).
    NotReady(String),
}

/// All checks at one moment, in order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Name and state of every registered check.
    pub checks: Vec<(String, CheckState)>,
}

impl Readiness {
    /// True when every check is ready; true without any check.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, state)| *state == CheckState::Ready)
    }
}

/// Health of this process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    checks: BTreeMap<String, CheckState>,
    failure: Option<String>,
}

impl Health {
    /// Makes a health without checks: alive and ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the check `name`, not ready until its handle says so. The check goes away with its handle.
    #[must_use]
    pub fn register(&self, name: impl Into<String>) -> ReadinessCheck {
        let check = ReadinessCheck { name: name.into(), health: self.clone() };
        check.set(CheckState::NotReady("starting".to_owned()));
        check
    }

    /// Says that the process can't recover by itself: `/healthz` fails from now on, so that it is restarted.
    pub fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(reason, "process is unhealthy");
        self.inner.write().failure = Some(reason);
    }

    /// The reason given to [`Health::fail`], `None` while the process is alive.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.read().failure.clone()
    }

    /// All checks as they are now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let inner = self.inner.read();
        Readiness { checks: inner.checks.iter().map(|(name, state)| (name.clone(), state.clone())).collect() }
    }
}

/// Handle of one check. Dropping it removes the check.
#[derive(Debug)]
pub struct ReadinessCheck {
    name: String,
    health: Health,
}

impl ReadinessCheck {
    /// Says that the part can do its work.
    pub fn ready(&self) {
        self.set(CheckState::Ready);
    }

    /// Says that the part can't do its work, and why.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(CheckState::NotReady(reason.into()));
    }

    fn set(&self, state: CheckState) {
        self.health.inner.write().checks.insert(self.name.clone(), state);
    }
}

impl Drop for ReadinessCheck {
    fn drop(&mut self) {
        self.health.inner.write().checks.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_that_is_not_ready_is_enough() {
        let health = Health::new();
        assert!(health.readiness().is_ready());
        let lake = health.register("lake");
        let wal = health.register("wal");
        wal.ready();
        assert!(!health.readiness().is_ready());
        lake.ready();
        assert!(health.readiness().is_ready());
        lake.not_ready("bucket unreachable");
        assert_eq!(
            health.readiness().checks,
            [
                ("lake".to_owned(), CheckState::NotReady("bucket unreachable".to_owned())),
                ("wal".to_owned(), CheckState::Ready),
            ]
        );
        drop(lake);
        assert!(health.readiness().is_ready());
    }

    #[test]
    fn failing_is_for_good() {
        let health = Health::new();
        assert_eq!(health.failure(), None);
        health.clone().fail("leadership lost");
        assert_eq!(health.failure().as_deref(), Some("leadership lost"));
    }
}
