//! LogSources, services and the kinds that only tell whether they are right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use causeway_controllers::{GatewayContext, Protocol, SourceObservation, run_gateway};
use causeway_crds::log_source::SourceState;
use causeway_crds::{Baseline, LogSource, MonitoredService, RemediationPolicy, Runbook, SLO};
use causeway_engine::ChangeClass;
use causeway_kubekit::{Activity, check_conditions};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::World;

fn ready(object: &impl serde::Serialize) -> Value {
    let object = serde_json::to_value(object).unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default()
}

fn secret(token: &str) -> Value {
    json!({"metadata": {"name": "token"}, "stringData": {"token": token}})
}

#[tokio::test]
async fn a_source_listens_once_its_secret_is_there() {
    let mut world = World::new().await;
    let auth = json!({"tokenSecretRef": {"name": "token", "key": "token"}});
    let steps = json!([{"name": "hide", "type": "Mask", "mask": {}}]);
    world
        .create::<LogSource>(json!({"metadata": {"name": "otlp"},
            "spec": {"type": "OTLP", "otlp": {"auth": auth}, "steps": steps, "silence": {"after": "1m"}}}))
        .await;
    world.start();
    world.settle().await;
    let source: LogSource = world.get("otlp").await;
    assert_eq!(check_conditions(&source), []);
    let condition = ready(&source);
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("SecretMissing")));
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("shop/token") && message.contains("kubectl create secret"), "{message}");
    assert!(world.gateway.sources.lock().unwrap().is_empty());

    world.create::<Secret>(secret("0ther")).await;
    let accepts = |token: &str| {
        let sources = world.gateway.sources.lock().unwrap();
        sources.values().any(|settings| settings.token.as_deref() == Some(token))
    };
    world.until(|| accepts("0ther")).await;
    world.patch::<Secret>("token", secret("t0ps3cret")).await;
    world.until(|| accepts("t0ps3cret")).await;
    world.settle().await;
    let source: LogSource = world.get("otlp").await;
    assert_eq!(check_conditions(&source), []);
    assert_eq!(ready(&source)["status"], "True");
    assert_eq!(source.status.unwrap().state, SourceState::Waiting);
    {
        let sources = world.gateway.sources.lock().unwrap();
        let settings = sources.values().next().unwrap();
        assert_eq!((settings.token.as_deref(), settings.protocol), (Some("t0ps3cret"), Protocol::Otlp));
        assert!(!format!("{settings:?}").contains("t0ps3cret"));
    }
    let seen = SourceObservation { last_record_us: Some(world.now().as_microsecond()), ..Default::default() };
    *world.gateway.seen.lock().unwrap() = seen;
    world.pass(10).await;
    assert_eq!(world.get::<LogSource>("otlp").await.status.unwrap().state, SourceState::Flowing);
    world.pass(70).await;
    assert_eq!(world.get::<LogSource>("otlp").await.status.unwrap().state, SourceState::Silent);

    world.patch::<LogSource>("otlp", json!({"spec": {"steps": [{"name": "x", "type": "Mask", "mask": {"patterns": [{"name": "p", "regex": "("}]}}]}})).await;
    world.settle().await;
    let source: LogSource = world.get("otlp").await;
    assert_eq!(check_conditions(&source), []);
    assert_eq!(ready(&source)["reason"], "InvalidSpec");
    assert!(world.gateway.sources.lock().unwrap().is_empty());
}

#[tokio::test]
async fn services_reach_the_engine_and_every_kind_says_how_it_is() {
    let mut world = World::shop("Auto").await;
    world
        .create::<MonitoredService>(json!({"metadata": {"name": "gateway"},
            "spec": {"telemetryName": "shop/gateway", "business": {"currency": "EUR", "revenuePerHour": "1200.5"}}}))
        .await;
    let series = json!({"type": "Metric", "metric": {"name": "queue_depth"}});
    world
        .create::<Baseline>(json!({"metadata": {"name": "queue"}, "spec": {"serviceRef": {"name": "nobody"}, "series": series}}))
        .await;
    let indicator = json!({"type": "Threshold", "threshold": {"signal": "Latency", "below": "0.5"}});
    world
        .create::<SLO>(json!({"metadata": {"name": "fast"}, "spec": {"serviceRef": {"name": "gateway"}, "indicator": indicator, "target": "99.5"}}))
        .await;
    world
        .patch::<RemediationPolicy>(
            "policy",
            json!({"spec": {"runbooks": [{"name": "restart"}, {"name": "nowhere"}]}}),
        )
        .await;
    world.start();
    world.settle().await;
    {
        let services = world.engine.services.lock().unwrap();
        assert_eq!(services.len(), 1);
        assert_eq!(services[0].telemetry_name, "shop/gateway");
        assert_eq!(services[0].revenue_per_hour, Some(("1200.5".into(), "EUR".into())));
        assert!(services[0].entry_point);
    }
    let service: MonitoredService = world.get("gateway").await;
    let baseline: Baseline = world.get("queue").await;
    let slo: SLO = world.get("fast").await;
    let policy: RemediationPolicy = world.get("policy").await;
    let runbook: Runbook = world.get("restart").await;
    assert_eq!(check_conditions(&service), []);
    assert_eq!(check_conditions(&baseline), []);
    assert_eq!(check_conditions(&slo), []);
    assert_eq!(check_conditions(&policy), []);
    assert_eq!(check_conditions(&runbook), []);
    assert_eq!(ready(&service)["status"], "True");
    assert_eq!(ready(&baseline)["reason"], "DependencyMissing");
    assert_eq!(ready(&slo)["status"], "True");
    assert!(ready(&policy)["message"].as_str().unwrap().contains("nowhere"));
    assert!(runbook.status.unwrap().digest.unwrap().starts_with("sha256:"));
    let version = world.cluster.resource_version();
    world.stop().await;
    world.start();
    world.settle().await;
    assert_eq!(world.cluster.resource_version(), version, "a second look writes nothing");
}

#[tokio::test]
async fn changes_are_told_with_their_author_and_old_values_are_kept() {
    let mut world = World::new().await;
    world.create::<ConfigMap>(json!({"metadata": {"name": "prices"}, "data": {"NL": "0.21"}})).await;
    let template = json!({"metadata": {"labels": {"app": "pricing"}}, "spec": {"containers": [
        {"name": "main", "image": "pricing:1", "envFrom": [{"configMapRef": {"name": "prices"}}]}]}});
    world
        .create::<Deployment>(json!({"metadata": {"name": "pricing"}, "spec": {"replicas": 2,
            "selector": {"matchLabels": {"app": "pricing"}}, "template": template}}))
        .await;
    world.start();
    world.settle().await;
    assert!(world.engine.changes.lock().unwrap().is_empty(), "what was there before is no change");
    let params = kube::api::PatchParams { field_manager: Some("ci-bot".into()), ..Default::default() };
    let patch = kube::api::Patch::Merge(json!({"data": {"NL": "2.1"}}));
    world.api::<ConfigMap>().patch("prices", &params, &patch).await.unwrap();
    world.settle().await;
    let image = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "pricing:2", "envFrom": [{"configMapRef": {"name": "prices"}}]}]}}}});
    world.patch::<Deployment>("pricing", image).await;
    world.settle().await;
    let changes = world.engine.changes.lock().unwrap().clone();
    assert_eq!(changes.len(), 2, "{changes:?}");
    let config = &changes[0].0;
    assert_eq!((config.entity.as_str(), config.class), ("shop/pricing", ChangeClass::Config));
    assert_eq!((config.object.as_str(), config.author.as_str()), ("ConfigMap/shop/prices", "ci-bot"));
    assert_eq!(config.diff, [("data.NL".to_owned(), "0.21".to_owned(), "2.1".to_owned())]);
    assert_eq!(config.time_us, world.now().as_microsecond());
    assert_eq!(changes[1].0.class, ChangeClass::Release);
    let mut kept: Vec<(i64, Value)> = world
        .list::<ControllerRevision>()
        .await
        .into_iter()
        .map(|revision| (revision.revision, revision.data.unwrap().0["data"]["NL"].clone()))
        .collect();
    kept.sort_by_key(|(number, _)| *number);
    assert_eq!(kept, [(1, json!("0.21")), (2, json!("2.1"))]);
}

#[tokio::test]
async fn a_gateway_configures_itself_and_writes_nothing() {
    let world = World::new().await;
    let auth = json!({"tokenSecretRef": {"name": "token", "key": "token"}});
    let source = json!({"metadata": {"name": "otlp"}, "spec": {"type": "OTLP", "otlp": {"auth": auth}}});
    let created = world.create::<LogSource>(source).await;
    let (stop, ready) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    let context = GatewayContext {
        client: world.cluster.client("causeway"),
        activity: Activity::new(),
        gateway: world.gateway.clone(),
    };
    let looked = Arc::clone(&ready);
    let task = tokio::spawn(run_gateway(context, move || looked.store(true, Ordering::SeqCst), stop.clone()));
    world.until(|| ready.load(Ordering::SeqCst)).await;
    assert!(world.gateway.sources.lock().unwrap().is_empty(), "its Secret is not there");
    world.create::<Secret>(secret("t0ps3cret")).await;
    let tokens = || {
        let sources = world.gateway.sources.lock().unwrap();
        sources.values().filter_map(|settings| settings.token.clone()).collect::<Vec<_>>()
    };
    world.until(|| tokens() == ["t0ps3cret"]).await;
    let now: LogSource = world.get("otlp").await;
    assert_eq!(
        now.metadata.resource_version, created.metadata.resource_version,
        "the status is the operator's"
    );
    world.api::<LogSource>().delete("otlp", &DeleteParams::default()).await.unwrap();
    world.until(|| tokens().is_empty()).await;
    stop.cancel();
    task.await.unwrap();
}
