//! The process's `now`: wall time, or the time that a replay steps to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_model::{Clock, Micros};
use clap::ValueEnum;

/// Where `now` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockMode {
    /// The machine's clock
    #[default]
    Wall,
    /// Set through the API, for replays
    Stepped,
}

/// One clock for all roles of the process.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    stepped: Option<AtomicI64>,
}

impl ProcessClock {
    /// A clock; a stepped one starts at `first`, or else at the machine's time.
    pub(crate) fn new(mode: ClockMode, first: Option<jiff::Timestamp>) -> Arc<Self> {
        let first = first.map_or_else(machine_us, jiff::Timestamp::as_microsecond);
        let stepped = (mode == ClockMode::Stepped).then(|| AtomicI64::new(first));
        Arc::new(Self { stepped })
    }

    /// Steps to a later time. `None` when the clock is not stepped; going back is ignored.
    pub(crate) fn step(&self, now_us: Micros) -> Option<Micros> {
        let clock = self.stepped.as_ref()?;
        Some(clock.fetch_max(now_us, Ordering::SeqCst).max(now_us))
    }

    /// The clock of controllers.
    pub(crate) fn for_controllers(self: &Arc<Self>) -> causeway_kubekit::Clock {
        let clock = Arc::clone(self);
        causeway_kubekit::Clock::from_fn(Arc::new(move || clock.timestamp()))
    }

    /// `now` for controllers.
    pub(crate) fn timestamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.now_us()).unwrap_or_default()
    }
}

impl Clock for ProcessClock {
    fn now_us(&self) -> Micros {
        self.stepped.as_ref().map_or_else(machine_us, |clock| clock.load(Ordering::SeqCst))
    }
}

fn machine_us() -> Micros {
    jiff::Timestamp::now().as_microsecond()
}
