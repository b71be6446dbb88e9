//! Places where a test can stop the lake as a crash would.

/// The lake was stopped at a chosen place; happens in tests only.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a test")]
pub(crate) struct Stopped;

/// Counts the places passed; a test stops everything from the n-th on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    left: Option<std::sync::Arc<std::sync::atomic::AtomicI64>>,
}

impl Faults {
    /// Lets `places` places pass, and stops at every later one.
    #[cfg(test)]
    pub(crate) fn stop_after(places: i64) -> Self {
        Self { left: Some(std::sync::Arc::new(std::sync::atomic::AtomicI64::new(places))) }
    }

    /// Whether it has stopped.
    #[cfg(test)]
    pub(crate) fn stopped(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(std::sync::atomic::Ordering::SeqCst) < 0)
    }

    /// Called after each write; always succeeds outside of tests.
    #[cfg(test)]
    pub(crate) fn reach(&self) -> Result<(), Stopped> {
        use std::sync::atomic::Ordering::SeqCst;
        match &self.left {
            Some(left) if left.fetch_sub(1, SeqCst) <= 0 => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// Called after each write; always succeeds outside of tests.
    #[cfg(not(test))]
    pub(crate) fn reach(&self) -> Result<(), Stopped> {
        Ok(())
    }
}
