//! Steps that do more than change a field: pods, Jobs, nodes, rests; and what keeps a plan from being made at all.

use causeway_controllers::Bundles;
use causeway_crds::{Approval, Incident, Outcome, Phase, Remediation, RemediationPolicy, Runbook};
use causeway_engine::SymptomState;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{SHOP, World, incident};

const INCIDENT: &str = "gateway-3fa9c1";
const RUN: &str = "gateway-3fa9c1-1";

async fn run(world: &World) -> causeway_crds::RemediationStatus {
    world.get::<Remediation>(RUN).await.status.unwrap_or_default()
}

/// A pod of the Deployment `web`.
async fn pod(world: &World, name: &str, ready: bool) {
    let owner: Deployment = world.get("web").await;
    world
        .create::<Pod>(json!({
            "metadata": {"name": name, "labels": {"app": "web"}, "ownerReferences": [{"apiVersion": "apps/v1",
                "kind": "Deployment", "name": "web", "uid": owner.metadata.uid, "controller": true}]},
            "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}))
        .await;
    let status = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": if ready { "True" } else { "False" }}]}});
    world.api::<Pod>().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn pods(world: &World) -> Vec<String> {
    let mut names: Vec<String> =
        world.list::<Pod>().await.into_iter().filter_map(|pod| pod.metadata.name).collect();
    names.sort();
    names
}

async fn prefer(world: &World, runbook: &str, steps: Value) {
    world.runbook(runbook, steps).await;
    let listed = json!({"spec": {"runbooks": [{"name": runbook}]}});
    world.patch::<RemediationPolicy>("policy", listed).await;
}

#[tokio::test]
async fn the_faulty_pod_is_removed_and_no_other() {
    for (action, member) in [("EvictPod", "evictPod"), ("DeletePod", "deletePod")] {
        let mut world = World::shop("Auto").await;
        for (name, ready) in [("web-a", true), ("web-b", false), ("web-c", true)] {
            pod(&world, name, ready).await;
        }
        prefer(&world, "remove", json!([{"name": "remove", "type": action, member: {}}])).await;
        world.start();
        world.settle().await;
        world.publish(incident(world.now())).await;
        let status = run(&world).await;
        assert_eq!(status.phase, Phase::Verifying, "{action}: {:?}", status.message);
        assert_eq!(pods(&world).await, ["web-a", "web-c"], "{action}");
        // A process that dies right after the removal sees that the pod is gone.
        world.crash().await;
        world.start();
        world.settle().await;
        world.symptom(SymptomState::Clear).await;
        world.pass(130).await;
        assert_eq!(run(&world).await.outcome, Some(Outcome::Verified), "{action}");
        assert_eq!(pods(&world).await, ["web-a", "web-c"], "{action}");
    }
}

#[tokio::test]
async fn a_job_is_run_once_after_an_approval() {
    let mut world = World::shop("Auto").await;
    world
        .create::<Job>(json!({
            "metadata": {"name": "vacuum", "annotations": {"causeway.dev/runbook-job": "true"}},
            "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": "shop/vacuum:1"}]}}}}))
        .await;
    world
        .create::<Runbook>(json!({
            "metadata": {"name": "clean"},
            "spec": {"summary": "clean", "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
                "steps": [{"name": "clean", "type": "RunJob", "runJob": {"template": "vacuum"}}],
                "verify": {"within": "5m", "hold": "2m"}, "rollback": "None", "risk": "High"}}))
        .await;
    world.patch::<RemediationPolicy>("policy", json!({"spec": {"runbooks": [{"name": "clean"}]}})).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let object: Remediation = world.get(RUN).await;
    let status = object.status.unwrap();
    assert_eq!(
        status.phase,
        Phase::AwaitingApproval,
        "what can't be taken back is approved: {:?}",
        status.message
    );
    assert_eq!(world.list::<Job>().await.len(), 1);
    let spec = json!({"remediationRef": {"name": RUN, "planDigest": object.spec.plan_digest}, "decision": "Approve",
        "approver": "anna", "dryRunDigest": status.dry_run.unwrap().digest});
    world.create::<Approval>(json!({"metadata": {"name": "yes"}, "spec": spec})).await;
    world.settle().await;
    let status = run(&world).await;
    assert_eq!(status.phase, Phase::Verifying, "{:?}", status.message);
    world.crash().await;
    world.start();
    world.settle().await;
    let made: Vec<Job> = world
        .list::<Job>()
        .await
        .into_iter()
        .filter(|job| job.metadata.name.as_deref() != Some("vacuum"))
        .collect();
    assert_eq!(made.len(), 1);
    let annotations = made[0].metadata.annotations.clone().unwrap();
    assert_eq!(annotations["causeway.dev/run"], RUN);
    assert_ne!(made[0].spec.as_ref().unwrap().suspend, Some(true));
}

#[tokio::test]
async fn a_rest_lies_between_two_steps() {
    let mut world = World::shop("Auto").await;
    let steps = json!([
        {"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}},
        {"name": "rest", "type": "Wait", "wait": {"seconds": 120}},
        {"name": "restart", "type": "RolloutRestart", "rolloutRestart": {}},
    ]);
    prefer(&world, "gently", steps).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let web = async || world.get::<Deployment>("web").await.spec.unwrap();
    assert_eq!(web().await.replicas, Some(8));
    world.pass(100).await;
    assert_eq!(run(&world).await.phase, Phase::Applying);
    assert!(web().await.template.metadata.unwrap().annotations.is_none());
    world.pass(40).await;
    assert_eq!(run(&world).await.phase, Phase::Verifying, "{:?}", run(&world).await.message);
    assert!(web().await.template.metadata.unwrap().annotations.is_some());
}

#[tokio::test]
async fn a_node_is_emptied_and_made_schedulable_again_when_that_did_not_help() {
    let mut world = World::shop("Auto").await;
    let nodes = "causeway-nodes";
    world.create_global::<Namespace>(json!({"metadata": {"name": nodes}})).await;
    world.create_global::<Node>(json!({"metadata": {"name": "node-1"}})).await;
    pod(&world, "web-a", true).await;
    world.patch::<Pod>("web-a", json!({"spec": {"nodeName": "node-1"}})).await;
    let create = async |object: Value| {
        let (kind, name) = (object["kind"].as_str().unwrap().to_owned(), object["metadata"]["name"].clone());
        let version = object["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource =
            kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(group, version, &kind));
        let api: Api<kube::api::DynamicObject> = Api::namespaced_with(world.client.clone(), nodes, &resource);
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    };
    create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "causeway-fixer"}}))
        .await;
    create(json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "drain"},
        "spec": {"summary": "drain", "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"kind": "Node"}]},
            "steps": [{"name": "drain", "type": "Drain", "drain": {"maxPods": 10}}],
            "verify": {"within": "5m", "hold": "2m"}, "risk": "Medium"}}))
    .await;
    create(json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "nodes"},
        "spec": {"runbooks": [{"name": "drain"}], "autonomy": "Auto", "limits": {}}}))
    .await;
    world.start();
    world.settle().await;
    let mut news = incident(world.now());
    news.draft.as_mut().unwrap().cause.entity = "Node/node-1".into();
    world.publish(news).await;
    world.pass(20).await;
    let runs: Api<Remediation> = Api::namespaced(world.client.clone(), nodes);
    let status = async || runs.get(RUN).await.unwrap().status.unwrap();
    assert_eq!(status().await.phase, Phase::Verifying, "{:?}", status().await.message);
    assert_eq!(pods(&world).await, Vec::<String>::new(), "its pods are moved");
    let cordoned = async || {
        let node = Api::<Node>::all(world.client.clone()).get("node-1").await.unwrap();
        node.spec.unwrap_or_default().unschedulable.unwrap_or_default()
    };
    assert!(cordoned().await);
    world.pass(320).await;
    assert_eq!(status().await.outcome, Some(Outcome::RolledBack), "{:?}", status().await.message);
    assert!(!cordoned().await);
}

#[tokio::test]
async fn what_git_keeps_is_left_and_what_it_does_not_keep_may_change() {
    let mut world = World::shop("Auto").await;
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": SHOP},
        "spec": {"replicas": 4}});
    let params = PatchParams::apply("kustomize-controller").force();
    world.api::<Deployment>().patch("web", &params, &Patch::Apply(object)).await.unwrap();
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]);
    prefer(&world, "grow", steps).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    assert_eq!(world.list::<Remediation>().await.len(), 0);
    let status = serde_json::to_value(world.get::<Incident>(INCIDENT).await.status.unwrap()).unwrap();
    let conditions = status["conditions"].as_array().unwrap();
    let mitigated = conditions.iter().find(|c| c["type"] == "Mitigated").unwrap();
    assert!(mitigated["message"].as_str().unwrap().contains("GitOwned"), "{mitigated}");
    // The restart annotates the pod template, which Git does not name.
    world.patch::<RemediationPolicy>("policy", json!({"spec": {"runbooks": [{"name": "restart"}]}})).await;
    world.symptom(SymptomState::Firing).await;
    assert_eq!(run(&world).await.phase, Phase::Verifying, "{:?}", run(&world).await.message);
    assert_eq!(world.get::<Deployment>("web").await.spec.unwrap().replicas, Some(4));
}

#[tokio::test]
async fn a_precondition_and_a_window_of_the_week_hold_a_repair_back() {
    let mut world = World::shop("Auto").await;
    let conditions =
        json!([{"name": "few", "expr": "target.spec.replicas < 4", "message": "there are enough"}]);
    world.patch::<Runbook>("restart", json!({"spec": {"preconditions": conditions}})).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    assert_eq!(world.list::<Remediation>().await.len(), 0);
    let status = serde_json::to_value(world.get::<Incident>(INCIDENT).await.status.unwrap()).unwrap();
    assert!(status.to_string().contains("precondition few: there are enough"), "{status}");
    // 27 November 2026 is a Friday; it is 20:00 in UTC.
    let window =
        json!([{"name": "friday", "schedule": "Fri 19:00-21:00", "timeZone": "UTC", "autonomy": "Suggest"}]);
    world.patch::<RemediationPolicy>("policy", json!({"spec": {"windows": window}})).await;
    world.patch::<Runbook>("restart", json!({"spec": {"preconditions": null}})).await;
    world.settle().await;
    world.symptom(SymptomState::Firing).await;
    let status = run(&world).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Planned, Some("SuggestOnly")));
    let policy = world.get::<RemediationPolicy>("policy").await.status.unwrap();
    assert_eq!(
        (policy.windows, policy.effective_autonomy),
        (vec!["friday".to_owned()], Some(causeway_crds::Autonomy::Suggest))
    );
    // What the repair was planned on is kept for the tests of Runbooks.
    let kept = world.engine.objects.lock().unwrap().values().next().cloned().unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["target"]["name"], "web");
    assert_eq!(kept["view"]["workload"]["spec"]["replicas"], 4);
}

#[tokio::test]
async fn an_expression_that_is_no_cel_is_named() {
    let mut world = World::shop("Auto").await;
    let conditions = json!([{"name": "odd", "expr": "target.spec."}]);
    world.patch::<Runbook>("restart", json!({"spec": {"preconditions": conditions}})).await;
    world.start();
    world.settle().await;
    let status = serde_json::to_value(world.get::<Runbook>("restart").await.status.unwrap()).unwrap();
    let compiled = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Compiled").unwrap();
    assert_eq!(compiled["status"], "False");
    assert!(
        compiled["message"].as_str().unwrap().starts_with("precondition odd (target.spec.):"),
        "{compiled}"
    );
}

/// The condition `TestsPassed` of the Runbook `restart`: status and reason.
async fn tests_passed(world: &World) -> Option<(String, String)> {
    let status = serde_json::to_value(world.get::<Runbook>("restart").await.status.unwrap()).unwrap();
    let all = status["conditions"].as_array().unwrap().clone();
    let found = all.into_iter().find(|condition| condition["type"] == "TestsPassed")?;
    Some((found["status"].as_str().unwrap().to_owned(), found["reason"].as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn a_runbook_says_what_its_tests_come_to() {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks");
    let file = shipped.join("faulty-instance/bad-instance.bundle");
    let digest = causeway_engine::digest(&std::fs::read(file).unwrap());
    let test = |name: &str, digest: &str, selected: bool| json!([{"name": name, "bundle": {"digest": digest}, "expect": {"selected": selected}}]);
    for (digest, selected, expected) in [
        (digest.as_str(), true, ("True", "TestsPassed")),
        (digest.as_str(), false, ("False", "TestsFailed")),
        (&format!("sha256:{}", "0".repeat(64)), true, ("Unknown", "BundleMissing")),
    ] {
        let mut world = World::shop("Auto").await;
        world.bundles = Bundles::in_folder(&shipped).unwrap();
        world.patch::<Runbook>("restart", json!({"spec": {"tests": test("one", digest, selected)}})).await;
        world.start();
        world.settle().await;
        let found = tests_passed(&world).await.unwrap();
        assert_eq!((found.0.as_str(), found.1.as_str()), expected);
    }
    let mut world = World::shop("Auto").await;
    world.patch::<Runbook>("restart", json!({"spec": {"tests": test("one", &digest, true)}})).await;
    world.start();
    world.settle().await;
    assert_eq!(tests_passed(&world).await, None, "nothing is known without a folder");
}

#[tokio::test]
async fn the_end_of_a_lease_takes_the_change_back_only_when_nothing_hurts() {
    let mut world = World::shop("Auto").await;
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "1.5", "min": 1, "max": 20}}]);
    prefer(&world, "grow", steps).await;
    let policy = json!({"spec": {"apply": {"leaseFor": "10m"}, "limits": {"cooldown": "1m"}}});
    world.patch::<RemediationPolicy>("policy", policy).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let replicas = async || world.get::<Deployment>("web").await.spec.unwrap().replicas;
    assert_eq!(replicas().await, Some(6));
    world.symptom(SymptomState::Clear).await;
    world.pass(130).await;
    assert_eq!(run(&world).await.outcome, Some(Outcome::Verified));
    world.pass(500).await;
    assert_eq!(
        (replicas().await, world.list::<Remediation>().await.len()),
        (Some(6), 1),
        "the lease is not over"
    );
    // Something else hurts when it ends: what was given is needed.
    let mut other = incident(world.now());
    other.fingerprint = "77aa00bb11cc".into();
    other.draft.as_mut().unwrap().abstained = true;
    world.publish(other.clone()).await;
    world.pass(120).await;
    let second: Remediation = world.get("gateway-3fa9c1-2").await;
    assert_eq!(second.spec.restores.as_ref().map(|restored| restored.name.as_str()), Some(RUN));
    assert_eq!(second.status.unwrap().reason.as_deref(), Some("CapacityNeeded"));
    assert_eq!(replicas().await, Some(6));
    // Then a peak begins that was declared; it lowers no autonomy, and capacity stays all the same.
    let local = |seconds: i64| {
        let at = world.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    };
    let window = json!({"start": local(0), "end": local(600), "timeZone": "UTC"});
    let peak =
        json!({"metadata": {"name": "sale"}, "spec": {"window": window, "warmUp": "0s", "coolDown": "0s"}});
    world.create_global::<causeway_crds::PeakEvent>(peak).await;
    other.symptom = SymptomState::Clear;
    other.revision += 1;
    world.publish(other).await;
    world.pass(300).await;
    let status = world.get::<Remediation>("gateway-3fa9c1-2").await.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("CapacityNeeded"));
    assert!(
        status.message.as_ref().is_some_and(|message| message.contains("PeakEvent sale")),
        "{:?}",
        status.message
    );
    assert_eq!(replicas().await, Some(6));
    world.pass(500).await;
    let second: Remediation = world.get("gateway-3fa9c1-2").await;
    assert_eq!(second.status.unwrap().outcome, Some(Outcome::Verified));
    assert_eq!(replicas().await, Some(4), "taken back");
    world.pass(900).await;
    assert_eq!(world.list::<Remediation>().await.len(), 2, "and not again");
}

#[tokio::test]
async fn a_lease_that_ends_in_a_declared_peak_goes_on_until_its_end() {
    let mut world = World::shop("Auto").await;
    let steps = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "1.5", "min": 1, "max": 20}}]);
    prefer(&world, "grow", steps).await;
    let policy = json!({"spec": {"apply": {"leaseFor": "10m"}, "limits": {"cooldown": "1m"}}});
    world.patch::<RemediationPolicy>("policy", policy).await;
    let local = |seconds: i64| {
        let at = world.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    };
    let window = json!({"start": local(300), "end": local(3 * 3600), "timeZone": "UTC"});
    let peak =
        json!({"metadata": {"name": "sale"}, "spec": {"window": window, "warmUp": "0s", "coolDown": "0s"}});
    world.create_global::<causeway_crds::PeakEvent>(peak).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    world.symptom(SymptomState::Clear).await;
    world.pass(130).await;
    assert_eq!(run(&world).await.outcome, Some(Outcome::Verified));
    let replicas = async || world.get::<Deployment>("web").await.spec.unwrap().replicas;
    world.leap(2 * 3600).await;
    world.pass(60).await;
    assert_eq!(
        (replicas().await, world.list::<Remediation>().await.len()),
        (Some(6), 1),
        "nothing is proposed"
    );
    world.leap(3600).await;
    world.pass(900).await;
    assert_eq!(replicas().await, Some(4), "taken back after the peak");
    assert_eq!(world.list::<Remediation>().await.len(), 2);
}
