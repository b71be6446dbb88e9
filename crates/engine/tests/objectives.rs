//! Objectives over generated windows: when they page, when they do not, and that a restart changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::Range;

use causeway_engine::{
    Engine, EngineConfig, EventSource, IncidentPhase, Indicator, ObjectiveConfig, ObjectiveState,
    SymptomState, Timeslices,
};
use causeway_model::{
    Finding, FindingState, LogHistogram, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, Window,
};
use causeway_predict::burn::{BurnRule, Objective, Severity};

const STEP: i64 = 10_000_000;
const MINUTE: i64 = 6;
const HOUR: i64 = 360;
const DAY: f64 = 86_400.0;

/// Requests of one window: how many, how many of them fail, how many take two seconds instead of 50 ms.
#[derive(Clone, Copy)]
struct Traffic {
    requests: u32,
    errors: f64,
    slow: u32,
}

const GOOD: Traffic = Traffic { requests: 100, errors: 0.0, slow: 0 };

fn failing(share: f64) -> Traffic {
    Traffic { errors: 100.0 * share, ..GOOD }
}

fn window(index: i64, service: &str, traffic: Traffic) -> Partial {
    let start = index * STEP;
    let id = |signal: &str| SeriesId { entity: service.into(), signal: signal.into(), group: "".into() };
    let count = |sum: f64| SeriesPartial {
        kind: SeriesKind::Count,
        count: sum as u64,
        sum,
        last_us: start,
        ..SeriesPartial::default()
    };
    let mut histogram = LogHistogram::default();
    histogram.add_many(0.05, traffic.requests - traffic.slow);
    histogram.add_many(2.0, traffic.slow);
    let seconds = 0.05 * f64::from(traffic.requests - traffic.slow) + 2.0 * f64::from(traffic.slow);
    let latency = SeriesPartial {
        kind: SeriesKind::Latency,
        count: u64::from(traffic.requests),
        histogram: Some(histogram),
        ..count(seconds)
    };
    let series = if traffic.requests == 0 {
        Vec::new()
    } else {
        vec![
            (id("requests"), count(f64::from(traffic.requests))),
            (id("errors"), count(traffic.errors)),
            (id("latency"), latency),
        ]
    };
    Partial {
        source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
        window: Window { start_us: start, end_us: start + STEP },
        series,
        spans: Vec::new(),
        templates: Vec::new(),
        aliases: Vec::new(),
        template_texts: Vec::new(),
        records: u64::from(traffic.requests),
        newest_us: start + STEP,
    }
}

fn feed(engine: &mut Engine, windows: Range<i64>, traffic: Traffic) -> Vec<Finding> {
    windows
        .flat_map(|index| {
            engine.observe(window(index, "shop/web", traffic), (index + 2) * STEP);
            engine.take_findings()
        })
        .filter(|finding| finding.series.signal.starts_with("slo:"))
        .collect()
}

fn rule(severity: Severity, rate: f64, hours: f64, minutes: f64) -> BurnRule {
    BurnRule { severity, rate, long: hours * 3600.0, short: minutes * 60.0 }
}

fn availability() -> ObjectiveConfig {
    ObjectiveConfig {
        namespace: "shop".into(),
        name: "availability".into(),
        entities: vec!["web".into(), "shop/web".into()],
        indicator: Indicator::BadRatio { bad: EventSource::Errors, total: EventSource::Requests },
        target: Objective::new(99.9, 28.0 * DAY).unwrap(),
        timeslices: None,
        rules: vec![rule(Severity::Page, 14.4, 1.0, 5.0), rule(Severity::Ticket, 1.0, 3.0, 15.0)],
        minimum_bad: 20.0,
        suspended: false,
    }
}

fn engine(objective: ObjectiveConfig) -> Engine {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_objectives(vec![objective]);
    engine
}

fn state(engine: &Engine) -> ObjectiveState {
    engine.objective("shop", "availability").unwrap().state
}

#[test]
fn an_outage_pages_as_fast_as_the_workbook_says() {
    // Share of failed requests, and the seconds after which an hour holds 1.44 % of them.
    for (share, seconds) in [(1.0, 51.84), (0.5, 103.68), (0.1, 518.4), (0.02, 2592.0)] {
        let mut engine = engine(availability());
        assert!(feed(&mut engine, 0..2 * HOUR, GOOD).is_empty());
        let found = feed(&mut engine, 2 * HOUR..4 * HOUR, failing(share));
        let first = found.first().unwrap_or_else(|| panic!("{share} pages"));
        let after = (first.at_us - 2 * HOUR * STEP) as f64 / 1e6;
        assert!(
            (seconds - 10.0..=seconds + 70.0).contains(&after),
            "{share}: {after} s instead of {seconds} s"
        );
        assert_eq!(first.since_us, 2 * HOUR * STEP, "the burn began with the first bad window");
        assert!(first.note.starts_with("availability burns its error budget 1"), "{}", first.note);
        assert!(first.note.ends_with("of requests failed in the last hour"), "{}", first.note);
        assert_eq!(state(&engine), ObjectiveState::BurningFast);
    }
}

#[test]
fn what_is_too_slow_to_page_opens_a_ticket() {
    let mut engine = engine(availability());
    feed(&mut engine, 0..4 * HOUR, GOOD);
    assert!(feed(&mut engine, 4 * HOUR..8 * HOUR, failing(0.01)).is_empty());
    assert_eq!(state(&engine), ObjectiveState::Burning);
    let report = engine.objective("shop", "availability").unwrap();
    // 10 times too fast for 4 of 672 hours.
    assert!((report.remaining - (1.0 - 40.0 / 672.0)).abs() < 0.01, "{report:?}");
    assert!(report.exhausted_us.is_some());
    assert!(engine.incidents().is_empty());
}

#[test]
fn nothing_pages_before_there_is_history() {
    let mut engine = engine(availability());
    assert!(feed(&mut engine, 0..HOUR - 1, failing(0.5)).is_empty());
    assert_eq!(state(&engine), ObjectiveState::Learning);
    assert!(!feed(&mut engine, HOUR - 1..HOUR + 2, failing(0.5)).is_empty());
}

#[test]
fn few_errors_at_low_traffic_are_nothing() {
    let mut engine = engine(availability());
    let one = Traffic { requests: 1, ..GOOD };
    for index in 0..12 * HOUR {
        let traffic = if index % (HOUR / 2) == HOUR / 4 { Traffic { errors: 1.0, ..one } } else { one };
        assert!(feed(&mut engine, index..index + 1, traffic).is_empty(), "window {index}");
    }
}

#[test]
fn a_burn_opens_an_incident_that_ends_when_it_stops_with_data() {
    let mut engine = engine(availability());
    let mut t = 2 * HOUR;
    feed(&mut engine, 0..t, GOOD);
    assert_eq!(feed(&mut engine, t..t + 5 * MINUTE, failing(0.5)).len(), 1);
    t += 5 * MINUTE;
    let incident = &engine.incidents()[0];
    assert_eq!((engine.incidents().len(), incident.service.as_str()), (1, "shop/web"));
    let draft = incident.draft.as_ref().expect("a cause was looked for");
    // Half of the requests spend 500 budgets of 28 days at a time; the long window has seen five minutes of it.
    assert!(draft.impact.error_budget_per_hour.is_some_and(|share| share > 0.02), "{:?}", draft.impact);

    // Silence of the service, while another one still sends.
    for index in t..t + 30 * MINUTE {
        engine.observe(window(index, "shop/other", GOOD), (index + 2) * STEP);
    }
    t += 30 * MINUTE;
    assert!(engine.take_findings().iter().all(|f| !f.series.signal.starts_with("slo:")));
    assert_eq!(engine.incidents()[0].symptom, SymptomState::NoData);
    assert_eq!(state(&engine), ObjectiveState::BurningFast, "missing data never recovers");

    let closed = feed(&mut engine, t..t + 3 * MINUTE, GOOD);
    assert_eq!(closed.iter().map(|f| f.state).collect::<Vec<_>>(), [FindingState::Closed]);
    feed(&mut engine, t + 3 * MINUTE..t + 10 * MINUTE, GOOD);
    assert_eq!(engine.incidents()[0].phase, IncidentPhase::Resolved);
    assert_eq!(engine.incidents().len(), 1);
    assert_ne!(state(&engine), ObjectiveState::BurningFast);
}

#[test]
fn one_straggler_is_no_recovery() {
    let mut engine = engine(availability());
    feed(&mut engine, 0..2 * HOUR, GOOD);
    feed(&mut engine, 2 * HOUR..2 * HOUR + 5 * MINUTE, failing(0.5));
    let t = 2 * HOUR + 15 * MINUTE;
    for index in 0..20 {
        let straggler = Traffic { requests: u32::from(index % 6 == 0), ..GOOD };
        assert!(feed(&mut engine, t + index..t + index + 1, straggler).is_empty());
    }
    assert_eq!(state(&engine), ObjectiveState::BurningFast);
}

#[test]
fn slow_requests_and_bad_stretches_count() {
    let slow = Traffic { slow: 40, ..GOOD };
    let latency = ObjectiveConfig { indicator: Indicator::SlowerThan { seconds: 0.5 }, ..availability() };
    let mut by_latency = engine(latency);
    feed(&mut by_latency, 0..2 * HOUR, GOOD);
    let found = feed(&mut by_latency, 2 * HOUR..2 * HOUR + 10 * MINUTE, slow);
    assert_eq!(found[0].series.group.as_ref(), "latency");
    assert_eq!(causeway_engine::underlying(&found[0].series), "latency");
    assert!(found[0].note.contains("took longer than 500 ms"), "{}", found[0].note);

    let slices = ObjectiveConfig {
        timeslices: Some(Timeslices { size_us: 60_000_000, target: 95.0 }),
        target: Objective::new(99.0, 28.0 * DAY).unwrap(),
        minimum_bad: 3.0,
        ..availability()
    };
    let mut by_slices = engine(slices);
    feed(&mut by_slices, 0..2 * HOUR, failing(0.04));
    assert_eq!(state(&by_slices), ObjectiveState::Healthy, "stretches above their own target are good");
    let found = feed(&mut by_slices, 2 * HOUR..2 * HOUR + 20 * MINUTE, failing(0.5));
    // 14.4 % of an hour's minutes are 8.64.
    assert_eq!((found[0].at_us - 2 * HOUR * STEP) / 60_000_000, 9, "{found:?}");
    assert!(found[0].note.contains("of the stretches of 1 minute were bad"), "{}", found[0].note);
}

#[test]
fn a_deleted_or_suspended_objective_says_nothing_any_more() {
    for declared in [Vec::new(), vec![ObjectiveConfig { suspended: true, ..availability() }]] {
        let mut engine = engine(availability());
        feed(&mut engine, 0..2 * HOUR, GOOD);
        feed(&mut engine, 2 * HOUR..2 * HOUR + 5 * MINUTE, failing(0.5));
        assert_eq!(engine.incidents().len(), 1);
        engine.set_objectives(declared);
        assert_eq!(engine.take_findings().len(), 1);
        assert!(feed(&mut engine, 2 * HOUR + 5 * MINUTE..3 * HOUR, failing(0.5)).is_empty());
    }
}

#[test]
fn other_terms_keep_what_was_counted() {
    let mut engine = engine(availability());
    feed(&mut engine, 0..2 * HOUR, GOOD);
    engine.set_objectives(vec![ObjectiveConfig { minimum_bad: 5.0, ..availability() }]);
    assert_eq!(state(&engine), ObjectiveState::Healthy);
    let other = Indicator::SlowerThan { seconds: 0.5 };
    engine.set_objectives(vec![ObjectiveConfig { indicator: other, ..availability() }]);
    assert_eq!(state(&engine), ObjectiveState::Learning, "other events have no history");
}

#[test]
fn a_restored_engine_goes_on_identically() {
    let mut straight = engine(availability());
    feed(&mut straight, 0..2 * HOUR, GOOD);
    feed(&mut straight, 2 * HOUR..2 * HOUR + MINUTE, failing(0.5));
    let bytes = straight.snapshot().unwrap();
    let mut restored = Engine::restore(EngineConfig::default(), &bytes).unwrap();
    restored.set_objectives(vec![availability()]);
    let t = 2 * HOUR + MINUTE;
    for range in [(t..t + 3 * MINUTE, failing(0.5)), (t + 3 * MINUTE..t + 9 * MINUTE, GOOD)] {
        let (windows, traffic) = range;
        let ours = feed(&mut straight, windows.clone(), traffic);
        assert_eq!(ours.len(), 1);
        assert_eq!(ours, feed(&mut restored, windows, traffic));
        assert_eq!(straight.objective("shop", "availability"), restored.objective("shop", "availability"));
    }
}

#[test]
fn what_is_declared_counts_when_everything_is_rebuilt() {
    let mut straight = engine(availability());
    feed(&mut straight, 0..2 * HOUR, GOOD);
    let mut rebuilt = Engine::new(EngineConfig::default());
    rebuilt.declare(straight.declared());
    assert_eq!(rebuilt.declared(), straight.declared());
    feed(&mut rebuilt, 0..2 * HOUR, GOOD);
    assert_eq!(straight.objective("shop", "availability"), rebuilt.objective("shop", "availability"));
}
