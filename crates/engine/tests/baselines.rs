//! Baselines over generated windows: every model, what opens and closes a finding, and what becomes a symptom.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::Range;
use std::sync::Arc;

use causeway_engine::{
    BaselineConfig, BaselineState, Change, ChangeClass, Direction, Engine, EngineConfig, Graded, MissingData,
    ModelKind, OutlookConfig, OutlookReport, Selector, Sensitivity, ServiceConfig, WindowRule,
};
use causeway_model::{
    Finding, FindingState, LogSample, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, TemplateCount,
    Window,
};

const STEP: i64 = 10_000_000;
const MINUTE: i64 = 6;

fn id(signal: &str, group: &str) -> SeriesId {
    SeriesId { entity: "shop/web".into(), signal: signal.into(), group: group.into() }
}

fn values(kind: SeriesKind, count: u64, sum: f64) -> SeriesPartial {
    SeriesPartial { kind, count, sum, ..SeriesPartial::default() }
}

/// What a minute is like: the level of a pool, requests and their mean duration, and lines of a pattern.
#[derive(Clone, Copy)]
struct Minute {
    pool: Option<f64>,
    requests: u64,
    seconds: f64,
    timeouts: u64,
}

const QUIET: Minute = Minute { pool: Some(50.0), requests: 40, seconds: 0.1, timeouts: 30 };

/// A deterministic scatter around 1.
fn scatter(seed: i64) -> f64 {
    0.95 + 0.1 * ((seed * 7919 % 101) as f64 / 101.0)
}

fn window(index: i64, minute: Minute) -> Partial {
    let start = index * STEP;
    let noise = scatter(index);
    let mut series = vec![
        (id("requests", ""), values(SeriesKind::Count, minute.requests, minute.requests as f64)),
        (id("errors", ""), values(SeriesKind::Count, 0, 0.0)),
        (
            id("latency", ""),
            values(SeriesKind::Latency, minute.requests, minute.seconds * noise * minute.requests as f64),
        ),
    ];
    if let Some(pool) = minute.pool {
        for (group, share) in [("pool=main", 1.0), ("pool=spare", 0.1)] {
            series.push((id("pool_in_use", group), values(SeriesKind::Gauge, 1, pool * noise * share)));
        }
    }
    let template = |template: u64, count: u64| TemplateCount {
        service: "shop/web".into(),
        template,
        severity: 17,
        count,
        first: LogSample { time_us: start, body: "payment timeout".into(), trace_id: "".into() },
    };
    let timeouts = (minute.timeouts as f64 / MINUTE as f64 * noise).round() as u64;
    Partial {
        source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
        window: Window { start_us: start, end_us: start + STEP },
        series,
        spans: Vec::new(),
        templates: vec![template(1, timeouts), template(2, 500)],
        aliases: Vec::new(),
        template_texts: vec![(1, Arc::from("payment provider timeout <*>")), (2, Arc::from("started <*>"))],
        records: 100,
        newest_us: start + STEP,
    }
}

fn feed(engine: &mut Engine, minutes: Range<i64>, minute: Minute) -> Vec<Finding> {
    (minutes.start * MINUTE..minutes.end * MINUTE)
        .flat_map(|index| {
            engine.observe(window(index, minute), (index + 2) * STEP);
            engine.take_findings()
        })
        .collect()
}

fn states(findings: &[Finding]) -> Vec<FindingState> {
    findings.iter().map(|f| f.state).collect()
}

fn declared(selector: Selector, model: ModelKind) -> BaselineConfig {
    BaselineConfig {
        namespace: "shop".into(),
        name: "declared".into(),
        entities: vec!["shop/web".into(), "web".into()],
        selector,
        max_series: 50,
        model,
        direction: Direction::Above,
        sensitivity: Sensitivity::Medium,
        resolution_us: 60_000_000,
        rule: WindowRule { violating: 3, clearing: 5, size: 5 },
        missing: MissingData::Ignore,
        minimum_events: 20.0,
        minimum_history_us: 0,
        suspended: false,
        outlook: None,
        group_by: Vec::new(),
        delay_us: 0,
        history_us: 0,
    }
}

fn bound(upper: f64) -> ModelKind {
    ModelKind::Static { lower: None, upper: Some(upper) }
}

fn pool(model: ModelKind) -> BaselineConfig {
    declared(Selector::Metric("pool_in_use".into()), model)
}

fn engine(baseline: BaselineConfig) -> Engine {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_services(vec![ServiceConfig {
        namespace: "shop".into(),
        name: "web".into(),
        telemetry_name: "shop/web".into(),
        entry_point: true,
        revenue_per_hour: None,
        offsets: None,
    }]);
    engine.set_baselines(vec![baseline]);
    engine
}

fn state(engine: &Engine) -> BaselineState {
    engine.baseline("shop", "declared").unwrap().state
}

#[test]
fn every_model_finds_a_full_pool_and_says_when_it_is_over() {
    let full = Minute { pool: Some(97.0), ..QUIET };
    for model in [bound(90.0), ModelKind::Adaptive, ModelKind::Seasonal, ModelKind::Auto] {
        let mut engine = engine(pool(model));
        assert_eq!(feed(&mut engine, 0..60, QUIET), [], "{model:?}");
        assert_eq!(state(&engine), BaselineState::WithinBand, "{model:?}");
        assert!(engine.baseline("shop", "declared").unwrap().band.is_some());
        let found = feed(&mut engine, 60..70, full);
        let main: Vec<&Finding> = found.iter().filter(|f| f.series.group.as_ref() == "pool=main").collect();
        assert_eq!(main.len(), 1, "{model:?}: {found:?}");
        // Three of five points, at the end of the third minute.
        assert_eq!(main[0].at_us, 63 * MINUTE * STEP, "{model:?}");
        assert_eq!(main[0].since_us, 60 * MINUTE * STEP, "{model:?}");
        assert!(main[0].note.starts_with("pool_in_use (pool=main) of shop/web is 9"), "{}", main[0].note);
        assert_eq!(state(&engine), BaselineState::Deviating, "{model:?}");
        assert!(engine.incidents().is_empty(), "a metric is evidence, no symptom");

        let gone = Minute { pool: None, ..QUIET };
        assert_eq!(feed(&mut engine, 70..90, gone), [], "missing data never closes");
        let closed = feed(&mut engine, 90..96, QUIET);
        assert!(closed.iter().all(|f| f.state == FindingState::Closed), "{closed:?}");
        assert_eq!(closed.len(), found.len(), "{model:?}");
        assert_eq!(state(&engine), BaselineState::WithinBand, "{model:?}");
    }
}

#[test]
fn missing_data_may_be_declared_a_violation() {
    let strict = BaselineConfig { missing: MissingData::Violate, ..pool(bound(90.0)) };
    let mut engine = engine(strict);
    feed(&mut engine, 0..10, QUIET);
    let found = feed(&mut engine, 10..14, Minute { pool: None, ..QUIET });
    assert_eq!(states(&found), [FindingState::Open; 2]);
    assert_eq!(found[0].note, "pool_in_use (pool=main) of shop/web has no data");
    assert_eq!(states(&feed(&mut engine, 14..20, QUIET)), [FindingState::Closed; 2]);
}

#[test]
fn nothing_is_raised_while_it_learns() {
    let slow = BaselineConfig { minimum_history_us: 7_200_000_000, ..pool(ModelKind::Auto) };
    let mut engine = engine(slow);
    feed(&mut engine, 0..60, QUIET);
    assert_eq!(feed(&mut engine, 60..70, Minute { pool: Some(97.0), ..QUIET }), []);
    let report = engine.baseline("shop", "declared").unwrap();
    assert_eq!(report.state, BaselineState::Learning);
    assert!((0.5..0.6).contains(&report.learned), "{report:?}");
    assert_eq!(report.band, None);
}

#[test]
fn a_declared_golden_signal_takes_the_place_of_the_default_and_is_a_symptom() {
    let slow = Minute { seconds: 0.4, ..QUIET };
    let mut engine = engine(declared(Selector::Latency, bound(0.3)));
    feed(&mut engine, 0..30, QUIET);
    let found = feed(&mut engine, 30..40, slow);
    assert_eq!(found.len(), 1, "only the declared one: {found:?}");
    assert_eq!(found[0].note, "latency of shop/web is 405 ms, above its bound 300 ms");
    assert_eq!(engine.incidents().len(), 1);
    assert!(!engine.points(&id("latency", "")).is_empty());
    assert_eq!(engine.open_series().count(), 1);
    engine.set_baselines(Vec::new());
    assert_eq!(states(&engine.take_findings()), [FindingState::Closed]);
}

#[test]
fn traffic_that_stays_away_is_found_below_its_bound() {
    let floor = BaselineConfig {
        direction: Direction::Below,
        ..declared(Selector::Traffic, ModelKind::Static { lower: Some(2.0), upper: None })
    };
    let mut engine = engine(floor);
    feed(&mut engine, 0..30, QUIET);
    assert_eq!(engine.baseline("shop", "declared").unwrap().band.as_deref(), Some("from 2 requests/s"));
    let found = feed(&mut engine, 30..34, Minute { requests: 6, ..QUIET });
    let traffic: Vec<&Finding> = found.iter().filter(|f| f.series.signal.as_ref() == "traffic").collect();
    assert_eq!(traffic[0].note, "traffic of shop/web is 0.6 requests/s, below its bound 2 requests/s");
}

#[test]
fn only_patterns_with_the_text_are_followed_and_few_lines_are_nothing() {
    let pattern = declared(Selector::LogPattern("provider timeout".into()), ModelKind::Auto);
    let mut many = engine(pattern.clone());
    feed(&mut many, 0..40, QUIET);
    assert_eq!(many.baseline("shop", "declared").unwrap().tracked, 1);
    let found = feed(&mut many, 40..50, Minute { timeouts: 300, ..QUIET });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].note.ends_with("of shop/web is 299, expected 30"), "{}", found[0].note);
    assert_eq!(found[0].series.signal.as_ref(), "pattern:0000000000000001");

    let mut few = engine(BaselineConfig { minimum_events: 1000.0, ..pattern });
    feed(&mut few, 0..40, QUIET);
    assert_eq!(feed(&mut few, 40..50, Minute { timeouts: 300, ..QUIET }), []);
}

#[test]
fn series_beyond_the_limit_are_counted_and_left_out() {
    let mut engine = engine(BaselineConfig { max_series: 1, ..pool(bound(90.0)) });
    feed(&mut engine, 0..10, QUIET);
    let report = engine.baseline("shop", "declared").unwrap();
    assert_eq!((report.tracked, report.left_out), (1, 1));
    engine.set_baselines(vec![BaselineConfig { suspended: true, ..pool(bound(90.0)) }]);
    feed(&mut engine, 10..12, QUIET);
    assert_eq!(engine.baseline("shop", "declared").unwrap().tracked, 0);
}

#[test]
fn a_restored_engine_goes_on_identically() {
    let mut straight = engine(pool(ModelKind::Auto));
    feed(&mut straight, 0..60, QUIET);
    let full = Minute { pool: Some(97.0), ..QUIET };
    feed(&mut straight, 60..62, full);
    let bytes = straight.snapshot().unwrap();
    let mut restored = Engine::restore(EngineConfig::default(), &bytes).unwrap();
    restored.set_baselines(vec![pool(ModelKind::Auto)]);
    for (minutes, minute) in [(62..70, full), (70..80, QUIET)] {
        let ours = feed(&mut straight, minutes.clone(), minute);
        assert!(!ours.is_empty());
        assert_eq!(ours, feed(&mut restored, minutes, minute));
        assert_eq!(straight.baseline("shop", "declared"), restored.baseline("shop", "declared"));
    }
}

fn foretelling() -> BaselineConfig {
    let outlook = OutlookConfig {
        horizon_us: 2 * 3_600_000_000,
        threshold: 90.0,
        direction: Direction::Above,
        probability: 0.8,
        lead_us: 15 * 60_000_000,
    };
    BaselineConfig { outlook: Some(outlook), max_series: 1, ..pool(bound(95.0)) }
}

fn outlook(engine: &Engine) -> OutlookReport {
    engine.baseline("shop", "declared").unwrap().outlook.unwrap()
}

/// A pool that fills: from 50 on, by 0.1 a minute.
fn filling(minute: i64) -> Minute {
    Minute { pool: Some(50.0 + 0.1 * (minute as f64)), ..QUIET }
}

#[test]
fn a_pool_that_fills_is_foretold_and_the_prediction_is_graded() {
    let mut engine = engine(foretelling());
    let mut said = None;
    for minute in 0..420 {
        feed(&mut engine, minute..minute + 1, filling(minute));
        let report = outlook(&engine);
        assert_eq!(report.ready, minute >= 59);
        if let (None, Some((foretold, words))) = (&said, &report.next) {
            assert!(words.starts_with("pool_in_use (pool=main) of shop/web rises above 90 by "), "{words}");
            assert!(foretold.probability >= 0.8);
            assert!(foretold.deadline_us - foretold.made_us >= 15 * 60_000_000);
            said = Some(minute);
        }
    }
    let said = said.unwrap();
    // With its scatter of 5 % the pool first reaches 90 at some 86.
    assert!((200..360).contains(&said), "foretold at minute {said}");
    let graded = outlook(&engine).graded;
    assert_eq!((graded.hits, graded.misses, graded.unforeseen), (1, 0, 0), "{graded:?}");
}

#[test]
fn a_steady_pool_is_never_foretold_to_be_full() {
    let mut engine = engine(foretelling());
    for minute in 0..600 {
        feed(&mut engine, minute..minute + 1, QUIET);
        assert_eq!(outlook(&engine).next, None, "minute {minute}");
    }
    assert_eq!(outlook(&engine).graded, Graded::default());
}

#[test]
fn what_somebody_acted_against_was_prevented() {
    let mut engine = engine(foretelling());
    let mut minute = 0;
    while outlook(&engine).next.is_none() {
        feed(&mut engine, minute..minute + 1, filling(minute));
        minute += 1;
        assert!(minute < 500);
    }
    engine.change(
        Change {
            time_us: minute * MINUTE * STEP,
            entity: "shop/web".into(),
            object: "Deployment/shop/web".into(),
            class: ChangeClass::Scaling,
            description: "scaled".into(),
            diff: Vec::new(),
            author: "anna".into(),
            frozen_by: String::new(),
        },
        "shop",
    );
    feed(&mut engine, minute..minute + 150, QUIET);
    let report = outlook(&engine);
    assert_eq!((report.graded.prevented, report.graded.misses, report.next), (1, 0, None));
}

#[test]
fn a_restored_outlook_goes_on_identically() {
    let mut straight = engine(foretelling());
    for minute in 0..300 {
        feed(&mut straight, minute..minute + 1, filling(minute));
    }
    let mut restored = Engine::restore(EngineConfig::default(), &straight.snapshot().unwrap()).unwrap();
    for minute in 300..500 {
        feed(&mut straight, minute..minute + 1, filling(minute));
        feed(&mut restored, minute..minute + 1, filling(minute));
        assert_eq!(outlook(&straight), outlook(&restored));
    }
}
