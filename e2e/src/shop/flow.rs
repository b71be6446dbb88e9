//! Calls between services: who is asked, how long the caller waits, and how often it succeeds after its retries.

use super::rng::exceeds;
use super::topology::{Call, Topology};
use super::world::World;

/// Whom a call goes to, as positions in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A service.
    Service(usize),
    /// A store.
    Store(usize),
}

/// A call with its names resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Callee.
    pub to: Callee,
    /// Calls per request.
    pub per: f64,
    /// A failure is answered by a fallback.
    pub soft: bool,
    /// Broker, where nobody waits.
    pub via: Option<usize>,
    /// Answers are cached.
    pub cached: bool,
    /// Journey of the entry service that it belongs to.
    pub journey: Option<usize>,
    /// Share of the caller's requests that take part; 1 but for journeys.
    pub share: f64,
}

impl Edge {
    /// The store whose connections the caller uses for it, where it has a pool of them.
    pub(super) fn pooled(&self) -> Option<usize> {
        match (self.to, self.via) {
            (Callee::Store(store), None) => Some(store),
            _ => None,
        }
    }
}

/// How an instance answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Answer {
    /// Mean seconds.
    pub time: f64,
    /// Share that succeeds.
    pub good: f64,
}

/// How a call goes, seen by the caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean seconds that the caller waits, over all attempts.
    pub time: f64,
    /// Share that succeeds in the end.
    pub good: f64,
    /// Attempts per call.
    pub attempts: f64,
    /// Share of the failed attempts that are made again, while retries are left.
    pub again: f64,
}

/// Retries that a caller may make for each of its calls on average, as service meshes limit them.
const RETRY_BUDGET: f64 = 0.2;

/// The calls of a topology whose names are known to be right.
pub(super) fn edges(topology: &Topology) -> Vec<Vec<Edge>> {
    let edge = |(journey, call): (Option<usize>, &Call)| {
        let service = topology.service(&call.to).map(Callee::Service);
        let to = service.or_else(|| topology.store(&call.to).map(Callee::Store))?;
        let share = journey.map_or(1.0, |j| topology.journeys[j].share);
        let via = call.via.as_deref().and_then(|via| topology.store(via));
        Some(Edge { to, per: call.per, soft: call.soft, via, cached: call.cached, journey, share })
    };
    let calls = topology.services.iter().map(|service| topology.calls_of(service));
    calls.map(|calls| calls.into_iter().filter_map(edge).collect()).collect()
}

impl World {
    /// Seconds that a service waits for an answer, and how often it asks again.
    pub(super) fn patience(&self, caller: usize) -> (f64, usize) {
        let timeout = self.number(caller, "CALL_TIMEOUT_MS") / 1e3;
        (timeout, self.number(caller, "CALL_RETRIES").min(10.0) as usize)
    }

    /// How a call of a service goes, by what the last second was like.
    pub(super) fn call(&self, caller: usize, edge: &Edge) -> Outcome {
        let asked = |store, good| Outcome { time: self.query_time(store), good, attempts: 1.0, again: 0.0 };
        let to = match (edge.to, edge.via) {
            (_, Some(broker)) => return asked(broker, 1.0),
            (Callee::Store(store), None) => return asked(store, 1.0 - self.stores[store].last.turned_away()),
            (Callee::Service(to), None) => to,
        };
        let (timeout, retries) = self.patience(caller);
        let own = self.instances_of(to);
        let n = own.len() as f64;
        let (mut good, mut time) = (0.0, 0.0);
        for answer in own.iter().map(|instance| instance.answer) {
            // Before its first second an instance is taken to be well.
            let answer = if answer == Answer::default() { Answer { time: 0.01, good: 1.0 } } else { answer };
            let late = exceeds(answer.time, timeout);
            good += answer.good * (1.0 - late) / n;
            // What is too late costs the timeout, what is not its mean time at most.
            time += (late * timeout + (1.0 - late) * answer.time.min(timeout)) / n;
        }
        let bad = if own.is_empty() { 1.0 } else { (1.0 - good).clamp(0.0, 1.0) };
        let again = (RETRY_BUDGET / bad.max(1e-9)).min(1.0);
        let (mut attempts, mut failed) = (1.0, bad);
        for _ in 0..retries {
            let retried = failed * again;
            attempts += retried;
            failed -= retried * (1.0 - bad);
        }
        Outcome { time: time * attempts, good: 1.0 - failed, attempts, again }
    }
}
