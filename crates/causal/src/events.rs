//! What an operation does each time it runs: calls it makes and lines it writes. An operation that suddenly leaves out what
//! it always did, or says what it never said, has changed itself (after the event patterns of Nezha, FSE 2023).
//!
//! Counting is relative to the operation's own runs, so that churn of the traffic mix does not show.

use std::collections::BTreeMap;

use ahash::{AHashMap, AHashSet};

use crate::case::{Case, LogLine, SpanStatus, Sym};
use crate::graph::Graph;
use crate::spans::Tree;
use crate::template::{Key, key, operation_of_failure};
use crate::text::contains_word;

/// Something that a run of an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Event {
    /// Runs a child operation, here or at a callee.
    Child(Sym, Sym),
    /// Writes a line of this template.
    Line(Key),
    /// Ends with an error status.
    Failed,
}

/// Which runs of an operation are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Given {
    /// All of them.
    Any,
    /// Those that another operation of the same entity asked for: what a shared function does depends on who asks.
    AskedBy(Sym),
    /// Those that wrote this line: what is said in one breath belongs together, however often it is said.
    Beside(Key),
}

type Operation = (Sym, Sym, Given);

/// Names of callees with fewer characters are taken for words.
const SHORTEST: usize = 3;
/// Words of lines about a call that failed.
const OF_CALLS: [&str; 9] = [
    "call to",
    "calling",
    "request to",
    "timed out",
    "timeout",
    "deadline exceeded",
    "refused",
    "unavailable",
    "unreachable",
];

/// Lines belong together when this share of the runs with the one has the other.
const FIRM: f64 = 0.95;
/// Lines of a run that are looked at in pairs; more only bound the work.
const PAIRED: usize = 64;

#[derive(Default)]
struct Table {
    runs: BTreeMap<Operation, f64>,
    seen: BTreeMap<(Operation, Event), f64>,
    /// Lines outside any known span, by entity, and lines of each entity overall.
    loose: BTreeMap<(Sym, Key), f64>,
    lines: BTreeMap<Sym, f64>,
    spans: BTreeMap<Sym, f64>,
}

/// A change of what an operation does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    pub entity: Sym,
    /// The operation; `None` for lines that belong to no span.
    pub operation: Option<Sym>,
    /// Which of its runs are meant.
    pub given: Given,
    pub event: Event,
    /// Robust deviation, always positive; larger is clearer.
    pub z: f64,
    /// Share (or count, without an operation) when normal.
    pub normal: f64,
    /// Share (or count) now.
    pub observed: f64,
}

impl Shift {
    /// Whether the event appeared (rather than stopped).
    pub(crate) fn appeared(&self) -> bool {
        self.observed > self.normal
    }
}

/// Compares what operations did in the incident with what they do normally; only bad directions are kept, clearest first.
pub(crate) fn shifts(case: &Case, graph: &Graph, now: &Tree<'_>, usual: &Tree<'_>) -> Vec<Shift> {
    let after = table(now, &case.logs);
    let before = table(usual, &case.baseline_logs);
    let mut out = Vec::new();
    operations(case, &after, &before, &mut out);
    loose_lines(&after, &before, &mut out);
    let complaints = complaints(case, graph);
    out.retain(|s| !matches!(s.event, Event::Line(line) if complaints.contains(&(s.entity, line))));
    out.sort_by(|a, b| {
        b.z.total_cmp(&a.z)
            .then_with(|| case.name(a.entity).cmp(case.name(b.entity)))
            .then_with(|| a.operation.map(|o| case.name(o)).cmp(&b.operation.map(|o| case.name(o))))
            .then_with(|| named(case, a.event).cmp(&named(case, b.event)))
            .then_with(|| given(case, a.given).cmp(&given(case, b.given)))
    });
    out
}

/// Bad lines that say a call to a callee of who wrote them failed, such as "call to tax timed out": they speak of the
/// callee, not of a habit of the writer. The callee's name alone is not enough: it may be an ordinary word.
fn complaints(case: &Case, graph: &Graph) -> AHashSet<(Sym, Key)> {
    let complains = |line: &LogLine| {
        let first = line.message.lines().next().unwrap_or_default().to_ascii_lowercase();
        if !OF_CALLS.iter().any(|word| first.contains(word)) {
            return false;
        }
        let callees = graph.at(line.entity).map(|node| graph.callees[node].as_slice()).unwrap_or_default();
        callees.iter().any(|callee| {
            let name = case.name(graph.nodes[*callee]);
            let short = name.rsplit('/').next().unwrap_or(name);
            short.len() >= SHORTEST && contains_word(&first, &short.to_ascii_lowercase())
        })
    };
    let bad = case.logs.iter().map(|line| (line, key(line))).filter(|(_, key)| key.bad);
    bad.filter(|(line, _)| complains(line)).map(|(line, key)| (line.entity, key)).collect()
}

/// Order of events that does not depend on the order in which names were met.
fn named(case: &Case, event: Event) -> (u8, &str, &str, Option<Key>) {
    match event {
        Event::Child(entity, operation) => (0, case.name(entity), case.name(operation), None),
        Event::Line(key) => (1, "", "", Some(key)),
        Event::Failed => (2, "", "", None),
    }
}

/// The same for the runs that are meant.
fn given(case: &Case, given: Given) -> (u8, &str, Option<Key>) {
    match given {
        Given::Any => (0, "", None),
        Given::AskedBy(operation) => (1, case.name(operation), None),
        Given::Beside(key) => (2, "", Some(key)),
    }
}

fn operations(case: &Case, after: &Table, before: &Table, out: &mut Vec<Shift>) {
    let keys: std::collections::BTreeSet<_> = after.seen.keys().chain(before.seen.keys()).copied().collect();
    for key in keys {
        let (operation, event) = key;
        let runs = after.runs.get(&operation).copied().unwrap_or(0.0);
        let usual_runs = before.runs.get(&operation).copied().unwrap_or(0.0);
        if runs < 3.0 || usual_runs < 3.0 {
            continue;
        }
        let seen = after.seen.get(&key).copied().unwrap_or(0.0);
        let usual = before.seen.get(&key).copied().unwrap_or(0.0);
        let z = proportion_z(seen, runs, usual, usual_runs);
        if matches!(operation.2, Given::Beside(_)) && usual < FIRM * usual_runs {
            continue;
        }
        if worsens(case, event, z > 0.0) {
            out.push(Shift {
                entity: operation.0,
                operation: Some(operation.1),
                given: operation.2,
                event,
                z: z.abs(),
                normal: usual / usual_runs,
                observed: seen / runs,
            });
        }
    }
}

/// Failures are bad when they appear; everything else is bad when it stops.
fn worsens(case: &Case, event: Event, appears: bool) -> bool {
    let failure = match event {
        Event::Child(_, operation) => operation_of_failure(case.name(operation)),
        Event::Line(key) => key.bad,
        Event::Failed => true,
    };
    failure == appears
}

/// Difference of two shares over its standard error. What an operation does always (or never) is a firm habit; what it does
/// now and then depends on its input, so its share is allowed to wander.
fn proportion_z(seen: f64, runs: f64, usual: f64, usual_runs: f64) -> f64 {
    let (p, q) = (seen / runs, usual / usual_runs);
    let habit = (usual + 0.5) / (usual_runs + 1.0);
    let pooled = ((seen + usual + 0.5) / (runs + usual_runs + 1.0)).clamp(0.001, 0.999);
    let sampling = pooled * (1.0 - pooled) * (1.0 / runs + 1.0 / usual_runs);
    let wander = 0.36 * habit * (1.0 - habit);
    (p - q) / (sampling + wander).sqrt()
}

fn loose_lines(after: &Table, before: &Table, out: &mut Vec<Shift>) {
    let keys: std::collections::BTreeSet<_> =
        after.loose.keys().chain(before.loose.keys()).copied().collect();
    for (entity, line) in keys {
        let volume = |t: &Table| {
            // The entity's own work: spans where it has some, else its lines.
            let lines = t.lines.get(&entity).copied().unwrap_or(0.0);
            (t.spans.get(&entity).copied().unwrap_or(0.0), lines)
        };
        let (now, usual) = (volume(after), volume(before));
        let ratio =
            if now.0 >= 20.0 && usual.0 >= 20.0 { now.0 / usual.0 } else { (now.1 + 5.0) / (usual.1 + 5.0) };
        let seen = after.loose.get(&(entity, line)).copied().unwrap_or(0.0);
        let count = before.loose.get(&(entity, line)).copied().unwrap_or(0.0);
        let expected = (count + 0.5) * ratio.clamp(0.01, 100.0);
        let z = (seen - expected) / (expected + (0.5 * expected).powi(2) + 0.25).sqrt();
        if line.bad == (z > 0.0) && z.abs() > 1.0 {
            out.push(Shift {
                entity,
                operation: None,
                given: Given::Any,
                event: Event::Line(line),
                z: z.abs().min(12.0),
                normal: expected,
                observed: seen,
            });
        }
    }
}

fn table(tree: &Tree<'_>, logs: &[LogLine]) -> Table {
    let mut out = Table::default();
    let index = tree.index();
    let mut lines: AHashMap<u32, AHashSet<Key>> = AHashMap::new();
    for line in logs {
        let key = key(line);
        let count = f64::from(line.count.max(1));
        *out.lines.entry(line.entity).or_default() += count;
        let span = (line.span != 0).then(|| index.get(&(line.trace, line.span)).copied()).flatten();
        match span {
            Some(at) if tree.spans[at as usize].entity == line.entity => {
                lines.entry(at).or_default().insert(key);
            }
            _ => *out.loose.entry((line.entity, key)).or_default() += count,
        }
    }
    let cut_short = tree.cut_short();
    for (at, span) in tree.spans.iter().enumerate() {
        *out.spans.entry(span.entity).or_default() += 1.0;
        // What a failed call cut short says nothing of the habits of who asked.
        if tree.answered_by(at).is_some() || cut_short[at] {
            continue;
        }
        let asked = tree.parent[at].map(|up| &tree.spans[up as usize]).filter(|up| up.entity == span.entity);
        let runs_of = |given| (span.entity, span.operation, given);
        let places = [Some(Given::Any), asked.map(|up| Given::AskedBy(up.operation))];
        for operation in places.into_iter().flatten().map(runs_of) {
            *out.runs.entry(operation).or_default() += 1.0;
        }
        let mut events: Vec<Event> = tree.children[at]
            .iter()
            .map(|c| {
                let child = &tree.spans[tree.answered_by(*c as usize).unwrap_or(*c as usize)];
                Event::Child(child.entity, child.operation)
            })
            .collect();
        if span.status == SpanStatus::Error {
            events.push(Event::Failed);
        }
        if let Some(keys) = lines.get(&(at as u32)) {
            events.extend(keys.iter().map(|k| Event::Line(*k)));
        }
        events.sort_unstable();
        events.dedup();
        let written = || events.iter().filter(|e| matches!(e, Event::Line(k) if !k.bad)).take(PAIRED);
        for (event, given) in written().filter_map(|e| match e {
            Event::Line(key) => Some((e, runs_of(Given::Beside(*key)))),
            _ => None,
        }) {
            *out.runs.entry(given).or_default() += 1.0;
            for other in written().filter(|o| *o != event) {
                *out.seen.entry((given, *other)).or_default() += 1.0;
            }
        }
        for event in events {
            for operation in places.into_iter().flatten().map(runs_of) {
                *out.seen.entry((operation, event)).or_default() += 1.0;
            }
        }
    }
    out
}
