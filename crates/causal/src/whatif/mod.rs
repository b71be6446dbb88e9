//! What a repair would do to what it touches and to its neighbours, before it is done.
//!
//! ```text
//!   System (learned from telemetry) ─┐   load: instances, CPU, connections, nodes; requests flow down    ┐
//!   Change (what the plan does)    ──┴─► time: use stretches the own time; callers wait for callees      ├─► Effect
//!                                        failure: what is refused fails, and callers with it             ┘
//! ```
//!
//! Utilisation arithmetic (Jain, *The Art of Computer Systems Performance Analysis*, 1991, ch. 33: demand over capacity) with
//! quantities that were all measured: what a request costs, how often it leads to another, how connections are shared. What
//! takes back a change leads to the level before it, if the change made a difference. What replaces instances may lead to what
//! is usual, or not: the interval covers both. Every interval has, besides, how far the series wanders by itself.
//!
//! Cost: services × windows, and calls × depth.

#[cfg(test)]
mod tests;

mod cold;
mod failure;
mod level;
mod load;
mod nodes;
mod outlook;
mod room;
mod system;
mod time;
mod verdict;

pub use system::{Call, Change, Node, Service, Store, System};

/// Seconds after the last step from which on an effect is measured: new instances are warm then.
pub const SETTLE_S: f64 = 150.0;
/// Seconds over which it is measured.
pub const MEASURE_S: f64 = 150.0;

/// A signal that is foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Signal {
    /// Requests that arrive, per second.
    Rate,
    /// Mean seconds of a request.
    Latency,
    /// Share of the requests that fail, 0 to 1.
    Errors,
    /// Used share of the CPU limit, 0 to 1.
    Cpu,
    /// Used share of the connections to a store, 0 to 1.
    Pool,
}

/// What becomes of one signal: the mean of the [`MEASURE_S`] seconds that begin [`SETTLE_S`] after the last step.
#[derive(Clone, Debug, PartialEq)]
pub struct Foretold {
    /// Service as in telemetry.
    pub entity: String,
    /// Signal.
    pub signal: Signal,
    /// Mean of the last minute and a half.
    pub now: f64,
    /// As likely too high as too low.
    pub median: f64,
    /// Ends of the interval that holds the outcome in 80 of 100 cases.
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

/// Whether harm is foretold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It would do more harm than it does good.
    Harm,
    /// No harm is foretold.
    NoHarm,
    /// Too little is known to say: no harm is foretold either.
    #[default]
    Unknown,
}

/// What a repair would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// Whether harm is foretold.
    pub verdict: Verdict,
    /// Why, in one sentence with the figures.
    pub summary: String,
    /// What is touched first, then neighbours by how much changes.
    pub signals: Vec<Foretold>,
}

/// Foretells what `changes` do.
#[must_use]
pub fn predict(system: &System, changes: &[Change]) -> Effect {
    let present = load::at_present(system);
    let after = load::afterwards(system, &present, changes);
    let outlook = outlook::Outlook::of(system, changes, &present, &after);
    let (verdict, summary) = verdict::judge(system, changes, &present, &after, &outlook);
    Effect { verdict, summary, signals: outlook.signals() }
}
