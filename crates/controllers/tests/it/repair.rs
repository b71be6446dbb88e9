//! From an incident to a verified repair, and everything that keeps a repair from being made.

use causeway_crds::incident::IncidentState;
use causeway_crds::{
    Approval, ClusterGuardrail, Incident, MonitoredService, Outcome, Pause, Phase, Remediation,
};
use causeway_engine::{IncidentPhase, SymptomState};
use causeway_kubekit::check_conditions;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::world::{SHOP, World, incident};

const INCIDENT: &str = "gateway-3fa9c1";
const RUN: &str = "gateway-3fa9c1-1";

async fn run(world: &World) -> causeway_crds::RemediationStatus {
    world.get::<Remediation>(RUN).await.status.unwrap_or_default()
}

fn restarted(deployment: &Deployment) -> Option<String> {
    let template = &deployment.spec.as_ref()?.template;
    template.metadata.as_ref()?.annotations.as_ref()?.get("kubectl.kubernetes.io/restartedAt").cloned()
}

fn condition(status: &impl serde::Serialize, name: &str) -> Value {
    let status = serde_json::to_value(status).unwrap();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == name).unwrap_or_default()
}

#[tokio::test]
async fn an_incident_is_repaired_verified_and_resolved_over_a_restart() {
    let mut world = World::shop("Auto").await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;

    let object: Incident = world.get(INCIDENT).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    assert_eq!(status.symptom.summary.as_deref(), Some("latency of shop/gateway is 1.42 s, expected 161 ms"));
    assert_eq!(status.cause.as_ref().unwrap().target.as_ref().unwrap().name, "web");
    assert_eq!(status.state, IncidentState::Mitigating);
    let status = run(&world).await;
    assert_eq!((status.phase, status.outcome), (Phase::Verifying, None), "{:?}", status.message);
    let first = restarted(&world.get("web").await).expect("it was restarted");

    world.crash().await;
    world.start();
    world.settle().await;
    world.symptom(SymptomState::Clear).await;
    assert_eq!(world.get::<Incident>(INCIDENT).await.status.unwrap().state, IncidentState::Monitoring);
    world.pass(110).await;
    assert_eq!(run(&world).await.phase, Phase::Verifying, "the hold time is not over");
    world.pass(20).await;
    let object: Remediation = world.get(RUN).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    assert_eq!((status.phase, status.outcome), (Phase::Succeeded, Some(Outcome::Verified)));
    assert_eq!(restarted(&world.get("web").await), Some(first), "once and not again");

    let mut over = world.engine.incidents.lock().unwrap().values().next().unwrap().clone();
    over.phase = IncidentPhase::Resolved;
    over.resolved_us = Some(world.now().as_microsecond());
    world.publish(over).await;
    let object: Incident = world.get(INCIDENT).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    assert_eq!(status.state, IncidentState::Resolved);
    assert_eq!(status.bundle.as_deref(), Some("sha256:1b7e"));
    assert_eq!(condition(&status, "Mitigated")["reason"], "RemediationSucceeded");
    assert_eq!(world.list::<Remediation>().await.len(), 1);
    let entries = world.audit.0.lock().unwrap().clone();
    let of = |actor: &str| -> Vec<String> {
        entries.iter().filter(|entry| entry.actor == actor).map(|entry| entry.action.clone()).collect()
    };
    assert_eq!(of("incident"), ["Plan"]);
    assert_eq!(of("causeway-executor"), ["DryRun", "Claimed", "Applied", "Verifying", "Succeeded"]);

    // Nothing is left to do: looking again writes nothing.
    let version = world.cluster.resource_version();
    world.pass(60).await;
    world.stop().await;
    world.start();
    world.settle().await;
    assert_eq!(world.cluster.resource_version(), version, "a second look writes nothing");
}

#[tokio::test]
async fn a_crash_after_each_write_neither_loses_nor_repeats_the_repair() {
    let mut world = World::shop("Auto").await;
    world.start();
    world.settle().await;
    let news = incident(world.now());
    world.engine.incidents.lock().unwrap().insert(news.fingerprint.clone(), news.clone());
    // The process dies again and again while it works.
    let mut last = String::new();
    for turn in 0..12 {
        let watched = world.cluster.resource_version();
        let publishing = world.publish(news.clone());
        tokio::select! {
            () = publishing => {}
            () = async {
                while world.cluster.resource_version() <= watched + turn / 2 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        world.crash().await;
        if let Some(found) = restarted(&world.get("web").await) {
            assert!(last.is_empty() || last == found, "restarted twice");
            last = found;
        }
        world.start();
    }
    world.settle().await;
    let status = run(&world).await;
    assert_eq!(status.phase, Phase::Verifying, "{:?}", status.message);
    assert_eq!(status.results.len(), 1);
    assert_eq!(world.list::<Remediation>().await.len(), 1);
    assert_eq!(world.list::<Incident>().await.len(), 1);
}

#[tokio::test]
async fn a_useless_repair_is_undone_and_not_repeated() {
    let mut world = World::shop("Auto").await;
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]);
    world.runbook("grow", steps).await;
    let runbooks = json!({"spec": {"runbooks": [{"name": "grow"}, {"name": "restart"}]}});
    world.patch::<causeway_crds::RemediationPolicy>("policy", runbooks).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let replicas = async || world.get::<Deployment>("web").await.spec.unwrap().replicas;
    assert_eq!(replicas().await, Some(8));
    world.pass(320).await;
    assert_eq!(replicas().await, Some(4), "taken back");
    let status = run(&world).await;
    assert_eq!((status.phase, status.outcome), (Phase::RolledBack, Some(Outcome::RolledBack)));
    // The next runbook of the policy is tried, and then nothing is left.
    let second: Remediation = world.get("gateway-3fa9c1-2").await;
    assert_eq!(second.spec.runbook_ref.name, "restart");
    world.pass(500).await;
    let second: Remediation = world.get("gateway-3fa9c1-2").await;
    assert_eq!(second.status.unwrap().outcome, Some(Outcome::NotEffective));
    world.pass(100).await;
    assert_eq!(world.list::<Remediation>().await.len(), 2);
    let status = world.get::<Incident>(INCIDENT).await.status.unwrap();
    assert_eq!(status.state, IncidentState::Open);
    let mitigated = condition(&status, "Mitigated");
    assert_eq!((&mitigated["status"], &mitigated["reason"]), (&json!("False"), &json!("RemediationFailed")));
    assert!(mitigated["message"].as_str().unwrap().contains("it was tried"), "{mitigated}");
    let record = world.get::<causeway_crds::Runbook>("grow").await.status.unwrap().record.unwrap();
    assert_eq!((record.runs, record.rolled_back, record.verified), (1, 1, 0));
    // Repairs are told as changes, but not as suspects.
    let changes = world.engine.changes.lock().unwrap();
    assert!(changes.iter().any(|(change, namespace)| namespace == SHOP && change.entity == "shop/web"));
    assert!(
        changes.iter().all(|(change, _)| change.class == causeway_engine::ChangeClass::Repair),
        "{changes:?}"
    );
}

#[tokio::test]
async fn a_person_approves_what_was_shown_and_nothing_else() {
    let mut world = World::shop("Approve").await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let object: Remediation = world.get(RUN).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.unwrap();
    assert_eq!(status.phase, Phase::AwaitingApproval, "{:?}", status.message);
    let shown = status.dry_run.unwrap();
    assert!(shown.diff.contains("restartedAt"), "{}", shown.diff);
    let approve = async |name: &str, plan: &str, dry_run: &str| {
        let spec = json!({"remediationRef": {"name": RUN, "planDigest": plan}, "decision": "Approve",
            "approver": "anna", "dryRunDigest": dry_run});
        world.create::<Approval>(json!({"metadata": {"name": name}, "spec": spec})).await;
        world.settle().await;
    };
    approve("wrong-plan", "sha256:other", &shown.digest).await;
    approve("wrong-diff", &object.spec.plan_digest, "sha256:other").await;
    assert_eq!(run(&world).await.phase, Phase::AwaitingApproval);
    assert_eq!(restarted(&world.get("web").await), None);
    approve("right", &object.spec.plan_digest, &shown.digest).await;
    let status = run(&world).await;
    assert_eq!(status.phase, Phase::Verifying, "{:?}", status.message);
    assert_eq!(status.approvals, ["right"]);
    let approved = status.timeline.iter().find(|entry| entry.event == "Approved").unwrap();
    assert_eq!(approved.by.as_deref(), Some("anna"));
    assert!(restarted(&world.get("web").await).is_some());
}

#[tokio::test]
async fn a_pause_holds_and_its_end_lets_go() {
    let mut world = World::shop("Auto").await;
    world
        .create_global::<Pause>(json!({"metadata": {"name": "freeze"}, "spec": {"namespaces": [SHOP]}}))
        .await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    world.pass(60).await;
    let status = run(&world).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Planned, Some("Paused")));
    assert_eq!(restarted(&world.get("web").await), None);
    let policy: causeway_crds::RemediationPolicy = world.get("policy").await;
    assert!(policy.status.unwrap().paused);
    world.delete_global::<Pause>("freeze").await;
    // A deletion carries no version that could be waited for: the clock makes the controllers look again.
    world.pass(10).await;
    world.pass(10).await;
    let mut patience = 0;
    while run(&world).await.phase == Phase::Planned && patience < 200 {
        tokio::task::yield_now().await;
        world.settle().await;
        patience += 1;
    }
    assert_eq!(run(&world).await.phase, Phase::Verifying);
}

#[tokio::test]
async fn without_a_guardrail_a_plan_is_only_shown() {
    let mut world = World::shop("Auto").await;
    world.delete_global::<ClusterGuardrail>("default").await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let status = run(&world).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Planned, Some("SuggestOnly")));
    assert!(status.dry_run.is_some(), "the difference is shown");
    assert_eq!(restarted(&world.get("web").await), None);
    let policy: causeway_crds::RemediationPolicy = world.get("policy").await;
    assert_eq!(check_conditions(&policy), []);
    let status = policy.status.unwrap();
    assert_eq!(status.effective_autonomy, Some(causeway_crds::Autonomy::Suggest));
    assert_eq!(condition(&status, "GuardrailCompliant")["reason"], "GuardrailMissing");
}

#[tokio::test]
async fn a_stale_plan_changes_nothing() {
    let mut world = World::shop("Approve").await;
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]);
    world.runbook("grow", steps).await;
    let runbooks = json!({"spec": {"runbooks": [{"name": "grow"}]}});
    world.patch::<causeway_crds::RemediationPolicy>("policy", runbooks).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let object: Remediation = world.get(RUN).await;
    let shown = object.status.unwrap().dry_run.unwrap();
    world.patch::<Deployment>("web", json!({"spec": {"replicas": 5}})).await;
    world.settle().await;
    let spec = json!({"remediationRef": {"name": RUN, "planDigest": object.spec.plan_digest},
        "decision": "Approve", "approver": "anna", "dryRunDigest": shown.digest});
    world.create::<Approval>(json!({"metadata": {"name": "late"}, "spec": spec})).await;
    world.settle().await;
    let status = run(&world).await;
    assert_eq!((status.phase, status.outcome), (Phase::Refused, Some(Outcome::Stale)));
    assert_eq!(world.get::<Deployment>("web").await.spec.unwrap().replicas, Some(5));
    // A new plan is made for what is there now.
    let second: Remediation = world.get("gateway-3fa9c1-2").await;
    assert!(second.spec.diff.contains("10"), "{}", second.spec.diff);
}

#[tokio::test]
async fn two_incidents_that_need_the_same_database_lead_to_one_action() {
    let mut world = World::shop("Auto").await;
    world.deployment("cart").await;
    for name in ["web", "cart"] {
        let spec = json!({"telemetryName": format!("shop/{name}"), "workloads": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}],
            "dependencies": [{"external": "Database/orders"}]});
        world.create::<MonitoredService>(json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let limits = json!({"spec": {"limits": {"concurrent": 5}}});
    world.patch::<causeway_crds::RemediationPolicy>("policy", limits).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let mut second = incident(world.now());
    second.fingerprint = "77aa00112233".into();
    second.root = "shop/cart".into();
    let draft = second.draft.as_mut().unwrap();
    draft.signature = "another cause".into();
    draft.cause.entity = "shop/cart".into();
    world.publish(second.clone()).await;
    let other = async || world.get::<Remediation>("gateway-77aa00-1").await.status.unwrap_or_default();
    assert_eq!(run(&world).await.phase, Phase::Verifying);
    let waits = other().await;
    assert_eq!((waits.phase, waits.reason.as_deref()), (Phase::Planned, Some("Busy")), "{:?}", waits.message);
    // What helped the first one helped the second one as well.
    second.symptom = SymptomState::Clear;
    second.symptom_since_us = world.now().as_microsecond();
    second.revision += 1;
    world.publish(second).await;
    world.symptom(SymptomState::Clear).await;
    world.pass(140).await;
    assert_eq!(run(&world).await.outcome, Some(Outcome::Verified));
    assert_eq!(other().await.reason.as_deref(), Some("SymptomGone"));
    let restarts = [restarted(&world.get("web").await), restarted(&world.get("cart").await)];
    assert_eq!(restarts.iter().flatten().count(), 1, "{restarts:?}");
}

#[tokio::test]
async fn missing_data_is_no_success() {
    let mut world = World::shop("Auto").await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    assert_eq!(run(&world).await.phase, Phase::Verifying);
    world.symptom(SymptomState::NoData).await;
    world.pass(700).await;
    assert_eq!(run(&world).await.phase, Phase::Verifying);
    world.pass(40).await;
    let status = run(&world).await;
    assert_eq!((status.phase, status.outcome), (Phase::Failed, Some(Outcome::Inconclusive)));
}

#[tokio::test]
async fn says_why_nothing_may_be_done() {
    let mut world = World::new().await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let mitigated = async |world: &World| {
        let object: Incident = world.get(INCIDENT).await;
        assert_eq!(check_conditions(&object), []);
        condition(&object.status.unwrap(), "Mitigated")
    };
    let before = mitigated(&world).await;
    assert_eq!(before["reason"], "WorkloadMissing", "{before}");
    world.deployment("web").await;
    world.settle().await;
    world.symptom(SymptomState::Firing).await;
    let after = mitigated(&world).await;
    assert_eq!(after["reason"], "NoRunbook", "{after}");
    assert!(after["message"].as_str().unwrap().contains("no RemediationPolicy"), "{after}");
    let mut unsure = incident(world.now());
    unsure.draft.as_mut().unwrap().abstained = true;
    unsure.draft.as_mut().unwrap().cause.entity.clear();
    world.publish(unsure).await;
    assert_eq!(mitigated(&world).await["reason"], "Ambiguous");
}
