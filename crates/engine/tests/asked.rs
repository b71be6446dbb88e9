//! Series that the lake is asked for: the past that is learned from, late data, questions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;

use causeway_engine::burn::{BurnRule, Objective};
use causeway_engine::{
    Ask, BaselineConfig, BaselineState, Direction, Engine, EngineConfig, EventSource, Indicator, MissingData,
    ModelKind, ObjectiveConfig, ObjectiveState, Past, Question, Selector, Sensitivity, Timeslices,
    WindowRule,
};
use causeway_model::{
    Finding, FindingState, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, Window,
};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 1440 * MINUTE;
const START: i64 = 20_000 * DAY;

fn id(signal: &str, group: &str) -> SeriesId {
    SeriesId { entity: "shop/web".into(), signal: signal.into(), group: group.into() }
}

fn values(kind: SeriesKind, count: u64, sum: f64) -> SeriesPartial {
    SeriesPartial { kind, count, sum, ..SeriesPartial::default() }
}

/// Something came, whatever it was.
fn window(start_us: i64) -> Partial {
    Partial {
        source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
        window: Window { start_us, end_us: start_us + 10 * SECOND },
        series: vec![(id("log.records", ""), values(SeriesKind::Count, 5, 5.0))],
        spans: Vec::new(),
        templates: Vec::new(),
        aliases: Vec::new(),
        template_texts: Vec::new(),
        records: 5,
        newest_us: start_us + 20 * SECOND,
    }
}

/// From -1 to 1.
fn scatter(seed: i64) -> f64 {
    ((seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as f64 / f64::from(u32::MAX) * 2.0 - 1.0
}

fn question(kind: SeriesKind) -> Question {
    Question { sql: "SELECT time, value FROM t".into(), signal: "took".into(), kind }
}

fn baseline(selector: Selector, model: ModelKind) -> BaselineConfig {
    BaselineConfig {
        namespace: "shop".into(),
        name: "declared".into(),
        entities: vec!["shop/web".into(), "web".into()],
        selector,
        max_series: 10,
        model,
        direction: Direction::Both,
        sensitivity: Sensitivity::Medium,
        resolution_us: MINUTE,
        rule: WindowRule { violating: 3, clearing: 5, size: 5 },
        missing: MissingData::Ignore,
        minimum_events: 0.0,
        minimum_history_us: 0,
        suspended: false,
        outlook: None,
        group_by: Vec::new(),
        delay_us: 0,
        history_us: 0,
    }
}

fn level(value: f64) -> Past {
    Past { series: vec![(id("took", ""), values(SeriesKind::Gauge, 10, 10.0 * value))], lines: Vec::new() }
}

/// Feeds windows and answers what is asked from `stored`; `None` is an answer that fails.
fn feed(
    engine: &mut Engine,
    minutes: std::ops::Range<i64>,
    stored: &dyn Fn(&Ask) -> Option<BTreeMap<i64, Past>>,
) -> (Vec<Finding>, Vec<Ask>) {
    let mut asked = Vec::new();
    for index in minutes.start * 6..minutes.end * 6 {
        let start_us = START + index * 10 * SECOND;
        let now_us = start_us + 20 * SECOND;
        engine.observe(window(start_us), now_us);
        for ask in engine.take_asks(now_us, i64::MAX) {
            match stored(&ask) {
                None => engine.unanswered(&ask, "no such table".into(), now_us),
                Some(past) => match &ask.subject {
                    subject if ask.lesson => {
                        let mut lesson = engine.lesson(subject);
                        lesson.take(&past);
                        engine.taught(lesson);
                    }
                    _ => engine.answer(&ask, &past),
                },
            }
            asked.push(ask);
        }
    }
    (engine.take_findings(), asked)
}

fn between(ask: &Ask, value: impl Fn(i64) -> f64) -> BTreeMap<i64, Past> {
    (ask.from_us / MINUTE..ask.to_us / MINUTE)
        .map(|m| (m * MINUTE, level(value(m - START / MINUTE))))
        .collect()
}

fn engine(config: BaselineConfig) -> Engine {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_baselines(vec![config]);
    engine
}

#[test]
fn what_is_stored_is_learned_at_once_and_judged_minutes_later() {
    let question = Selector::Query(question(SeriesKind::Gauge));
    let config = BaselineConfig {
        history_us: 14 * DAY,
        minimum_history_us: 7 * DAY,
        ..baseline(question, ModelKind::Auto)
    };
    // A rush every noon, that a model of an hour would not know of.
    let usual = |minute: i64| {
        let noon = minute.rem_euclid(1440) / 60 == 12;
        100.0 + if noon { 80.0 } else { 0.0 } + 2.0 * scatter(minute)
    };
    let mut engine = engine(config);
    let begins = 12 * 60 - 5;
    let (findings, asks) = feed(&mut engine, begins..begins + 15, &|ask| Some(between(ask, usual)));
    assert_eq!(findings, []);
    let lessons: Vec<&Ask> = asks.iter().filter(|ask| ask.lesson).collect();
    assert_eq!(lessons.len(), 1, "learned once");
    assert_eq!(lessons[0].to_us - lessons[0].from_us, 14 * DAY);
    let report = engine.baseline("shop", "declared").unwrap();
    assert_eq!((report.state, report.learned), (BaselineState::WithinBand, 1.0));
    // The rush stays away.
    let (findings, _) = feed(&mut engine, begins + 15..begins + 25, &|ask| Some(between(ask, |_| 100.0)));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].expected > 150.0, "{findings:?}");
    // What was learned is in the snapshot: nothing is learned again.
    let bytes = engine.snapshot().unwrap();
    let mut restored = Engine::restore(EngineConfig::default(), &bytes).unwrap();
    let (_, asks) = feed(&mut restored, begins + 25..begins + 30, &|ask| Some(between(ask, usual)));
    assert!(asks.iter().all(|ask| !ask.lesson) && !asks.is_empty(), "{asks:?}");
}

#[test]
fn a_question_that_fails_is_told_and_asked_again() {
    let question = Selector::Query(question(SeriesKind::Gauge));
    let mut engine = engine(baseline(question, ModelKind::Static { lower: None, upper: Some(50.0) }));
    let (_, asks) = feed(&mut engine, 0..5, &|_| None);
    assert!((2..=5).contains(&asks.len()), "at most once a minute: {}", asks.len());
    let report = engine.baseline("shop", "declared").unwrap();
    assert_eq!(report.unanswered.as_deref(), Some("no such table"));
    let (findings, _) = feed(&mut engine, 5..10, &|ask| Some(between(ask, |_| 70.0)));
    assert_eq!(engine.baseline("shop", "declared").unwrap().unanswered, None);
    // The points that could not be had are made up for.
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].since_us, START);
}

#[test]
fn what_comes_from_a_question_may_be_counted_by_an_objective() {
    let of =
        |signal: &str| EventSource::Query(Question { signal: signal.into(), ..question(SeriesKind::Count) });
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_objectives(vec![ObjectiveConfig {
        namespace: "shop".into(),
        name: "logs".into(),
        entities: vec!["shop/web".into()],
        indicator: Indicator::BadRatio { bad: of("bad"), total: of("all") },
        target: Objective::new(99.9, 28.0 * 86_400.0).unwrap(),
        timeslices: None,
        rules: BurnRule::workbook().to_vec(),
        minimum_bad: 20.0,
        suspended: false,
    }]);
    let events = |bad: f64| {
        move |ask: &Ask| {
            let minutes = ask.from_us / MINUTE..ask.to_us / MINUTE;
            let count = |signal: &str, sum: f64| (id(signal, ""), values(SeriesKind::Count, 1, sum));
            let past = |_| Past { series: vec![count("bad", bad), count("all", 100.0)], lines: Vec::new() };
            Some(minutes.map(|minute| (minute * MINUTE, past(minute))).collect())
        }
    };
    let (findings, _) = feed(&mut engine, 0..70, &events(0.0));
    assert_eq!(findings, []);
    assert_eq!(engine.objective("shop", "logs").unwrap().state, ObjectiveState::Healthy);
    let (findings, _) = feed(&mut engine, 70..85, &events(30.0));
    assert_eq!(findings.iter().map(|f| f.state).collect::<Vec<_>>(), [FindingState::Open]);
    assert!(findings[0].note.contains("of events were bad"), "{}", findings[0].note);
}

fn availability(seconds: f64) -> ObjectiveConfig {
    ObjectiveConfig {
        namespace: "shop".into(),
        name: "availability".into(),
        entities: vec!["shop/web".into()],
        indicator: Indicator::BadRatio { bad: EventSource::Errors, total: EventSource::Requests },
        target: Objective::new(99.0, seconds).unwrap(),
        timeslices: None,
        rules: BurnRule::workbook().to_vec(),
        minimum_bad: 20.0,
        suspended: false,
    }
}

/// Requests and errors of a stretch of `seconds` from second `t` of the test on: ten a second, of which some fail.
fn served(t: i64, seconds: i64) -> Vec<(SeriesId, SeriesPartial)> {
    let of = |signal: &str, sum: f64| (id(signal, ""), values(SeriesKind::Count, sum as u64, sum));
    let failed = (t..t + seconds).filter(|second| second.div_euclid(10) % 97 == 5).count() as f64;
    vec![of("errors", failed), of("requests", 10.0 * seconds as f64)]
}

/// Runs an engine from one second of the test to another, with a lake that has everything since `stored_from`. Answers to
/// lessons come `slow` seconds late.
fn followed(config: &ObjectiveConfig, seconds: std::ops::Range<i64>, stored_from: i64, slow: i64) -> Engine {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_objectives(vec![config.clone()]);
    let mut waiting: Vec<(i64, Ask)> = Vec::new();
    for t in seconds.step_by(10) {
        let start_us = START + t * SECOND;
        let now_us = start_us + 20 * SECOND;
        let mut partial = window(start_us);
        partial.series.extend(served(t, 10));
        partial.series.sort_by(|a, b| a.0.cmp(&b.0));
        engine.observe(partial, now_us);
        waiting.extend(engine.take_asks(now_us, start_us).into_iter().map(|ask| (t + slow, ask)));
        for (_, ask) in waiting.extract_if(.., |(due, _)| *due <= t) {
            assert!(ask.lesson, "windows hold what is due");
            let from = (ask.from_us - START) / SECOND;
            let to = (ask.to_us - START) / SECOND;
            let step = ask.step_us / SECOND;
            let minutes = (from..to).step_by(step as usize).filter(|t| *t >= stored_from);
            let past = |t: i64| Past { series: served(t, step), lines: Vec::new() };
            let mut lesson = engine.lesson(&ask.subject);
            lesson.take(&minutes.map(|t| (START + t * SECOND, past(t))).collect());
            engine.taught(lesson);
        }
    }
    assert!(waiting.is_empty(), "a lesson is still on its way");
    engine
}

#[test]
fn a_budget_is_that_of_the_whole_window_also_for_an_engine_that_starts_anew() {
    const HOUR: i64 = 3_600;
    let day = 24 * HOUR;
    let slices = Timeslices { size_us: 90 * SECOND, target: 99.5 };
    for (timeslices, slow) in [(None, 0), (None, 300), (Some(slices), 0), (Some(slices), 300)] {
        let config = ObjectiveConfig { timeslices, ..availability(7.0 * day as f64) };
        // One engine saw three days; the other starts within a minute and a stretch, when two and a half are over.
        let whole = followed(&config, 0..3 * day, 0, 0).objective("shop", "availability").unwrap();
        let late =
            followed(&config, 60 * HOUR + 130..3 * day, 0, slow).objective("shop", "availability").unwrap();
        assert!(whole.remaining < 0.97, "something is spent: {}", whole.remaining);
        assert!((whole.remaining - late.remaining).abs() < 1e-9, "{} {}", whole.remaining, late.remaining);
        assert_eq!((whole.covered_us, whole.state), (late.covered_us, late.state));
        // Without a past, what was before counts as clean.
        let new = followed(&config, 60 * HOUR + 130..3 * day, i64::MAX, slow);
        let new = new.objective("shop", "availability").unwrap();
        assert!(new.covered_us < 13 * HOUR * SECOND && new.remaining > late.remaining, "{new:?}");
    }
}

#[test]
fn the_past_is_asked_for_once_and_again_after_a_failure_or_for_a_longer_window() {
    let lessons = |asks: &[Ask]| asks.iter().filter(|ask| ask.lesson).count();
    let run = |engine: &mut Engine, minutes: std::ops::Range<i64>, fails: bool| {
        let (_, asks) = feed(engine, minutes, &|_| (!fails).then(BTreeMap::new));
        lessons(&asks)
    };
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_objectives(vec![availability(86_400.0)]);
    assert!((2..=5).contains(&run(&mut engine, 0..5, true)), "not at once, and not for ever");
    let problem = engine.objective("shop", "availability").unwrap().unanswered;
    assert_eq!(problem.as_deref(), Some("no such table"));
    assert_eq!(run(&mut engine, 5..10, false), 1);
    assert_eq!(engine.objective("shop", "availability").unwrap().unanswered, None);
    let mut engine = Engine::restore(EngineConfig::default(), &engine.snapshot().unwrap()).unwrap();
    assert_eq!(run(&mut engine, 10..15, false), 0, "a snapshot knows it");
    engine.set_objectives(vec![ObjectiveConfig { minimum_bad: 5.0, ..availability(86_400.0) }]);
    assert_eq!(run(&mut engine, 15..20, false), 0, "the same window");
    engine.set_objectives(vec![availability(28.0 * 86_400.0)]);
    assert_eq!(run(&mut engine, 20..25, false), 1, "a longer one");
}

#[test]
fn attributes_that_are_not_named_are_added_up() {
    let config = BaselineConfig {
        group_by: vec!["pool".into()],
        ..baseline(Selector::Metric("in_use".into()), ModelKind::Static { lower: None, upper: Some(90.0) })
    };
    let mut engine = engine(config);
    for index in 0..60 {
        let mut partial = window(START + index * 10 * SECOND);
        for (pod, pool, sum) in [("a", "main", 50.0), ("b", "main", 60.0), ("a", "spare", 95.0)] {
            let series = id("in_use", &format!("pod={pod},pool={pool}"));
            partial.series.push((series, values(SeriesKind::Gauge, 1, sum)));
        }
        partial.series.sort_by(|a, b| a.0.cmp(&b.0));
        engine.observe(partial, START + index * 10 * SECOND);
    }
    assert_eq!(engine.baseline("shop", "declared").unwrap().tracked, 2);
    let findings = engine.take_findings();
    assert_eq!(findings.iter().map(|f| f.series.group.as_ref()).collect::<Vec<_>>(), ["pool=spare"]);
    let points = engine.points(&id("in_use", "pool=main"));
    assert_eq!(points.last().map(|p| p.value), Some(55.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A lake that gets every row in time, at most `delay` after its minute: in whatever order, the verdicts are the same.
    #[test]
    fn the_order_of_arrival_inside_the_delay_changes_no_verdict(seed in any::<i64>(), delay in 1_i64..20) {
        let model = ModelKind::Static { lower: None, upper: Some(105.0) };
        let config = BaselineConfig {
            delay_us: delay * MINUTE,
            ..baseline(Selector::Query(question(SeriesKind::Gauge)), model)
        };
        let outage = |minute: i64| if (40..52).contains(&minute) { 5.0 } else { 0.0 };
        let value = |minute: i64| 100.0 + outage(minute) + 10.0 * scatter(minute.wrapping_mul(minute) ^ seed);
        let run = |late: &dyn Fn(i64) -> i64| {
            let mut engine = engine(config.clone());
            let mut findings = Vec::new();
            for minute in 0..120 {
                // What has arrived when this minute's windows close.
                let now = minute;
                let stored = |ask: &Ask| {
                    let here = |m: &i64| *m + late(*m) <= now;
                    let minutes = (ask.from_us - START) / MINUTE..(ask.to_us - START) / MINUTE;
                    Some(minutes.filter(here).map(|m| (START + m * MINUTE, level(value(m)))).collect())
                };
                findings.extend(feed(&mut engine, minute..minute + 1, &stored).0);
            }
            findings
        };
        let punctual = run(&|_| 0);
        let late = run(&|minute| (scatter(minute.wrapping_mul(31) ^ seed).abs() * delay as f64) as i64);
        prop_assert!(!punctual.is_empty());
        // A static bound expects nothing, which is no number, and those are never equal.
        prop_assert_eq!(format!("{punctual:?}"), format!("{late:?}"));
    }
}
