//! SLOs: what reaches the engine, and what their status says of it.

use causeway_crds::slo::SLOState;
use causeway_crds::{MonitoredService, SLO};
use causeway_engine::burn::Severity;
use causeway_engine::{EventSource, Indicator, Labels, ObjectiveReport, ObjectiveState};
use causeway_kubekit::check_conditions;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::world::World;

const HOUR_US: i64 = 3_600_000_000;
const BURN: &str =
    "availability burns its error budget 20 times too fast: 2 % of requests failed in the last hour";

fn ratio(bad: &Value, total: &Value) -> Value {
    json!({"type": "Ratio", "ratio": {"bad": bad, "total": total}})
}

fn errors() -> Value {
    ratio(&json!({"type": "Signal", "signal": "Errors"}), &json!({"type": "Signal", "signal": "Traffic"}))
}

async fn world() -> World {
    let world = World::new().await;
    world
        .create::<MonitoredService>(json!({"metadata": {"name": "web"}, "spec": {"telemetryName": "web"}}))
        .await;
    world
}

async fn slo(world: &World, name: &str, more: Value) {
    let mut spec = json!({"serviceRef": {"name": "web"}, "indicator": errors(), "target": "99.9"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    world.create::<SLO>(json!({"metadata": {"name": name}, "spec": spec})).await;
}

pub(crate) fn condition(object: &impl serde::Serialize, name: &str) -> (String, String, String) {
    let object = serde_json::to_value(object).unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|c| c["type"] == name).unwrap_or_default();
    let text = |key: &str| found[key].as_str().unwrap_or("-").to_owned();
    (text("status"), text("reason"), text("message"))
}

#[tokio::test]
async fn what_is_declared_reaches_the_engine_and_what_is_deleted_leaves_it() {
    let mut world = world().await;
    slo(
        &world,
        "latency",
        json!({"indicator": {"type": "Threshold", "threshold": {"signal": "Latency", "below": "500"}},
            "window": {"duration": "7d"}, "minimumBadEvents": 5,
            "burn": [{"severity": "Ticket", "rate": "2", "long": "1h", "short": "5m"}]}),
    )
    .await;
    let counters = ratio(
        &json!({"type": "Metric", "metric": {"name": "orders_failed"}}),
        &json!({"type": "Metric", "metric": {"name": "orders"}}),
    );
    slo(&world, "orders", json!({"indicator": counters, "suspend": true})).await;
    world.start();
    world.settle().await;
    {
        let declared = world.engine.objectives.lock().unwrap().clone().unwrap();
        assert_eq!(declared.len(), 2);
        let [latency, orders] = &declared[..] else { panic!("two") };
        assert_eq!(latency.entities, ["shop/web", "web"]);
        assert_eq!(latency.indicator, Indicator::SlowerThan { seconds: 0.5 });
        assert_eq!((latency.minimum_bad, latency.target.window()), (5.0, 7.0 * 86_400.0));
        assert_eq!((latency.rules.len(), latency.rules[0].severity), (1, Severity::Ticket));
        assert!(orders.suspended);
        assert_eq!(orders.rules.len(), 3, "the workbook's");
        let metric = |name: &str| EventSource::Metric { name: name.to_owned(), labels: Labels::default() };
        assert_eq!(
            orders.indicator,
            Indicator::BadRatio { bad: metric("orders_failed"), total: metric("orders") }
        );
    }
    world.api::<SLO>().delete("latency", &DeleteParams::default()).await.unwrap();
    // The answer to a delete does not say when it was; what is written after it does.
    world.patch::<SLO>("orders", json!({"spec": {"description": "paid orders"}})).await;
    world.settle().await;
    assert_eq!(world.engine.objectives.lock().unwrap().as_ref().map(Vec::len), Some(1));
    world.stop().await;
    world.api::<SLO>().delete("orders", &DeleteParams::default()).await.unwrap();
    world.start();
    world.settle().await;
    let declared = world.engine.objectives.lock().unwrap().clone();
    assert_eq!(declared, Some(Vec::new()), "what was deleted meanwhile is told at the start");
}

#[tokio::test]
async fn log_records_and_levels_are_asked_for_and_a_lake_that_cannot_answer_is_told() {
    let mut world = world().await;
    let logs = |query: &str| json!({"type": "Logs", "logs": {"query": query}});
    let indicator = ratio(&logs("status >= 500"), &logs("has(status)"));
    slo(&world, "a-logs", json!({"indicator": indicator})).await;
    let threshold = |threshold: Value| json!({"type": "Threshold", "threshold": threshold});
    let level = threshold(json!({"metric": {"name": "queue", "labels": "pool!=\"spare\""}, "below": "90"}));
    slo(&world, "b-level", json!({"indicator": level})).await;
    let number = json!({"query": "service == \"shop/web\"", "value": "took_ms"});
    slo(&world, "c-number", json!({"indicator": threshold(json!({"logs": number, "below": "250.5"}))})).await;
    world.start();
    world.settle().await;
    let declared = world.engine.objectives.lock().unwrap().clone().unwrap();
    let asked: Vec<[String; 2]> = declared
        .iter()
        .map(|objective| match &objective.indicator {
            Indicator::BadRatio { bad: EventSource::Query(bad), total: EventSource::Query(total) } => {
                [bad.sql.clone(), total.sql.clone()]
            }
            other => panic!("asked: {other:?}"),
        })
        .collect();
    for ([bad, total], words) in asked.iter().zip([">= 500", "value >= 90.0", "AS DOUBLE) >= 250.5"]) {
        assert!(bad.contains(words) && !total.contains(words), "{bad}\n{total}");
        assert!(total.contains("time >= $from AND time < $to"), "{total}");
    }
    assert!(asked[1][1].contains("service IN ('shop/web', 'web')"), "{}", asked[1][1]);
    assert!(asked[1][1].contains("NOT regexp_like(COALESCE(attributes['pool'], ''), '^spare$')"));

    let unanswered = Some("the table is not there".to_owned());
    *world.engine.standing.lock().unwrap() =
        Some(ObjectiveReport { unanswered, ..ObjectiveReport::default() });
    world.pass(30).await;
    let slo: SLO = world.get("a-logs").await;
    assert_eq!(check_conditions(&slo), []);
    let (status, reason, message) = condition(&slo, "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "QueryFailed"));
    assert!(message.contains("the table is not there"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_evaluated_says_what_to_use_instead() {
    let mut world = world().await;
    let logs = json!({"type": "Logs", "logs": {"query": "status => 500"}});
    let traffic = json!({"type": "Signal", "signal": "Traffic"});
    let threshold =
        |signal: &str| json!({"type": "Threshold", "threshold": {"signal": signal, "below": "0.1"}});
    let burn = |rate: &str, long: &str| json!([{"rate": rate, "long": long, "short": "5m"}]);
    let cases = [
        ("logs", json!({"indicator": ratio(&logs, &traffic)}), "InvalidSpec", "at character 8"),
        ("share", json!({"indicator": threshold("Errors")}), "NotSupported", "write a Ratio of bad Errors"),
        ("full", json!({"indicator": threshold("Saturation")}), "NotSupported", "Static bounds"),
        ("lax", json!({"target": "90"}), "InvalidSpec", "lower the rate"),
        (
            "short",
            json!({"window": {"duration": "2h"}, "burn": burn("2", "3h")}),
            "InvalidSpec",
            "spec.burn[0]",
        ),
        ("brief", json!({"window": {"duration": "10m"}}), "InvalidSpec", "1h to 366d"),
        (
            "slices",
            json!({"budgeting": "Timeslices", "timeslices": {"size": "15s", "target": "99"}}),
            "InvalidSpec",
            "multiple of 10s",
        ),
        ("orphan", json!({"serviceRef": {"name": "nobody"}}), "DependencyMissing", "create it"),
    ];
    for (name, more, _, _) in &cases {
        slo(&world, name, more.clone()).await;
    }
    world.start();
    world.settle().await;
    for (name, _, reason, words) in cases {
        let slo: SLO = world.get(name).await;
        assert_eq!(check_conditions(&slo), [], "{name}");
        let (status, found, message) = condition(&slo, "Ready");
        assert_eq!((status.as_str(), found.as_str()), ("False", reason), "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    assert_eq!(world.engine.objectives.lock().unwrap().as_ref().map(Vec::len), Some(0));
}

#[tokio::test]
async fn the_status_follows_the_engine_and_is_quiet_when_nothing_changes() {
    let mut world = world().await;
    slo(&world, "availability", json!({"predictExhaustion": true})).await;
    slo(&world, "gate", json!({"healthGate": true})).await;
    world.start();
    world.settle().await;
    let available: SLO = world.get("availability").await;
    assert_eq!(check_conditions(&available), []);
    assert_eq!(condition(&available, "HistorySufficient").1, "NoData");
    assert_eq!(condition(&available, "BurnRateHealthy").1, "Learning");
    assert_eq!(condition(&available, "Ready").0, "True");

    let now_us = world.now().as_microsecond();
    let known = ObjectiveReport {
        remaining: 1.0,
        last_us: Some(now_us + HOUR_US),
        quiet_us: 60_000_000,
        covered_us: 24 * HOUR_US,
        ..ObjectiveReport::default()
    };
    let burning = ObjectiveReport { burn: Some(BURN.to_owned()), remaining: 0.31, ..known.clone() };
    type Case = (ObjectiveState, ObjectiveReport, SLOState, Option<i32>, [&'static str; 3]);
    let cases: [Case; 5] = [
        (ObjectiveState::Learning, known.clone(), SLOState::Learning, None, ["Unknown", "Unknown", "True"]),
        (ObjectiveState::Healthy, known.clone(), SLOState::Healthy, Some(100), ["True", "True", "True"]),
        (
            ObjectiveState::BurningFast,
            ObjectiveReport { exhausted_us: Some(now_us + 20 * HOUR_US), ..burning.clone() },
            SLOState::BurningFast,
            Some(31),
            ["True", "False", "False"],
        ),
        (
            ObjectiveState::Burning,
            ObjectiveReport { ticket: true, remaining: 0.2, ..known.clone() },
            SLOState::Burning,
            Some(20),
            ["True", "False", "False"],
        ),
        (
            ObjectiveState::Exhausted,
            ObjectiveReport { remaining: -0.5, ..known },
            SLOState::Exhausted,
            Some(0),
            ["False", "True", "False"],
        ),
    ];
    for (engine, report, state, percent, truths) in cases {
        let exhausts = report.exhausted_us.is_some();
        *world.engine.standing.lock().unwrap() = Some(ObjectiveReport { state: engine, ..report });
        world.pass(20).await;
        let slo: SLO = world.get("availability").await;
        let gate: SLO = world.get("gate").await;
        assert_eq!((check_conditions(&slo), check_conditions(&gate)), (vec![], vec![]), "{state:?}");
        let status = slo.status.clone().unwrap();
        assert_eq!((status.state, status.budget_remaining_percent), (state, percent));
        assert_eq!(status.exhausts_at.is_some(), exhausts, "{state:?}");
        let [budget, burn, gated] = truths;
        assert_eq!(condition(&slo, "BudgetHealthy").0, budget, "{state:?}");
        assert_eq!(condition(&slo, "BurnRateHealthy").0, burn, "{state:?}");
        assert_eq!(condition(&slo, "Ready").0, "True", "{state:?}");
        assert_eq!(condition(&gate, "Ready").0, gated, "{state:?}");
        assert!(condition(&slo, "HistorySufficient").2.contains("0 % of 672h"), "{slo:?}");
        if state == SLOState::BurningFast {
            assert_eq!(condition(&slo, "BurnRateHealthy").2, BURN);
            let service: MonitoredService = world.get("web").await;
            assert_eq!(check_conditions(&service), []);
            assert_eq!(condition(&service, "ObjectivesMet").1, "BudgetBurning");
        }
        let version = world.cluster.resource_version();
        world.pass(120).await;
        assert_eq!(world.cluster.resource_version(), version, "{state:?}: unchanged, so nothing is written");
    }
    // Two hours later the newest event is an old one.
    world.pass(7200).await;
    let slo: SLO = world.get("availability").await;
    assert_eq!(condition(&slo, "BurnRateHealthy").1, "NoData");

    world.patch::<SLO>("availability", json!({"spec": {"suspend": true}})).await;
    world.settle().await;
    let slo: SLO = world.get("availability").await;
    assert_eq!(check_conditions(&slo), []);
    assert_eq!(slo.status.unwrap().state, SLOState::Suspended);
}
