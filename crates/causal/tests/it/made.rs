//! A generated system: a shop of a few services, with a fault where a test wants it.

use causeway_causal::case::{Case, EdgeKind, LogLine, Severity, Span, SpanKind, SpanStatus, Sym};

pub const MINUTE: i64 = 60_000_000;
pub const START: i64 = 1_700_000_000_000_000;
const CALLS: [(&str, &str); 7] = [
    ("web", "cart"),
    ("web", "search"),
    ("web", "checkout"),
    ("checkout", "tax"),
    ("checkout", "pay"),
    ("cart", "store"),
    ("search", "store"),
];
const SERVICES: [&str; 7] = ["web", "cart", "search", "checkout", "tax", "pay", "store"];

/// A small deterministic source of noise in 0..1.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Slow(&'static str),
    Failing(&'static str),
    Busy(&'static str),
}

fn above(service: &str) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = CALLS.iter().filter(|(_, b)| *b == service).map(|(a, _)| *a).collect();
    for at in out.clone() {
        out.extend(above(at));
    }
    out
}

/// Metrics of the shop: four points before the alarm, five after; names are passed through `name`.
pub fn shop(fault: Fault, late: i64, name: &dyn Fn(&str) -> String) -> Case {
    let alarm = START + 4 * MINUTE + 30_000_000 + late * MINUTE;
    let (metric, stat) =
        if matches!(fault, Fault::Failing(_)) { ("availability", "Average") } else { ("latency", "p99") };
    let mut case = Case::new("shop", &name("web"), metric, stat, alarm, 60);
    case.times_us = (0..10).map(|i| START + i * MINUTE).collect();
    case.baseline_times_us = (0..200).map(|i| START - (1000 - i) * MINUTE).collect();
    for (a, b) in CALLS {
        case.add_edge(&name(a), &name(b), EdgeKind::Calls);
    }
    let mut noise = Noise(7);
    for service in SERVICES {
        let suffers = |victim: &str| victim == service || above(victim).contains(&service);
        let mut series = |metric: &str, stat: &str, base: f64, spread: f64, extra: f64| {
            let mut value = |bad: bool| base + spread * noise.next() + if bad { extra } else { 0.0 };
            let values = (0..10).map(|i| value(i >= 4)).collect();
            let usual = (0..200).map(|_| value(false)).collect();
            case.add_series(&name(service), metric, stat, values, usual);
        };
        let slow = matches!(fault, Fault::Slow(v) | Fault::Busy(v) if suffers(v));
        let fails = matches!(fault, Fault::Failing(v) if suffers(v));
        let busy = matches!(fault, Fault::Busy(v) if v == service);
        series("latency", "p99", 0.1, 0.02, if slow { 0.5 } else { 0.0 });
        series("availability", "Average", 99.8, 0.2, if fails { -20.0 } else { 0.0 });
        series("requests", "Sum", 1000.0, 50.0, 0.0);
        series("cpu_rate", "pct", 10.0, 2.0, if busy { 80.0 } else { 0.0 });
    }
    case
}

/// Adds traces: each request goes web → checkout → tax; `own` and `link` are extra microseconds in tax and on the way to it.
pub fn traces(case: &mut Case, count: u64, own: i64, link: i64, incident: bool) {
    let [web, checkout, tax] = ["web", "checkout", "tax"].map(|n| case.names.intern(n));
    let [get, call, order, ask, rate] =
        ["GET /", "POST", "Checkout.order", "POST /tax", "Tax.rate"].map(|n| case.names.intern(n));
    let mut noise = Noise(count);
    let mut out = Vec::new();
    for at in 0..count {
        let begin = START + 4 * MINUTE + at as i64 * 1_000_000;
        let jitter = (noise.next() * 1000.0) as i64;
        let inner = 3000 + own + jitter;
        let asked = inner + 500 + link;
        let ordered = asked + 4000;
        let span =
            |span: u64, parent: u64, entity: Sym, operation: Sym, offset: i64, duration_us: i64| Span {
                trace: u128::from(at) + 1 + if incident { 1 << 40 } else { 0 },
                span,
                parent,
                entity,
                operation,
                start_us: begin + offset,
                duration_us,
                kind: SpanKind::Unknown,
                status: SpanStatus::Unset,
            };
        out.push(span(1, 0, web, get, 0, ordered + 3000));
        out.push(span(2, 1, web, call, 1000, ordered + 1000));
        out.push(span(3, 2, checkout, order, 1500, ordered));
        out.push(span(4, 3, checkout, ask, 2000, asked));
        out.push(span(5, 4, tax, rate, 2200, inner));
    }
    if incident {
        case.spans = out;
    } else {
        case.baseline_spans = out;
    }
}

/// Adds a line of `tax` to each trace.
pub fn lines(case: &mut Case, count: u64, text: &str, incident: bool) {
    let tax = case.names.intern("tax");
    let lines = (0..count).map(|at| LogLine {
        time_us: START + 4 * MINUTE + at as i64 * 1_000_000,
        entity: tax,
        trace: u128::from(at) + 1 + if incident { 1 << 40 } else { 0 },
        span: 5,
        severity: Severity::Unknown,
        message: text.replace("{}", &at.to_string()).into(),
        template: None,
        count: 1,
    });
    if incident { case.logs.extend(lines) } else { case.baseline_logs.extend(lines) }
}
