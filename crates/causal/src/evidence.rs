//! The evidence of a suspect in numbers.

use crate::case::{Case, Change as CaseChange, LogLine, State, Sym};
use crate::draft::change_line;
use crate::events::{Event, Given, Shift};
use crate::facts::Fact;
use crate::features::{ERRORS, LATENCY, LINK, MEMORY, RESTARTS, SATURATION, SILENCE, TIME, View};
use crate::frame::stack_frame;
use crate::ranking::{Evidence, EvidenceKind};
use crate::signal::Class;
use crate::template::{Key, key, source_location};
use crate::wording::{Change, FIRST_BAD, LINES, OF_RUNS};

/// At most this many pieces for each suspect.
const MOST: usize = 9;

/// Evidence of one node, strongest kinds first.
pub(crate) fn evidence(view: &View<'_>, node: usize) -> Vec<Evidence> {
    let mut out = Vec::new();
    if let Some((_, at)) = view.change(node).filter(|c| c.0 > 0.05) {
        out.push(change(view, at));
    }
    out.extend(states(view, node));
    metrics(view, node, &mut out);
    out.retain(says_something);
    spans(view, node, &mut out);
    behaviour(view, node, &mut out);
    if let Some(line) = first_bad_line(view, node) {
        out.push(log_line(view, line));
    }
    if out.iter().all(|e| e.kind != EvidenceKind::Metric) {
        most_unusual(view, node, &mut out);
    }
    out.truncate(MOST - 2);
    out.push(path(view, node));
    if let Some(away) = explained_away(view, node) {
        out.push(away);
    }
    out
}

fn metrics(view: &View<'_>, node: usize, out: &mut Vec<Evidence>) {
    let f = &view.features[node];
    let mut push = |fact: Option<&Fact>, note: String| {
        if let Some(fact) = fact {
            out.push(metric(view, fact, note));
        }
    };
    if f[ERRORS] > 0.02 {
        let fact = view.facts.errors(view.case, node).map(|e| e.2);
        push(fact, share_note(f[ERRORS], "failed requests"));
    }
    if f[LATENCY] > 0.02 {
        push(view.facts.of_class(view.case, node, Class::Latency), share_note(f[LATENCY], "extra latency"));
    }
    if f[SATURATION] > 0.02 {
        push(view.saturation(node).map(|s| s.1), "it is high and has grown".to_owned());
    }
    if f[RESTARTS] > 0.0 {
        push(view.restarts(node).map(|s| s.1), String::new());
    }
    if f[MEMORY] > 0.05 {
        push(view.memory_step(node).map(|s| s.1), "the step came at once, not as a trend".to_owned());
    }
    if f[LINK] > 0.05 {
        for caller in view.graph.callers[node].iter().take(2) {
            let fact = view.facts.worst(*caller, Class::LatencyClient).filter(|x| x.score.z > 1.5);
            push(fact, "it waits longer for its callees, although none of them serves slower".to_owned());
        }
    }
    if f[SILENCE] > 0.1 {
        for callee in view.graph.callees[node].iter().take(1) {
            push(
                view.facts.of_class(view.case, *callee, Class::Traffic),
                format!(
                    "it is called by {} only, and has gone quiet",
                    view.case.name(view.graph.nodes[node])
                ),
            );
        }
    }
}

/// The most unusual series, so that there is something to look at where nothing else is.
fn most_unusual(view: &View<'_>, node: usize, out: &mut Vec<Evidence>) {
    if let Some(fact) = view.facts.oddest(node) {
        out.push(metric(view, fact, "the most unusual of its series".to_owned()));
        out.retain(says_something);
    }
}

/// A series that is unusual only in its statistics, and shows people the same value as before, is no evidence to them.
fn says_something(evidence: &Evidence) -> bool {
    let (EvidenceKind::Metric, Some(before), Some(after)) =
        (evidence.kind, evidence.baseline, evidence.observed)
    else {
        return true;
    };
    !before.is_finite() || !after.is_finite() || Change::new(before, after, &evidence.unit).is_movement()
}

fn share_note(share: f64, what: &str) -> String {
    format!("its own part is {:.0} % of the {what} of the symptom", share * 100.0)
}

/// A series in numbers.
pub(crate) fn metric(view: &View<'_>, fact: &Fact, note: String) -> Evidence {
    let series = &view.case.series[fact.series];
    Evidence {
        kind: EvidenceKind::Metric,
        entity: view.case.name(series.entity).to_owned(),
        signal: format!("{} {}", series.metric, series.stat).trim().to_owned(),
        baseline: Some(fact.score.normal),
        observed: Some(fact.score.observed),
        unit: fact.signal.unit.to_owned(),
        at_us: view.case.times_us.get(fact.score.since).copied(),
        note,
    }
}

fn spans(view: &View<'_>, node: usize, out: &mut Vec<Evidence>) {
    if view.features[node][TIME] < 0.02 {
        return;
    }
    let entity = view.graph.nodes[node];
    let own =
        view.time.own.iter().filter(|s| s.from == entity).max_by(|a, b| a.excess_us.total_cmp(&b.excess_us));
    let link = view
        .time
        .links
        .iter()
        .filter(|s| s.from == entity || s.to == entity)
        .max_by(|a, b| a.excess_us.total_cmp(&b.excess_us));
    for (slow, is_link) in [(link, true), (own, false)] {
        let Some(slow) = slow.filter(|s| s.excess_us > 0.0) else { continue };
        let (from, to) = (view.case.name(slow.from), view.case.name(slow.to));
        out.push(Evidence {
            kind: EvidenceKind::Trace,
            entity: view.case.name(entity).to_owned(),
            signal: if is_link {
                format!("time on the link {from} -> {to}")
            } else {
                format!("self time of {to}")
            },
            baseline: Some(slow.normal_us / 1000.0),
            observed: Some(slow.observed_us / 1000.0),
            unit: "ms".to_owned(),
            at_us: None,
            note: if is_link {
                "it is lost between the caller's span and the callee's".to_owned()
            } else {
                "no child span covers it".to_owned()
            },
        });
    }
}

fn behaviour(view: &View<'_>, node: usize, out: &mut Vec<Evidence>) {
    let mut shown: Vec<&Shift> = Vec::new();
    for shift in view.shifts_of[node].iter().map(|at| &view.shifts[*at]).take_while(|s| s.z >= 2.0) {
        let again = shown.iter().any(|s| (s.operation, s.event) == (shift.operation, shift.event));
        if !again && shown.len() < 2 {
            out.push(shift_evidence(view, shift));
            shown.push(shift);
        }
    }
}

/// Which runs of the operation are meant, as words before the verb.
fn given(view: &View<'_>, shift: &Shift) -> String {
    match shift.given {
        Given::Any => String::new(),
        Given::AskedBy(operation) => format!("called by {} ", view.case.name(operation)),
        Given::Beside(wanted) => {
            let line = earliest(&view.case.logs, shift.entity, wanted)
                .or_else(|| earliest(&view.case.baseline_logs, shift.entity, wanted));
            let place = line.and_then(|l| source_location(&l.message));
            place.map_or_else(|| "with another line ".to_owned(), |p| format!("passing {p} "))
        }
    }
}

fn shift_evidence(view: &View<'_>, shift: &Shift) -> Evidence {
    let case = view.case;
    let operation = shift.operation.map(|o| case.name(o));
    let given = given(view, shift);
    let how = match (shift.normal, shift.observed) {
        (_, now) if now <= 0.0 => "no longer",
        (usual, _) if usual <= 0.0 => "now",
        (usual, now) if now < usual => "less often",
        _ => "more often",
    };
    let (kind, note) = match shift.event {
        Event::Child(entity, op) => {
            (EvidenceKind::Trace, format!("{given}{how} runs {} of {}", case.name(op), case.name(entity)))
        }
        Event::Failed => (EvidenceKind::Trace, format!("{given}{how} ends with an error")),
        Event::Line(wanted) => {
            let pool = if shift.appeared() { &case.logs } else { &case.baseline_logs };
            let line = earliest(pool, shift.entity, wanted);
            let text = line.map_or("a line of this kind", |l| l.message.as_ref());
            (EvidenceKind::Log, format!("{given}{how} writes: {}", clip(text)))
        }
    };
    // Shares of an operation's runs read best as percents.
    let (factor, unit) = if operation.is_some() { (100.0, OF_RUNS) } else { (1.0, LINES) };
    Evidence {
        kind,
        entity: case.name(shift.entity).to_owned(),
        signal: operation.unwrap_or("log lines").to_owned(),
        baseline: Some(factor * shift.normal),
        observed: Some(factor * shift.observed),
        unit: unit.to_owned(),
        at_us: None,
        note,
    }
}

/// The first line of a kind; of several at one time the one that sorts first, whatever order they came in.
fn earliest(pool: &[LogLine], entity: Sym, wanted: Key) -> Option<&LogLine> {
    pool.iter()
        .filter(|l| l.entity == entity && key(l) == wanted)
        .min_by(|a, b| a.time_us.cmp(&b.time_us).then_with(|| a.message.cmp(&b.message)))
}

/// The first line that speaks of a failure, of the kind that the shifts found where there is one.
fn first_bad_line<'a>(view: &View<'a>, node: usize) -> Option<&'a LogLine> {
    let entity = view.graph.nodes[node];
    let wanted = view.shifts_of[node].iter().map(|s| &view.shifts[*s]).find_map(|s| match s.event {
        Event::Line(k) if s.appeared() && k.bad => Some(k),
        _ => None,
    })?;
    earliest(&view.case.logs, entity, wanted)
}

fn log_line(view: &View<'_>, line: &LogLine) -> Evidence {
    let frame = stack_frame(&line.message).or_else(|| source_location(&line.message).map(str::to_owned));
    Evidence {
        kind: EvidenceKind::Log,
        entity: view.case.name(line.entity).to_owned(),
        signal: frame.map_or_else(|| "first bad line".to_owned(), |f| format!("{FIRST_BAD}{f}")),
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: Some(line.time_us),
        note: clip(&line.message).to_owned(),
    }
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(300);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn change(view: &View<'_>, at: usize) -> Evidence {
    change_evidence(view.case, &view.case.changes[at])
}

/// A change as evidence.
pub(crate) fn change_evidence(case: &Case, change: &CaseChange) -> Evidence {
    let object =
        if change.object.is_empty() { case.name(change.entity).to_owned() } else { change.object.clone() };
    Evidence {
        kind: EvidenceKind::Change,
        entity: case.name(change.entity).to_owned(),
        signal: object,
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: Some(change.time_us),
        note: change_line(change),
    }
}

/// What is wrong in itself at a node, or at what it runs on; at most two.
fn states(view: &View<'_>, node: usize) -> impl Iterator<Item = Evidence> {
    let here = view.graph.nodes[node];
    let touches = move |entity: Sym| {
        entity == here || view.graph.at(entity).is_some_and(|at| view.graph.hosts[node].contains(&at))
    };
    let mut found: Vec<&State> = view.case.states.iter().filter(|s| touches(s.entity)).collect();
    found.sort_by(|a, b| (a.since_us, a.kind, &a.object).cmp(&(b.since_us, b.kind, &b.object)));
    found.into_iter().take(2).map(move |state| state_evidence(view.case, state))
}

/// A state as evidence.
pub(crate) fn state_evidence(case: &Case, state: &State) -> Evidence {
    Evidence {
        kind: EvidenceKind::State,
        entity: case.name(state.entity).to_owned(),
        signal: state.object.clone(),
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: Some(state.since_us),
        note: state.note.clone(),
    }
}

fn path(view: &View<'_>, node: usize) -> Evidence {
    let names: Vec<&str> =
        view.graph.path_to_target(node).into_iter().map(|n| view.case.name(view.graph.nodes[n])).collect();
    let entity = view.case.name(view.graph.nodes[node]).to_owned();
    let note = match names.len() {
        0 if view.graph.reachable(node) => format!(
            "no known call leads from {} down to {entity}: it is taken to be missing from the topology",
            view.case.name(view.case.symptom.entity)
        ),
        0 => format!("no known path leads from {entity} to {}", view.case.name(view.case.symptom.entity)),
        1 => format!("{entity} is where the symptom shows"),
        _ => format!("path to the symptom: {}", names.join(" -> ")),
    };
    Evidence {
        kind: EvidenceKind::Topology,
        entity,
        signal: "path".to_owned(),
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: None,
        note,
    }
}

/// Callers that show the symptom only because of this node.
fn explained_away(view: &View<'_>, node: usize) -> Option<Evidence> {
    let mut names: Vec<String> = Vec::new();
    for account in [&view.latency, &view.errors] {
        for (caller, handed) in account.handed.iter().enumerate() {
            let Some((_, amount)) = handed.iter().find(|(callee, _)| *callee == node) else { continue };
            if *amount > 0.3 * account.total[caller] && *amount > 0.0 {
                names.push(view.case.name(view.graph.nodes[caller]).to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names.truncate(6);
    if names.is_empty() {
        return None;
    }
    let entity = view.case.name(view.graph.nodes[node]).to_owned();
    Some(Evidence {
        kind: EvidenceKind::Topology,
        note: format!("explained away, because {entity} hands it up: {}", names.join(", ")),
        entity,
        signal: "explained away".to_owned(),
        baseline: None,
        observed: None,
        unit: String::new(),
        at_us: None,
    })
}

/// The symptom in numbers.
pub(crate) fn symptom(view: &View<'_>) -> Option<Evidence> {
    let case: &Case = view.case;
    let same = |f: &&Fact| {
        let series = &case.series[f.series];
        series.metric == case.symptom.metric && series.stat == case.symptom.stat
    };
    let fact = view.facts.by_node[view.graph.target].iter().find(same)?;
    Some(metric(view, fact, String::new()))
}
