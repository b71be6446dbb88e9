//! Simulations over two weeks of generated minutes: they say when something would have been raised, as the engine would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use causeway_engine::burn::{BurnRule, Objective};
use causeway_engine::{
    BaselineConfig, DeclaredTime, Direction, EventSource, Indicator, MissingData, ModelKind, ObjectiveConfig,
    Past, PeakConfig, PeakSignal, Selector, Sensitivity, WindowRule, simulate_baseline, simulate_objective,
};
use causeway_model::{SeriesId, SeriesKind, SeriesPartial};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440;

fn id(signal: &str) -> SeriesId {
    SeriesId { entity: "shop/web".into(), signal: signal.into(), group: "".into() }
}

/// A minute of requests with a daily wave; `many` times as many in the first range, failing in the second.
fn minutes(days: i64, many: std::ops::Range<i64>, failing: std::ops::Range<i64>) -> BTreeMap<i64, Past> {
    (0..days * DAY)
        .map(|minute| {
            let noise = (minute as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
            let wave = (minute as f64 / DAY as f64 * std::f64::consts::TAU).sin();
            let usual = 1000.0 + 300.0 * wave + noise as f64 / 8.0;
            let n = (usual * if many.contains(&minute) { 5.0 } else { 1.0 }).round();
            let bad = if failing.contains(&minute) { (n * 0.1).round() } else { 0.0 };
            let values = |sum| SeriesPartial {
                kind: SeriesKind::Count,
                count: n as u64,
                sum,
                ..SeriesPartial::default()
            };
            let series = vec![
                (id("requests"), values(n)),
                (id("errors"), values(bad)),
                (id("latency"), values(0.1 * n)),
            ];
            (minute * MINUTE, Past { series, lines: Vec::new() })
        })
        .collect()
}

fn traffic() -> BaselineConfig {
    BaselineConfig {
        namespace: "shop".into(),
        name: "traffic".into(),
        entities: vec!["shop/web".into(), "web".into()],
        selector: Selector::Traffic,
        max_series: 10,
        model: ModelKind::Auto,
        direction: Direction::Both,
        sensitivity: Sensitivity::Medium,
        resolution_us: MINUTE,
        rule: WindowRule { violating: 3, clearing: 5, size: 5 },
        missing: MissingData::Ignore,
        minimum_events: 20.0,
        minimum_history_us: 0,
        // Looking before it counts.
        suspended: true,
        outlook: None,
        group_by: Vec::new(),
        delay_us: 0,
        history_us: 0,
    }
}

#[test]
fn a_baseline_tells_when_it_would_have_been_raised() {
    let burst = 10 * DAY + 600..10 * DAY + 660;
    let past = minutes(14, burst.clone(), 0..0);
    let simulation = simulate_baseline(&traffic(), &DeclaredTime::default(), &past);
    let [raised] = &simulation.raised[..] else { panic!("one: {:?}", simulation.raised) };
    let minute = |us: i64| us / MINUTE;
    assert_eq!(minute(raised.finding.since_us), burst.start);
    assert!((burst.end..burst.end + 10).contains(&minute(raised.until_us.unwrap())), "{raised:?}");
    assert_eq!(simulation.covered, Some((0, 14 * DAY * MINUTE)));
    assert!((simulation.per_week() - 0.5).abs() < 1e-9);
    assert!((simulation.by_chance_per_week.unwrap() - 0.07).abs() < 0.001);
    let points = &simulation.points[&SeriesId { signal: "traffic".into(), ..id("") }];
    assert_eq!(points.len(), 14 * DAY as usize);
    // The same burst, announced.
    let time = DeclaredTime {
        peaks: vec![PeakConfig {
            name: "sale".into(),
            remember_as: "sale".into(),
            entities: vec!["shop/web".into()],
            occurrences: vec![(burst.start * MINUTE, burst.end * MINUTE)],
            warm_up_us: 0,
            cool_down_us: 0,
            expected: vec![(PeakSignal::RequestRate, 5.0)],
            revenue: None,
            freezes: false,
        }],
        offsets: None,
    };
    assert_eq!(simulate_baseline(&traffic(), &time, &past).raised, []);
}

#[test]
fn an_objective_tells_when_it_would_have_paged() {
    let outage = 9 * DAY..9 * DAY + 30;
    let config = ObjectiveConfig {
        namespace: "shop".into(),
        name: "availability".into(),
        entities: vec!["shop/web".into(), "web".into()],
        indicator: Indicator::BadRatio { bad: EventSource::Errors, total: EventSource::Requests },
        target: Objective::new(99.9, 28.0 * 86_400.0).unwrap(),
        timeslices: None,
        rules: BurnRule::workbook().to_vec(),
        minimum_bad: 20.0,
        suspended: false,
    };
    let simulation = simulate_objective(&config, MINUTE, &minutes(14, 0..0, outage.clone()));
    let [raised] = &simulation.raised[..] else { panic!("one: {:?}", simulation.raised) };
    // A tenth of all fails: 100 times too fast. The long window of an hour holds 14.4 of it after nine minutes.
    let after = raised.finding.at_us / MINUTE - outage.start;
    assert!((5..=10).contains(&after), "{after}");
    assert!(raised.until_us.unwrap() / MINUTE - outage.end < 10);
    assert_eq!(simulation.by_chance_per_week, None);
    let (series, points) = simulation.points.first_key_value().unwrap();
    assert_eq!((series.signal.as_ref(), points.len()), ("slo:availability", 14 * DAY as usize));
    assert!(points.iter().all(|point| (point.expected - 0.001).abs() < 1e-9 && point.upper > point.expected));
}

#[test]
fn a_new_series_learns_from_its_siblings() {
    let pod = |pod: usize| SeriesId { group: format!("pod={pod}").into(), ..id("queue") };
    let past = |alike: bool| -> BTreeMap<i64, Past> {
        let level = |pod: usize| if alike || pod == 4 { 50.0 } else { 50.0 * 10_f64.powi(pod as i32) };
        let value = |pod: usize, minute: i64| {
            let noise = ((minute * 5 + pod as i64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
            level(pod) * (1.0 + noise as f64 / 10_240.0)
        };
        (0..230)
            .map(|minute| {
                let pods = if minute < 200 { 0..4 } else { 0..5 };
                let gauge = |sum| SeriesPartial {
                    kind: SeriesKind::Gauge,
                    count: 1,
                    sum,
                    ..SeriesPartial::default()
                };
                let series = pods.map(|n| (pod(n), gauge(value(n, minute)))).collect();
                (minute * MINUTE, Past { series, lines: Vec::new() })
            })
            .collect()
    };
    let config = BaselineConfig { selector: Selector::Metric("queue".into()), ..traffic() };
    let first_band = |alike: bool| {
        let simulation = simulate_baseline(&config, &DeclaredTime::default(), &past(alike));
        assert_eq!(simulation.raised, []);
        let points = &simulation.points[&pod(4)];
        points.iter().position(|point| point.upper.is_finite()).unwrap()
    };
    assert!(first_band(true) <= 5, "{}", first_band(true));
    assert!(first_band(false) >= 19, "{}", first_band(false));
}
