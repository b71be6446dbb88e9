//! When records of a source were last refused.

use std::sync::atomic::{AtomicI64, Ordering};

use causeway_model::Micros;

use crate::IngestError;

const NEVER: i64 = i64::MIN;

/// When records of a source were last refused, by the clock of the transports, microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Because a limit of the source was reached.
    pub limited_us: Option<Micros>,
    /// Because they could not be read, or were too large.
    pub rejected_us: Option<Micros>,
}

/// Written by every transport, read by the source's status.
#[derive(Debug)]
pub(crate) struct Trouble {
    limited_us: AtomicI64,
    rejected_us: AtomicI64,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { limited_us: AtomicI64::new(NEVER), rejected_us: AtomicI64::new(NEVER) }
    }
}

impl Trouble {
    /// Remembers an error that is the source's.
    pub(crate) fn note(&self, error: &IngestError, now_us: Micros) {
        match error.category() {
            "rate_limited" => self.limited_us.store(now_us, Ordering::Relaxed),
            "too_large" | "unsupported" | "malformed" | "invalid" => self.reject(now_us),
            _ => {}
        }
    }

    /// Remembers that some records of a request were left out.
    pub(crate) fn reject(&self, now_us: Micros) {
        self.rejected_us.store(now_us, Ordering::Relaxed);
    }

    pub(crate) fn refusals(&self) -> Refusals {
        let read = |at: &AtomicI64| Some(at.load(Ordering::Relaxed)).filter(|at| *at != NEVER);
        Refusals { limited_us: read(&self.limited_us), rejected_us: read(&self.rejected_us) }
    }
}
