//! What a repair is foretold to do: asked when it is planned, refused when it is harm, measured afterwards.

use causeway_crds::{Outcome, Phase, Remediation, RemediationPolicy};
use causeway_engine::SymptomState;
use causeway_engine::whatif::{Effect, Foretold, Signal, Step, Verdict};
use causeway_kubekit::check_conditions;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::world::{World, incident};

const RUN: &str = "gateway-3fa9c1-1";

fn effect(verdict: Verdict) -> Effect {
    let signal = |entity: &str, low, high| Foretold {
        entity: entity.to_owned(),
        signal: Signal::Latency,
        now: 1.4,
        median: 0.2,
        low,
        high,
    };
    Effect {
        verdict,
        summary: "4 → 8 instances of shop/gateway ask for 160 connections of db, which takes 100".to_owned(),
        signals: vec![signal("shop/gateway", 0.1, 0.3), signal("shop/web", 0.05, 0.15)],
    }
}

async fn grown(verdict: Verdict) -> World {
    let mut world = World::shop("Auto").await;
    *world.engine.effect.lock().unwrap() = effect(verdict);
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]);
    world.runbook("grow", steps).await;
    let runbooks = json!({"spec": {"runbooks": [{"name": "grow"}]}});
    world.patch::<RemediationPolicy>("policy", runbooks).await;
    world.start();
    world.settle().await;
    world
}

async fn replicas(world: &World) -> Option<i32> {
    world.get::<Deployment>("web").await.spec.unwrap().replicas
}

#[tokio::test]
async fn a_repair_that_is_foretold_to_do_harm_is_refused_with_the_figures() {
    let world = grown(Verdict::Harm).await;
    world.publish(incident(world.now())).await;
    let object: Remediation = world.get(RUN).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    assert_eq!((status.phase, status.outcome), (Phase::Refused, Some(Outcome::Refused)));
    assert_eq!(status.reason.as_deref(), Some("PredictedHarm"));
    assert!(status.message.unwrap().contains("160 connections of db, which takes 100"));
    assert!(status.timeline.iter().any(|entry| entry.event == "Foretold"));
    assert!(status.began_at.is_none());
    assert_eq!(replicas(&world).await, Some(4));
    let carried = object.spec.predicted_effect.unwrap();
    assert_eq!(carried.digest, carried.digest_for(&object.spec.plan_digest));
    let asked = world.engine.steps.lock().unwrap().clone();
    let service = match &asked[0][..] {
        [Step::Instances { service, from, to }] if (*from, *to) == (4.0, 8.0) => service.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(service, "shop/web");
    // Nothing new is known: it is not planned again.
    world.pass(120).await;
    assert_eq!(world.list::<Remediation>().await.len(), 1);
}

#[tokio::test]
async fn a_policy_may_ignore_the_prediction() {
    let world = grown(Verdict::Harm).await;
    let ignore = json!({"spec": {"require": {"whatIf": "Ignore"}}});
    world.patch::<RemediationPolicy>("policy", ignore).await;
    world.publish(incident(world.now())).await;
    assert_eq!(replicas(&world).await, Some(8));
    let object: Remediation = world.get(RUN).await;
    assert_eq!(object.spec.predicted_effect.unwrap().verdict, causeway_remediate::EffectVerdict::Harm);
}

#[tokio::test]
async fn what_was_foretold_is_measured_after_the_repair_is_over() {
    let mut world = grown(Verdict::NoHarm).await;
    world.publish(incident(world.now())).await;
    assert_eq!(replicas(&world).await, Some(8));
    world.symptom(SymptomState::Clear).await;
    *world.engine.measured.lock().unwrap() = Some(0.2);
    world.pass(140).await;
    let object: Remediation = world.get(RUN).await;
    let status = object.status.unwrap();
    assert_eq!(
        (status.phase, status.effect),
        (Phase::Succeeded, None),
        "the time of the measurement is not over"
    );

    world.pass(200).await;
    let object: Remediation = world.get(RUN).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    let measured = status.effect.unwrap();
    assert_eq!((measured.held, measured.of), (1, 2), "{measured:?}");
    assert!(measured.signals[0].held && !measured.signals[1].held);
    let last = status.timeline.last().unwrap();
    assert_eq!(last.event, "Measured");
    assert_eq!(last.message.as_deref(), Some("1 of 2 predicted intervals held what was measured"));

    assert_eq!(*world.engine.effects.lock().unwrap(), (1, 1));

    // It is noted once, and over a restart.
    let version = world.cluster.resource_version();
    world.pass(60).await;
    world.stop().await;
    world.start();
    world.settle().await;
    assert_eq!(world.cluster.resource_version(), version, "a second look writes nothing");
}
