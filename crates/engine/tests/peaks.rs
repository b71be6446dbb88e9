//! Declared peaks over generated windows: load that was announced is no finding, an outage within it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::{
    BaselineConfig, Direction, Engine, EngineConfig, MissingData, ModelKind, Offsets, PeakConfig,
    PeakRevenue, PeakSignal, Selector, Sensitivity, ServiceConfig, WindowRule,
};
use causeway_model::{
    Finding, FindingState, LogSample, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, TemplateCount,
    Window,
};

const STEP: i64 = 10_000_000;
const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// The peak lasts six hours from the tenth hour of the fourth day on, and builds up and wears off over two.
const START: i64 = 3 * DAY + 10 * HOUR;
const END: i64 = START + 6 * HOUR;
const RAMP: i64 = 2 * HOUR;

/// What goes wrong, and from when on.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Five in a hundred requests fail.
    Errors(i64),
    /// Four in five requests do not come.
    Outage(i64),
}

/// A deterministic number in 0..1.
fn random(seed: i64) -> f64 {
    let mixed = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 24)
}

/// Share of the effect of a peak that begins at `start`.
fn share(t: i64, start: i64) -> f64 {
    let ramp = |distance: i64| (1.0 - distance as f64 / RAMP as f64).max(0.0);
    let end = start + 6 * HOUR;
    if t < start {
        ramp(start - t)
    } else if t < end {
        1.0
    } else {
        ramp(t - end)
    }
}

fn window(start: i64, peaks: &[i64], fault: Fault) -> Partial {
    let effect = peaks.iter().map(|peak| share(start, *peak)).fold(0.0, f64::max);
    let seed = start / STEP;
    let day = 1.0 + 0.3 * (start as f64 / DAY as f64 * std::f64::consts::TAU).sin();
    let noise = |k: i64| 0.9 + 0.2 * random(seed * 7 + k);
    let lost = if matches!(fault, Fault::Outage(from) if start >= from) { 0.2 } else { 1.0 };
    let requests = (60.0 * day * 7_f64.powf(effect) * noise(1) * lost).round();
    let failing = if matches!(fault, Fault::Errors(from) if start >= from) { 0.05 } else { 0.002 };
    let errors = (requests * failing + random(seed * 7 + 2)).floor();
    // Load makes everything a little slower.
    let seconds = 0.1 * (1.0 + 0.25 * effect) * noise(3);
    let lines = (30.0 * day * 5_f64.powf(effect) * noise(4)).round() as u64;
    let id = |signal: &str| SeriesId { entity: "shop/web".into(), signal: signal.into(), group: "".into() };
    let values = |kind, sum| SeriesPartial { kind, count: requests as u64, sum, ..SeriesPartial::default() };
    Partial {
        source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
        window: Window { start_us: start, end_us: start + STEP },
        series: vec![
            (id("requests"), values(SeriesKind::Count, requests)),
            (id("errors"), values(SeriesKind::Count, errors)),
            (id("latency"), values(SeriesKind::Latency, seconds * requests)),
        ],
        spans: Vec::new(),
        templates: vec![TemplateCount {
            service: "shop/web".into(),
            template: 1,
            severity: 9,
            count: lines,
            first: LogSample { time_us: start, body: "order accepted".into(), trace_id: "".into() },
        }],
        aliases: Vec::new(),
        template_texts: vec![(1, Arc::from("order <*> accepted"))],
        records: requests as u64,
        newest_us: start + STEP,
    }
}

fn followed(name: &str, selector: Selector) -> BaselineConfig {
    BaselineConfig {
        namespace: "shop".into(),
        name: name.into(),
        entities: vec!["shop/web".into(), "web".into()],
        selector,
        max_series: 10,
        model: ModelKind::Auto,
        direction: Direction::Both,
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

fn engine(peaks: Vec<PeakConfig>) -> Engine {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_services(vec![ServiceConfig {
        namespace: "shop".into(),
        name: "web".into(),
        telemetry_name: "shop/web".into(),
        entry_point: true,
        revenue_per_hour: Some(("EUR".into(), "100000".into())),
        offsets: Some(Offsets::fixed(3600)),
    }]);
    engine.set_baselines(vec![
        followed("traffic", Selector::Traffic),
        followed("orders", Selector::LogPattern("accepted".into())),
    ]);
    engine.set_peaks(peaks);
    engine
}

fn peak(name: &str, start: i64, expected: &[(PeakSignal, f64)]) -> PeakConfig {
    PeakConfig {
        name: name.into(),
        remember_as: "sale".into(),
        entities: vec!["shop/web".into(), "web".into()],
        occurrences: vec![(start, start + 6 * HOUR)],
        warm_up_us: RAMP,
        cool_down_us: RAMP,
        expected: expected.to_vec(),
        revenue: Some(PeakRevenue {
            currency: "EUR".into(),
            shares: BTreeMap::from([("shop/web".into(), 1.0)]),
            steps: vec![(0, 1_500_000.0)],
        }),
        freezes: false,
    }
}

fn declared() -> Vec<PeakConfig> {
    vec![peak("sale-2026", START, &[(PeakSignal::RequestRate, 7.0), (PeakSignal::LogVolume, 5.0)])]
}

fn feed(engine: &mut Engine, from: i64, to: i64, peaks: &[i64], fault: Fault) -> Vec<Finding> {
    (from / STEP..to / STEP)
        .flat_map(|index| {
            engine.observe(window(index * STEP, peaks, fault), (index + 2) * STEP);
            engine.take_findings()
        })
        .collect()
}

fn opened(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.state == FindingState::Open).collect()
}

#[test]
fn announced_load_is_no_finding_and_the_day_after_is_an_ordinary_one() {
    let mut unprepared = engine(Vec::new());
    let surprised = feed(&mut unprepared, 0, START + HOUR, &[START], Fault::None);
    assert!(!opened(&surprised).is_empty());
    let mut prepared = engine(declared());
    let found = feed(&mut prepared, 0, END + 2 * DAY, &[START], Fault::None);
    assert_eq!(opened(&found), Vec::<&Finding>::new());
    let report = prepared.peak("sale-2026").unwrap();
    assert_eq!(report.series, 4);
    let observed: BTreeMap<_, _> = report.observed.into_iter().collect();
    for (signal, expected) in [(PeakSignal::RequestRate, 7.0), (PeakSignal::LogVolume, 5.0)] {
        assert!((observed[&signal] / expected - 1.0).abs() < 0.15, "{signal:?}: {}", observed[&signal]);
    }
    // What is expected two days later is what was expected two days before.
    let traffic = SeriesId { entity: "shop/web".into(), signal: "traffic".into(), group: "".into() };
    let expected = prepared.points(&traffic).last().unwrap().expected;
    let mut quiet = engine(Vec::new());
    feed(&mut quiet, 0, END + 2 * DAY, &[], Fault::None);
    let ordinary = quiet.points(&traffic).last().unwrap().expected;
    assert!((expected / ordinary - 1.0).abs() < 0.1, "{expected} instead of {ordinary}");
}

#[test]
fn a_fault_within_the_peak_is_found_within_three_minutes() {
    for from in [START - HOUR, START + 3 * HOUR, END + HOUR] {
        let mut engine = engine(declared());
        let found = feed(&mut engine, 0, from + HOUR, &[START], Fault::Errors(from));
        let opened = opened(&found);
        let [finding] = &opened[..] else { panic!("one: {opened:?}") };
        assert_eq!(finding.series.signal.as_ref(), "error_ratio");
        assert!(finding.at_us - from <= 180_000_000, "after {} s", (finding.at_us - from) / 1_000_000);
        assert_eq!(engine.incidents().len(), 1);
    }
}

#[test]
fn an_outage_within_the_peak_is_found_within_minutes() {
    let from = START + 2 * HOUR;
    let mut engine = engine(declared());
    let found = feed(&mut engine, 0, from + HOUR, &[START], Fault::Outage(from));
    let traffic = opened(&found).into_iter().find(|f| f.series.signal.as_ref() == "traffic").unwrap();
    assert!(traffic.at_us - from <= 300_000_000, "after {} s", (traffic.at_us - from) / 1_000_000);
    // More than on an ordinary day's same hour would be outside too, and still far too little.
    assert!(traffic.observed < traffic.lower && traffic.expected > 30.0, "{traffic:?}");
}

#[test]
fn a_finding_that_outlasts_the_peak_ends_when_things_are_as_on_an_ordinary_day() {
    let from = END - 10 * 60_000_000;
    let mut engine = engine(declared());
    let mut found = feed(&mut engine, 0, END + 5 * 60_000_000, &[START], Fault::Outage(from));
    assert_eq!(engine.open_series().count(), 1, "{found:?}");
    found.extend(feed(&mut engine, END + 5 * 60_000_000, END + 4 * HOUR, &[START], Fault::None));
    let last = found.last().unwrap();
    assert_eq!((last.series.signal.as_ref(), last.state), ("traffic", FindingState::Closed));
    assert_eq!(engine.open_series().count(), 0);
}

#[test]
fn what_an_event_did_is_known_the_next_time() {
    let next = START + 7 * DAY;
    let occurrences = |peaks: &[i64]| {
        let mut event = peak("sale", START, &[]);
        event.occurrences = peaks.iter().map(|start| (*start, start + 6 * HOUR)).collect();
        vec![event]
    };
    // Nothing is declared: the first time every rise is let pass.
    let mut engine = engine(occurrences(&[START]));
    let first = feed(&mut engine, 0, END + DAY, &[START], Fault::None);
    assert_eq!(opened(&first), Vec::<&Finding>::new());
    let state = engine.snapshot().unwrap();
    let mut engine = Engine::restore(EngineConfig::default(), &state).unwrap();
    engine.set_peaks(occurrences(&[START, next]));
    // The second time an outage shows, although there is far more traffic than on an ordinary day.
    let from = next + 3 * HOUR;
    let outage = feed(&mut engine, END + DAY, from + HOUR, &[next], Fault::Outage(from));
    let opened = opened(&outage);
    let [finding] = &opened[..] else { panic!("one: {opened:?}") };
    assert_eq!(finding.series.signal.as_ref(), "traffic");
    assert!(finding.at_us - from <= 300_000_000);
}

#[test]
fn money_follows_the_event() {
    let from = START + 3 * HOUR;
    let mut engine = engine(declared());
    feed(&mut engine, 0, from + HOUR, &[START], Fault::Errors(from));
    let draft = engine.incidents()[0].draft.clone().unwrap();
    let money = draft.money.unwrap();
    assert_eq!((money.currency.as_str(), money.revenue_per_hour), ("EUR", 1_500_000.0));
    assert!(money.assumptions.iter().any(|words| words.contains("sale-2026")), "{money:?}");
}
