//! Where time is spent: self time of a node's operations, and time lost on the link between two nodes.

use std::collections::BTreeMap;

use ahash::AHashMap;

use crate::case::{Span, SpanKind, SpanStatus, Sym};
use crate::stats::{mean, quantile, sorted};

/// Spans with their parents resolved.
pub(crate) struct Tree<'a> {
    pub spans: &'a [Span],
    /// Children of each span, in order of start.
    pub children: Vec<Vec<u32>>,
    /// Parent of each span within the data.
    pub parent: Vec<Option<u32>>,
}

impl<'a> Tree<'a> {
    pub(crate) fn of(spans: &'a [Span]) -> Self {
        let mut index: AHashMap<(u128, u64), u32> = AHashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().enumerate() {
            index.insert((span.trace, span.span), at as u32);
        }
        let mut children = vec![Vec::new(); spans.len()];
        let mut parent = vec![None; spans.len()];
        for (at, span) in spans.iter().enumerate() {
            if span.parent == 0 {
                continue;
            }
            if let Some(up) = index.get(&(span.trace, span.parent)).copied().filter(|up| *up != at as u32) {
                children[up as usize].push(at as u32);
                parent[at] = Some(up);
            }
        }
        for list in &mut children {
            list.sort_by_key(|c| (spans[*c as usize].start_us, spans[*c as usize].span));
        }
        Self { spans, children, parent }
    }

    /// Position of a span by trace and span id.
    pub(crate) fn index(&self) -> AHashMap<(u128, u64), u32> {
        self.spans.iter().enumerate().map(|(at, s)| ((s.trace, s.span), at as u32)).collect()
    }

    /// The callee's span when this one is the caller's side of exactly one call.
    pub(crate) fn answered_by(&self, at: usize) -> Option<usize> {
        match self.children[at].as_slice() {
            [only] if self.spans[*only as usize].entity != self.spans[at].entity => Some(*only as usize),
            _ => None,
        }
    }

    /// Spans of an entity during which a call to another one failed: the callee said so, or answered after the caller had
    /// given up. A call that only the caller calls failed, such as a refused request, may be the caller's own fault.
    pub(crate) fn cut_short(&self) -> Vec<bool> {
        let mut out = vec![false; self.spans.len()];
        for (at, span) in self.spans.iter().enumerate() {
            let Some(caller) = self.parent[at].filter(|up| self.spans[*up as usize].entity != span.entity)
            else {
                continue;
            };
            let asked = &self.spans[caller as usize];
            let failed = span.status == SpanStatus::Error;
            let late = asked.status == SpanStatus::Error && span.duration_us > asked.duration_us;
            let mut up = Some(caller).filter(|_| failed || late);
            while let Some(here) = up.filter(|here| !out[*here as usize]) {
                out[here as usize] = true;
                up = self.parent[here as usize]
                    .filter(|next| self.spans[*next as usize].entity == self.spans[here as usize].entity);
            }
        }
        out
    }

    /// Microseconds of a span that no child covers. A sibling that lies inside counts as a child: reactive frameworks
    /// report a handler and the call that it waits for side by side.
    fn self_time(&self, at: usize) -> f64 {
        let span = &self.spans[at];
        let (begin, end) = (span.start_us, span.start_us + span.duration_us);
        let mut covered: Vec<(i64, i64)> = Vec::new();
        for child in &self.children[at] {
            let other = &self.spans[*child as usize];
            covered.push((other.start_us.max(begin), (other.start_us + other.duration_us).min(end)));
        }
        if let Some(up) = self.parent[at] {
            for sibling in self.children[up as usize].iter().filter(|s| **s as usize != at) {
                let other = &self.spans[*sibling as usize];
                let (a, b) = (other.start_us.max(begin), (other.start_us + other.duration_us).min(end));
                if (b - a) * 10 >= other.duration_us * 8 && b > a {
                    covered.push((a, b));
                }
            }
        }
        covered.sort_unstable();
        let (mut busy, mut until) = (0, begin);
        for (a, b) in covered {
            let from = a.max(until);
            if b > from && b > begin {
                busy += b - from;
                until = b;
            }
        }
        (span.duration_us - busy).max(0) as f64
    }

    /// Calls between entities, sorted and distinct.
    pub(crate) fn calls(&self) -> Vec<(Sym, Sym)> {
        let mut out: Vec<(Sym, Sym)> = Vec::new();
        for (at, span) in self.spans.iter().enumerate() {
            if let Some(up) = self.parent[at] {
                let caller = self.spans[up as usize].entity;
                if caller != span.entity {
                    out.push((caller, span.entity));
                }
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

type Times = BTreeMap<(Sym, Sym), Vec<f64>>;

/// Self times by (entity, operation) and link times by (caller, callee), microseconds.
fn times(tree: &Tree<'_>) -> (Times, Times) {
    let (mut own, mut link): (Times, Times) = Default::default();
    for (at, span) in tree.spans.iter().enumerate() {
        match tree.answered_by(at) {
            Some(child) if span.kind != SpanKind::Server => {
                let child = &tree.spans[child];
                let lost = (span.duration_us - child.duration_us).max(0) as f64;
                link.entry((span.entity, child.entity)).or_default().push(lost);
            }
            _ => own.entry((span.entity, span.operation)).or_default().push(tree.self_time(at)),
        }
    }
    (own, link)
}

/// Time that an operation or a link costs more than usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    /// Entity, or caller of the link.
    pub from: Sym,
    /// Operation, or callee of the link.
    pub to: Sym,
    /// Excess over all spans, microseconds, weighted by how clear it is.
    pub excess_us: f64,
    /// Typical time when normal, microseconds.
    pub normal_us: f64,
    /// Mean time now, microseconds.
    pub observed_us: f64,
    /// Spans now.
    pub count: usize,
}

/// What the spans say about time.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeShift {
    pub own: Vec<Slow>,
    pub links: Vec<Slow>,
    /// Usual time of all requests of the incident, microseconds: the usual duration of each root operation times its count.
    pub request_us: f64,
}

impl TimeShift {
    /// Compares the spans of the incident with those of normal operation.
    pub(crate) fn of(now: &Tree<'_>, usual: &Tree<'_>) -> Self {
        let (own, links) = times(now);
        let (own_usual, links_usual) = times(usual);
        Self {
            own: compare(own, &own_usual),
            links: compare(links, &links_usual),
            request_us: usual_request_time(now, usual),
        }
    }
}

fn compare(now: Times, usual: &Times) -> Vec<Slow> {
    let mut out = Vec::new();
    for (key, values) in now {
        let Some(normal) = usual.get(&key).filter(|v| v.len() >= 3) else {
            continue;
        };
        // Sorted, so that sums do not depend on the order of the spans.
        let values = sorted(values);
        let normal = sorted(normal.iter().copied());
        let typical = quantile(&normal, 0.5);
        // A baseline holds a few slow spans of its own: they raise the bar instead of the level.
        let high = quantile(&normal, 0.9).max(typical * 1.5);
        let usual_mean = mean(normal.iter().map(|v| v.min(high)));
        let observed = mean(values.iter().copied());
        let gain = (observed - usual_mean).max(0.0);
        let slow_share = values.iter().filter(|v| **v > high + 1000.0).count() as f64 / values.len() as f64;
        // Clear when the time is several times the usual one, and more spans than usual are slow; a handful of slow spans
        // may be anything.
        let slow = slow_share * values.len() as f64;
        let enough = ((slow - 1.0) / 4.0).clamp(0.0, 1.0);
        let effect = ((observed + 500.0) / (usual_mean + 500.0)).ln() / 3.0_f64.ln();
        let clear = effect.clamp(0.0, 1.0) * ((slow_share - 0.1) / 0.3).clamp(0.0, 1.0) * enough;
        out.push(Slow {
            from: key.0,
            to: key.1,
            excess_us: gain * values.len() as f64 * clear,
            normal_us: typical,
            observed_us: observed,
            count: values.len(),
        });
    }
    out
}

fn usual_request_time(now: &Tree<'_>, usual: &Tree<'_>) -> f64 {
    let durations = |tree: &Tree<'_>| {
        let mut out: Vec<f64> = Vec::new();
        for (at, span) in tree.spans.iter().enumerate() {
            if tree.parent[at].is_none() {
                out.push(span.duration_us as f64);
            }
        }
        out
    };
    let (now, usual) = (durations(now), durations(usual));
    let typical = mean(sorted(usual));
    if typical.is_finite() { typical * now.len() as f64 } else { 0.0 }
}
