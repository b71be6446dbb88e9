//! From what the engine remembers to the plain input of a ranking.

use std::collections::BTreeMap;

use causeway_causal::case::{Case, EdgeKind, LogLine, Severity, Span, SpanKind, SpanStatus};
use causeway_causal::topology::{self, Topology};
use causeway_model::{Micros, SeriesId, SeriesKind, SpanKind as Kind, SpanStub, TemplateCount};

use crate::change::Change;
use crate::recent::{Recent, RecentWindow, is_kept};

/// Metric points of a case are a minute apart.
const INTERVAL_US: i64 = 60_000_000;
/// Minutes of normal metric history in a case.
const BASELINE_MINUTES: i64 = 60;

/// What a case is about.
#[derive(Clone, Debug)]
pub(crate) struct About<'a> {
    pub(crate) id: &'a str,
    pub(crate) symptom: &'a SeriesId,
    pub(crate) since_us: Micros,
    pub(crate) until_us: Micros,
}

/// Values of the metric series by window end; see [`crate::history`].
pub(crate) type MetricHistory = BTreeMap<SeriesId, crate::history::History>;

pub(crate) fn build(
    about: &About<'_>,
    recent: &Recent,
    metrics: &MetricHistory,
    topology: &Topology,
    changes: &[Change],
) -> Case {
    let since = about.since_us;
    let mut case = Case::new(
        about.id,
        &about.symptom.entity,
        &about.symptom.signal,
        "mean",
        since,
        (INTERVAL_US / 1_000_000) as u32,
    );
    for edge in topology.edges_at(about.until_us) {
        let kind = match edge.kind {
            topology::EdgeKind::Calls => EdgeKind::Calls,
            topology::EdgeKind::RunsOn => EdgeKind::RunsOn,
        };
        case.add_edge(&edge.from.key(), &edge.to.key(), kind);
    }
    add_metrics(&mut case, metrics, since, about.until_us);
    let halvings = recent.halvings();
    for window in recent.between(Micros::MIN, since) {
        add_window(&mut case, window, Period::Normal, since, halvings);
    }
    for window in recent.between(since, about.until_us) {
        add_window(&mut case, window, Period::Incident, about.until_us, halvings);
    }
    for change in changes.iter().filter(|c| c.time_us <= about.until_us) {
        let change = change.for_case(&mut case.names);
        case.changes.push(change);
    }
    case
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Period {
    Normal,
    Incident,
}

fn add_metrics(case: &mut Case, metrics: &MetricHistory, since: Micros, until: Micros) {
    let minute = |t: Micros| t.div_euclid(INTERVAL_US);
    // The symptom's own minute belongs to the incident, as its window does.
    let (first, split, last) = (minute(since) - BASELINE_MINUTES, minute(since), minute(until));
    case.baseline_times_us = (first..split).map(|m| m * INTERVAL_US).collect();
    case.times_us = (split..=last).map(|m| m * INTERVAL_US).collect();
    for (id, history) in metrics {
        let by_minute = history.by_minute(INTERVAL_US);
        let value = |m: i64| by_minute.get(&m).copied().unwrap_or(f64::NAN);
        let values: Vec<f64> = (split..=last).map(value).collect();
        let baseline: Vec<f64> = (first..split).map(value).collect();
        if values.iter().chain(&baseline).all(|v| v.is_nan()) {
            continue;
        }
        let stat = id.group.strip_prefix("stat=").unwrap_or(match history.kind {
            SeriesKind::Latency => "mean",
            _ => &id.group,
        });
        case.add_series(&id.entity, &id.signal, stat, values, baseline);
    }
}

/// Adds what belongs to one period. A span that ends after the period is left out: some of its children began after it
/// as well, so it would look as if it had skipped them, and had taken their time itself.
fn add_window(case: &mut Case, window: &RecentWindow, period: Period, ends_us: Micros, halvings: u32) {
    let spans = window.spans.iter().filter(|s| halvings == window.halvings || is_kept(s.trace, halvings));
    for stub in spans.filter(|s| s.start_us + s.duration_us <= ends_us) {
        let span = span(case, stub);
        match period {
            Period::Normal => case.baseline_spans.push(span),
            Period::Incident => case.spans.push(span),
        }
    }
    for template in &window.templates {
        let line = line(case, template);
        match period {
            Period::Normal => case.baseline_logs.push(line),
            Period::Incident => case.logs.push(line),
        }
    }
}

fn span(case: &mut Case, stub: &SpanStub) -> Span {
    Span {
        trace: u128::from(stub.trace),
        span: stub.span,
        parent: stub.parent,
        entity: case.names.intern(&stub.service),
        operation: case.names.intern(&stub.operation),
        start_us: stub.start_us,
        duration_us: stub.duration_us,
        kind: match stub.kind {
            Kind::Server | Kind::Consumer => SpanKind::Server,
            Kind::Client | Kind::Producer => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
            Kind::Unspecified => SpanKind::Unknown,
        },
        status: if stub.error { SpanStatus::Error } else { SpanStatus::Unset },
    }
}

fn line(case: &mut Case, template: &TemplateCount) -> LogLine {
    LogLine {
        time_us: template.first.time_us,
        entity: case.names.intern(&template.service),
        trace: 0,
        span: 0,
        severity: match template.severity {
            17.. => Severity::Error,
            13..=16 => Severity::Warn,
            9..=12 => Severity::Info,
            1..=8 => Severity::Debug,
            _ => Severity::Unknown,
        },
        message: template.first.body.as_ref().into(),
        template: Some(template.template),
        count: u32::try_from(template.count).unwrap_or(u32::MAX),
    }
}
