//! Transitions of an Incident, what people may say about it, and its end.

use causeway_causal::impact::{Requests, Share, revenue_at_risk};
use causeway_crds::Incident;
use causeway_crds::incident::{IncidentState, PredictionGrade};
use causeway_engine::{Grade, Incident as EngineIncident, IncidentPhase, Prediction, SymptomState};
use causeway_kubekit::check_conditions;
use causeway_model::SeriesId;
use serde_json::{Value, json};

use crate::world::{FINGERPRINT, World, incident};

const INCIDENT: &str = "gateway-3fa9c1";

fn condition(object: &Incident, name: &str) -> Option<Value> {
    let conditions = serde_json::to_value(&object.status.as_ref().unwrap().conditions).unwrap();
    conditions.as_array().unwrap().iter().find(|condition| condition["type"] == name).cloned()
}

async fn now(world: &World) -> Incident {
    let object: Incident = world.get(INCIDENT).await;
    assert_eq!(check_conditions(&object), []);
    object
}

async fn tell(world: &World, change: impl FnOnce(&mut EngineIncident)) {
    let mut incident = world.engine.incidents.lock().unwrap()[FINGERPRINT].clone();
    change(&mut incident);
    incident.revision += 1;
    world.publish(incident).await;
}

async fn begun() -> World {
    let mut world = World::new().await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    world
}

#[tokio::test]
async fn a_prediction_opens_comes_true_and_shows_its_grade() {
    let mut world = World::shop("Auto").await;
    world.start();
    world.settle().await;
    let real = incident(world.now());
    let mut foretold = real.clone();
    foretold.phase = IncidentPhase::Predicted;
    foretold.symptom = SymptomState::Clear;
    foretold.symptoms.clear();
    foretold.draft = None;
    foretold.predicted = Some(Prediction {
        series: SeriesId { entity: "shop/gateway".into(), signal: "pool".into(), group: "".into() },
        made_us: real.since_us,
        deadline_us: real.since_us + 3_600_000_000,
        probability: 0.87,
        note: "pool of shop/gateway rises above 90".into(),
        grade: None,
    });
    world.publish(foretold.clone()).await;
    let object = now(&world).await;
    assert_eq!(object.spec.opened_for.signal.as_deref(), Some("pool"));
    let status = object.status.clone().unwrap();
    assert_eq!(status.state, IncidentState::Predicted);
    assert_eq!(status.symptom.summary.as_deref(), Some("pool of shop/gateway rises above 90"));
    let predicted = status.predicted.unwrap();
    assert_eq!((predicted.probability.unwrap().as_str(), predicted.grade), ("0.87", None));
    assert_eq!(condition(&object, "Resolved").unwrap()["reason"], "CrossingAhead");
    assert!(
        world.list::<causeway_crds::Remediation>().await.is_empty(),
        "nothing is repaired before it hurts"
    );

    tell(&world, |i| {
        let predicted = i.predicted.clone();
        *i = real.clone();
        i.revision = 10;
        i.predicted = predicted.map(|p| Prediction { grade: Some(Grade::Hit), ..p });
    })
    .await;
    let status = now(&world).await.status.unwrap();
    assert!(matches!(status.state, IncidentState::Open | IncidentState::Mitigating), "{:?}", status.state);
    assert_eq!(status.predicted.unwrap().grade, Some(PredictionGrade::Hit));
}

#[tokio::test]
async fn what_was_foretold_and_did_not_happen_is_prevented() {
    let world = begun().await;
    let at = world.now().as_microsecond();
    tell(&world, |i| {
        i.phase = IncidentPhase::Prevented;
        i.resolved_us = Some(at);
        i.symptom = SymptomState::Clear;
        i.draft = None;
        i.predicted = Some(Prediction {
            series: SeriesId { entity: "shop/gateway".into(), signal: "pool".into(), group: "".into() },
            made_us: at,
            deadline_us: at,
            probability: 0.6,
            note: "pool".into(),
            grade: Some(Grade::Prevented),
        });
    })
    .await;
    let object = now(&world).await;
    let status = object.status.clone().unwrap();
    assert_eq!(status.state, IncidentState::Prevented);
    assert_eq!(status.predicted.unwrap().grade, Some(PredictionGrade::Prevented));
    let resolved = condition(&object, "Resolved").unwrap();
    assert_eq!((&resolved["status"], &resolved["reason"]), (&json!("True"), &json!("NoCrossing")));
}

#[tokio::test]
async fn open_monitoring_resolved_and_open_again() {
    let world = begun().await;
    let state = async |world: &World| now(world).await.status.unwrap().state;
    assert_eq!(state(&world).await, IncidentState::Open);
    world.symptom(SymptomState::Clear).await;
    assert_eq!(state(&world).await, IncidentState::Monitoring);
    let at = world.now().as_microsecond();
    tell(&world, |i| (i.phase, i.resolved_us) = (IncidentPhase::Resolved, Some(at))).await;
    let object = now(&world).await;
    assert_eq!(object.status.clone().unwrap().state, IncidentState::Resolved);
    assert!(object.status.unwrap().resolved_at.is_some());
    tell(&world, |i| {
        (i.phase, i.resolved_us, i.symptom) = (IncidentPhase::Open, None, SymptomState::Firing);
        i.reopened = 1;
    })
    .await;
    let object = now(&world).await;
    assert_eq!(object.status.clone().unwrap().state, IncidentState::Open);
    assert!(object.status.unwrap().resolved_at.is_none());
}

#[tokio::test]
async fn people_acknowledge_and_silence() {
    let world = begun().await;
    assert!(condition(&now(&world).await, "Acknowledged").is_none());
    let until = world.now().checked_add(jiff::SignedDuration::from_mins(5)).unwrap();
    let spec = json!({"spec": {"acknowledge": {"by": "anna"}, "silenceUntil": until.to_string()}});
    world.patch::<Incident>(INCIDENT, spec).await;
    world.settle().await;
    let object = now(&world).await;
    assert_eq!(condition(&object, "Acknowledged").unwrap()["message"], "anna looks after it");
    assert_eq!(condition(&object, "Silenced").unwrap()["status"], "True");
    world.pass(310).await;
    assert_eq!(condition(&now(&world).await, "Silenced").unwrap()["reason"], "SilenceOver");
}

#[tokio::test]
async fn a_person_merges_one_incident_into_another() {
    let world = begun().await;
    let mut other = incident(world.now());
    other.fingerprint = "77aa88bb99cc".into();
    world.publish(other).await;
    world.patch::<Incident>(INCIDENT, json!({"spec": {"mergeInto": "gateway-77aa88"}})).await;
    world.settle().await;
    let merged = world.engine.merged.lock().unwrap().clone();
    assert!(merged.contains(&(FINGERPRINT.to_owned(), "77aa88bb99cc".to_owned())), "{merged:?}");
    let at = world.now().as_microsecond();
    tell(&world, |i| {
        (i.phase, i.resolved_us) = (IncidentPhase::Resolved, Some(at));
        i.merged_into = Some("77aa88bb99cc".into());
    })
    .await;
    let object = now(&world).await;
    let status = object.status.clone().unwrap();
    assert_eq!(
        (status.state, status.merged_into.as_deref()),
        (IncidentState::Resolved, Some("gateway-77aa88"))
    );
    assert_eq!(condition(&object, "Resolved").unwrap()["reason"], "Merged");
}

#[tokio::test]
async fn an_incident_that_is_over_goes_after_two_weeks_and_stays_gone() {
    let mut world = begun().await;
    let at = world.now().as_microsecond();
    tell(&world, |i| {
        (i.phase, i.resolved_us, i.symptom) = (IncidentPhase::Resolved, Some(at), SymptomState::Clear);
    })
    .await;
    world.leap(13 * 86_400).await;
    assert_eq!(world.list::<Incident>().await.len(), 1);
    world.leap(2 * 86_400).await;
    assert!(world.list::<Incident>().await.is_empty());
    // After a restart the engine tells of all that it knows.
    world.stop().await;
    world.start();
    world.settle().await;
    let known = world.engine.incidents.lock().unwrap()[FINGERPRINT].clone();
    world.publish(known).await;
    assert!(world.list::<Incident>().await.is_empty());
}

#[tokio::test]
async fn money_stands_in_the_status_with_all_that_it_is_made_of() {
    let world = begun().await;
    let requests = Requests { affected: 137, all: 4_211 };
    tell(&world, |i| {
        let draft = i.draft.as_mut().unwrap();
        draft.impact.requests = Some(requests);
        draft.money = Some(revenue_at_risk("EUR", 1_500_000.0, requests.share(), 733.0, &["flat"]));
    })
    .await;
    let status = now(&world).await.status.unwrap();
    let (impact, money) = (status.impact.unwrap(), status.money.unwrap());
    let shown = impact.requests.unwrap();
    let share = shown.affected as f64 / shown.all as f64;
    let at_risk = money.revenue_per_hour.unwrap().to_f64() * share;
    assert!((money.at_risk_per_hour.to_f64() - at_risk).abs() < 0.01);
    let lost = at_risk * money.seconds.unwrap() as f64 / 3600.0;
    assert!((money.loss_so_far.unwrap().to_f64() - lost).abs() < 0.01);
    let wilson = Share::of_counts(137, 4_211);
    let interval = money.interval.unwrap();
    assert!((interval.low.to_f64() - 1_500_000.0 * wilson.low).abs() < 0.01);
    assert!((interval.high.to_f64() - 1_500_000.0 * wilson.high).abs() < 0.01);
    assert_eq!(money.method.as_deref(), Some("revenue per hour x affected share of requests x hours"));
    assert_eq!(money.assumptions, ["flat"]);
}
