//! Baselines: what reaches the engine, and what their status says of it.

use causeway_crds::baseline::BaselineState;
use causeway_crds::{Baseline, MonitoredService};
use causeway_engine::{
    BaselineConfig, BaselineReport, BaselineState as EngineState, Direction, Foretold, Graded, ModelKind,
    OutlookReport, Selector,
};
use causeway_kubekit::check_conditions;
use causeway_model::{SeriesId, SeriesKind};
use serde_json::{Value, json};

use crate::slo::condition;
use crate::world::World;

async fn baseline(world: &World, name: &str, series: Value, more: Value) {
    let mut spec = json!({"serviceRef": {"name": "web"}, "series": series});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    world.create::<Baseline>(json!({"metadata": {"name": name}, "spec": spec})).await;
}

async fn world() -> World {
    let world = World::new().await;
    world.create::<MonitoredService>(json!({"metadata": {"name": "web"}, "spec": {}})).await;
    world
}

fn trace(signal: &str) -> Value {
    json!({"type": "Trace", "trace": {"signal": signal}})
}

#[tokio::test]
async fn every_series_reaches_the_engine_in_its_units() {
    let mut world = world().await;
    let window = json!({"size": "10m", "resolution": "30s", "violating": 4, "clearing": 6});
    let bounds = json!({"type": "Static", "upper": "250"});
    baseline(&world, "a-latency", trace("Latency"), json!({"model": bounds, "window": window})).await;
    let metric = json!({"type": "Metric", "metric": {"name": "pool", "maxSeries": 7}});
    baseline(
        &world,
        "b-pool",
        metric,
        json!({"model": {"type": "Seasonal", "direction": "Both", "sensitivity": "High"},
        "missingData": "Violate", "training": {"history": "28d", "minimum": "3d"}}),
    )
    .await;
    let pattern = json!({"type": "LogPattern", "logPattern": {"contains": "timeout"}});
    baseline(&world, "c-timeouts", pattern, json!({"suspend": true})).await;
    world.start();
    world.settle().await;
    let declared = world.engine.baselines.lock().unwrap().clone().unwrap();
    let [latency, pool, timeouts] = &declared[..] else { panic!("three: {declared:?}") };
    assert_eq!((&latency.selector, latency.max_series), (&Selector::Latency, 2));
    assert_eq!(latency.model, ModelKind::Static { lower: None, upper: Some(0.25) });
    assert_eq!(latency.entities, ["shop/web", "web"]);
    let rule = latency.rule;
    assert_eq!((rule.size, rule.violating, rule.clearing, latency.resolution_us), (20, 4, 6, 30_000_000));
    assert_eq!((&pool.selector, pool.max_series), (&Selector::Metric("pool".into()), 7));
    assert_eq!((pool.direction, pool.minimum_history_us), (Direction::Both, 3 * 86_400_000_000));
    assert_eq!(timeouts.selector, Selector::LogPattern("timeout".into()));
    assert!(timeouts.suspended);
    let object: Baseline = world.get("c-timeouts").await;
    assert_eq!(check_conditions(&object), []);
    assert_eq!(object.status.unwrap().state, BaselineState::Suspended);
}

#[tokio::test]
async fn what_windows_do_not_hold_is_asked_for() {
    let mut world = world().await;
    let training = json!({"training": {"history": "28d", "minimum": "1d"}, "window": {"delay": "10m"}});
    let pattern = json!({"contains": "provider", "number": "took <duration>", "groupBy": ["country"]});
    baseline(&world, "a-number", json!({"type": "LogPattern", "logPattern": pattern}), training).await;
    let query = json!({"query": "status >= 400", "maxSeries": 3});
    baseline(&world, "b-query", json!({"type": "LogQuery", "logQuery": query}), json!({})).await;
    let sql = "SELECT time, value, pool FROM x WHERE time >= $from AND time < $to";
    let query = json!({"sql": sql, "values": "Counts"});
    baseline(&world, "c-sql", json!({"type": "Query", "query": query}), json!({})).await;
    let metric = json!({"name": "in_use", "groupBy": ["pool"]});
    baseline(&world, "d-metric", json!({"type": "Metric", "metric": metric}), json!({})).await;
    world.start();
    world.settle().await;
    let declared = world.engine.baselines.lock().unwrap().clone().unwrap();
    let [number, query, sql_of, metric] = &declared[..] else { panic!("four: {declared:?}") };
    let question = |config: &BaselineConfig| match &config.selector {
        Selector::Query(question) => question.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((number.history_us, number.delay_us), (28 * 86_400_000_000, 600_000_000));
    let asked = question(number);
    assert_eq!((asked.kind, asked.signal.as_str()), (SeriesKind::Gauge, "took <duration>"));
    for words in ["service IN ('shop/web', 'web')", "strpos(body, 'provider') > 0", "AS \"country\"", "avg("]
    {
        assert!(asked.sql.contains(words), "{words}: {}", asked.sql);
    }
    assert_eq!((question(query).kind, query.max_series, query.delay_us), (SeriesKind::Count, 3, 10_000_000));
    assert_eq!((question(sql_of).sql.as_str(), question(sql_of).signal.as_str()), (sql, "c-sql"));
    assert_eq!(
        (&metric.selector, &metric.group_by),
        (&Selector::Metric("in_use".into()), &vec!["pool".to_owned()])
    );

    let report = BaselineReport { tracked: 3, left_out: 40, ..BaselineReport::default() };
    *world.engine.normal.lock().unwrap() = Some(report.clone());
    world.pass(30).await;
    let object: Baseline = world.get("b-query").await;
    assert_eq!(check_conditions(&object), []);
    let (status, reason, message) = condition(&object, "WithinLimits");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "LimitExceeded"));
    assert!(message.contains("More than 3 series") && message.contains("raise maxSeries"), "{message}");
    assert_eq!(condition(&object, "Ready").0, "True");
    let unanswered = Some("no column `value`".to_owned());
    *world.engine.normal.lock().unwrap() = Some(BaselineReport { unanswered, left_out: 0, ..report });
    world.pass(30).await;
    let object: Baseline = world.get("b-query").await;
    assert_eq!(condition(&object, "WithinLimits").0, "True");
    let (status, reason, message) = condition(&object, "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "QueryFailed"));
    assert!(message.contains("no column `value`"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_followed_says_what_to_use_instead() {
    let mut world = world().await;
    let cases = [
        ("full", trace("Saturation"), json!({}), "NotSupported", "name the Metric"),
        (
            "idle",
            trace("Traffic"),
            json!({"model": {"type": "Static", "lower": "2"}}),
            "InvalidSpec",
            "Below needs lower",
        ),
        (
            "odd",
            trace("Errors"),
            json!({"window": {"size": "5m", "resolution": "15s"}}),
            "InvalidSpec",
            "multiple of 10s",
        ),
        (
            "late",
            trace("Errors"),
            json!({"window": {"delay": "2h"}}),
            "InvalidSpec",
            "delay must be at most 1h",
        ),
        (
            "timeless",
            json!({"type": "Query", "query": {"sql": "SELECT time, value FROM metrics"}}),
            json!({}),
            "InvalidSpec",
            "$from and $to",
        ),
        (
            "numberless",
            json!({"type": "LogPattern", "logPattern": {"contains": "took", "number": "took long"}}),
            json!({}),
            "InvalidSpec",
            "<duration>",
        ),
        (
            "orphan",
            trace("Errors"),
            json!({"serviceRef": {"name": "nobody"}}),
            "DependencyMissing",
            "create it",
        ),
    ];
    for (name, series, more, _, _) in &cases {
        baseline(&world, name, series.clone(), more.clone()).await;
    }
    world.start();
    world.settle().await;
    for (name, _, _, reason, words) in cases {
        let object: Baseline = world.get(name).await;
        assert_eq!(check_conditions(&object), [], "{name}");
        let (status, found, message) = condition(&object, "Ready");
        assert_eq!((status.as_str(), found.as_str()), ("False", reason), "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    assert_eq!(world.engine.baselines.lock().unwrap().as_ref().map(Vec::len), Some(0));
}

#[tokio::test]
async fn the_status_follows_the_engine_and_is_quiet_when_nothing_changes() {
    let mut world = world().await;
    let forecast = json!({"forecast": {"horizon": "2h", "raiseIf": {"above": "500", "probability": "0.7", "leadTime": "15m"}}});
    baseline(&world, "latency", trace("Latency"), forecast).await;
    world.start();
    world.settle().await;
    let object: Baseline = world.get("latency").await;
    assert_eq!(check_conditions(&object), []);
    assert_eq!(condition(&object, "DataFlowing").1, "Waiting");
    assert_eq!(condition(&object, "ModelReady").1, "Learning");
    let declared = world.engine.baselines.lock().unwrap().clone().unwrap();
    let wanted = declared[0].outlook.unwrap();
    assert_eq!((wanted.threshold, wanted.probability, wanted.lead_us), (0.5, 0.7, 900_000_000));
    assert_eq!(wanted.horizon_us, 7_200_000_000);

    let known = BaselineReport {
        learned: 0.376,
        tracked: 1,
        last_us: Some(world.now().as_microsecond() + 3_600_000_000),
        quiet_us: 120_000_000,
        ..BaselineReport::default()
    };
    let learned = BaselineReport { learned: 1.0, band: Some("20 ms to 300 ms".to_owned()), ..known.clone() };
    let deviating =
        BaselineReport { deviating: vec!["shop/web: 1.2 s, expected 160 ms".to_owned()], ..learned.clone() };
    let cases = [
        (EngineState::Learning, known, BaselineState::Learning, 37, ["False", "Unknown"], "no band yet"),
        (
            EngineState::WithinBand,
            learned.clone(),
            BaselineState::WithinBand,
            100,
            ["True", "True"],
            "Normal is 20 ms to 300 ms",
        ),
        (
            EngineState::Deviating,
            deviating,
            BaselineState::Deviating,
            100,
            ["True", "False"],
            "1.2 s, expected 160 ms",
        ),
        (EngineState::NoData, learned, BaselineState::NoData, 100, ["True", "Unknown"], "missing"),
    ];
    for (engine, report, state, percent, [ready, within], words) in cases {
        *world.engine.normal.lock().unwrap() = Some(BaselineReport { state: engine, ..report });
        world.pass(20).await;
        let object: Baseline = world.get("latency").await;
        assert_eq!(check_conditions(&object), [], "{state:?}");
        let status = object.status.clone().unwrap();
        assert_eq!((status.state, status.learned_percent, status.series_tracked), (state, percent, 1));
        assert_eq!(condition(&object, "ModelReady").0, ready, "{state:?}");
        let (truth, _, message) = condition(&object, "WithinBand");
        assert_eq!(truth, within, "{state:?}");
        assert!(message.contains(words), "{message}");
        assert_eq!(condition(&object, "Ready").0, "True");
        let version = world.cluster.resource_version();
        world.pass(120).await;
        assert_eq!(world.cluster.resource_version(), version, "{state:?}: unchanged, so nothing is written");
    }
    let series = SeriesId { entity: "shop/web".into(), signal: "latency".into(), group: "".into() };
    let deadline_us = world.now().as_microsecond() + 3_600_000_000;
    let foretold = Foretold { series, made_us: world.now().as_microsecond(), deadline_us, probability: 0.85 };
    let words = "latency of shop/web rises above 500 ms".to_owned();
    let graded = Graded { hits: 3, unforeseen: 1, ..Graded::default() };
    let report = OutlookReport { ready: true, next: Some((foretold, words)), graded, brier: Some(0.118) };
    world.engine.normal.lock().unwrap().as_mut().unwrap().outlook = Some(report);
    world.pass(20).await;
    let object: Baseline = world.get("latency").await;
    assert_eq!(check_conditions(&object), []);
    let (truth, reason, message) = condition(&object, "ForecastHealthy");
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "CrossingAhead"));
    assert!(message.contains("rises above 500 ms"), "{message}");
    let forecast = object.status.unwrap().forecast.unwrap();
    assert_eq!((forecast.hits, forecast.unforeseen), (3, 1));
    assert_eq!(forecast.brier.as_ref().map(ToString::to_string).as_deref(), Some("0.12"));
    assert_eq!(forecast.series.as_deref(), Some("shop/web/latency"));
    assert_eq!(forecast.probability.unwrap().to_string(), "0.85");
}
