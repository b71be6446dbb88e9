//! The clock that controllers read: wall time in a live run, stepped in a replay.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

type NowFn = Arc<dyn Fn() -> Timestamp + Send + Sync>;
type Listener = Box<dyn Fn() -> Listening + Send>;

/// What a listener says about itself after each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    /// Call it again.
    Yes,
    /// Its controller has ended: forget it.
    No,
}

/// Source of *now* for conditions and [`crate::Requeue::At`]; clones share it.
///
/// Retries and leases don't use it: they run on the machine's monotonic clock.
#[derive(Clone)]
pub struct Clock {
    now: NowFn,
    listeners: Arc<Mutex<Vec<Listener>>>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Clock").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Clock {
    /// Wall time.
    #[must_use]
    pub fn wall() -> Self {
        Self::from_fn(Arc::new(Timestamp::now))
    }

    /// Any other time. Whoever steps it calls [`Clock::moved`] after each step.
    #[must_use]
    pub fn from_fn(now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self { now, listeners: Arc::default() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Says that the time was stepped. Reconciles that became due count as queued when this returns, so that
    /// [`crate::Activity::settled`] awaited right after it waits for them.
    pub fn moved(&self) {
        self.listeners.lock().retain(|listener| listener() == Listening::Yes);
    }

    pub(crate) fn on_moved(&self, listener: impl Fn() -> Listening + Send + 'static) {
        self.listeners.lock().push(Box::new(listener));
    }
}
