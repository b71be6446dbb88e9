//! Change freezes and escalation in a declared peak.

use causeway_crds::admission::freeze_rules;
use causeway_crds::escalation::EscalationReason;
use causeway_crds::peak_event::FreezeState;
use causeway_crds::{
    Incident, NotificationTarget, PeakEvent, Phase, Remediation, RemediationPolicy, RemediationStatus,
};
use causeway_engine::{Change, ChangeClass, PeakReport};
use causeway_kubekit::check_conditions;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::accounts::{ALONE, client, define, real_cluster};
use crate::deeds::until;
use crate::peak_event::{get, peak, window, world};
use crate::slo::condition;
use crate::world::{World, incident};

const INCIDENT: &str = "gateway-3fa9c1";

async fn run(world: &World, number: u32) -> RemediationStatus {
    let run: Remediation = world.get(&format!("{INCIDENT}-{number}")).await;
    run.status.unwrap_or_default()
}

#[tokio::test]
async fn a_freeze_shows_where_it_stands_and_what_was_changed_in_spite_of_it() {
    let mut world = world().await;
    let spec = json!({"window": window(world.now(), 600, 1200), "warmUp": "5m", "coolDown": "5m",
        "namespaces": ["shop"], "changeFreeze": {"mode": "Deny", "except": ["causeway.dev/emergency"]}});
    peak(&world, "sale", spec).await;
    let begin = world.now().as_microsecond();
    let change = |seconds: i64, object: &str, author: &str| Change {
        time_us: begin + seconds * 1_000_000,
        entity: "shop/web".into(),
        object: object.into(),
        class: ChangeClass::Release,
        description: "changed".into(),
        diff: Vec::new(),
        author: author.into(),
        frozen_by: "sale".into(),
    };
    world.start();
    world.settle().await;
    let told = world.engine.peaks.lock().unwrap().clone().unwrap();
    assert!(told[0].freezes);
    let freeze = async |world: &World| get(world, "sale").await.status.unwrap().freeze.unwrap();
    let planned = freeze(&world).await;
    assert_eq!(
        (planned.state, planned.changes, &planned.namespaces[..]),
        (FreezeState::Planned, 0, &["shop".to_owned()][..])
    );
    world.pass(301).await;
    assert_eq!(freeze(&world).await.state, FreezeState::Holding);

    let early = change(-3_600, "Deployment/shop/web", "ci-bot");
    let changed =
        vec![early, change(320, "Deployment/shop/web", "ci-bot"), change(321, "ConfigMap/shop/rates", "")];
    *world.engine.going.lock().unwrap() = Some(PeakReport { changed, ..PeakReport::default() });
    world.pass(120).await;
    let seen = freeze(&world).await;
    let latest: Vec<(&str, Option<&str>)> =
        seen.latest.iter().map(|change| (change.object.as_str(), change.by.as_deref())).collect();
    assert_eq!(latest, [("Deployment/shop/web", Some("ci-bot")), ("ConfigMap/shop/rates", None)]);
    assert_eq!(seen.changes, 2);
    // What the status says stays, also if the engine forgets it; and a second look writes nothing.
    *world.engine.going.lock().unwrap() = None;
    let version = world.cluster.resource_version();
    world.pass(120).await;
    assert_eq!(world.cluster.resource_version(), version);
    world.pass(1_500).await;
    let over = freeze(&world).await;
    assert_eq!((over.state, over.changes), (FreezeState::Over, 2));
    assert_eq!(check_conditions(&get(&world, "sale").await), []);
}

#[tokio::test]
async fn own_repairs_that_bring_something_new_wait_for_people_or_are_refused() {
    let limits = |unit: &str| json!({"cpu": unit});
    for (freeze, first) in [
        (json!(null), (Phase::Verifying, None)),
        (json!({"mode": "Warn"}), (Phase::AwaitingApproval, None)),
        (json!({"mode": "Deny"}), (Phase::Refused, Some("ChangeFreeze"))),
        (json!({"mode": "Deny", "except": ["shop.example/now"]}), (Phase::Verifying, None)),
    ] {
        let mut world = World::shop("Auto").await;
        let more = json!([{"name": "more", "type": "PatchResources", "patchResources": {"cpuFactor": "2", "maxCpu": "4"}}]);
        world.runbook("more", more).await;
        let runbooks = json!({"spec": {"runbooks": [{"name": "more"}, {"name": "restart"}]}});
        world.patch::<RemediationPolicy>("policy", runbooks).await;
        let container = json!([{"name": "main", "image": "shop/web:1", "resources": {"limits": limits("1"), "requests": limits("1")}}]);
        let annotated = json!({"metadata": {"annotations": {"shop.example/now": "INC-7"}},
            "spec": {"template": {"spec": {"containers": container}}}});
        world.patch::<Deployment>("web", annotated).await;
        let mut spec = json!({"window": window(world.now(), -60, 3_600), "namespaces": ["shop"]});
        if !freeze.is_null() {
            spec["changeFreeze"] = freeze.clone();
        }
        peak(&world, "sale", spec).await;
        world.start();
        world.settle().await;
        world.publish(incident(world.now())).await;
        let planned: Remediation = world.get(&format!("{INCIDENT}-1")).await;
        assert_eq!(planned.spec.runbook_ref.name, "more", "{freeze}: {}", planned.spec.summary);
        let status = run(&world, 1).await;
        assert_eq!(
            (status.phase, status.reason.as_deref().filter(|reason| *reason == "ChangeFreeze")),
            first,
            "{freeze}: {:?}",
            status.message
        );
        if first.0 == Phase::Refused {
            // What keeps the version that runs is the next that is tried.
            assert_eq!(run(&world, 2).await.phase, Phase::Verifying);
        }
    }
}

async fn escalated(world: &World) -> Option<EscalationReason> {
    let object: Incident = world.get(INCIDENT).await;
    assert_eq!(check_conditions(&object), []);
    let status = object.status.clone().unwrap();
    let reason = status.escalated.map(|escalation| escalation.reason);
    let shown = status.conditions.iter().any(|c| c.type_ == "Escalated");
    assert_eq!(reason.is_some(), shown);
    reason
}

/// An incident in a peak that lets five minutes pass before it is told anew.
async fn incident_in_a_peak(world: &mut World) {
    let spec =
        json!({"window": window(world.now(), -60, 7_200), "namespaces": ["shop"], "escalateAfter": "5m"});
    peak(world, "sale", spec).await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
}

#[tokio::test]
async fn what_nobody_acknowledges_in_a_peak_is_escalated_once() {
    let mut world = World::shop("Suggest").await;
    incident_in_a_peak(&mut world).await;
    world.pass(290).await;
    assert_eq!(escalated(&world).await, None);
    world.pass(20).await;
    assert_eq!(escalated(&world).await, Some(EscalationReason::Unacknowledged));
    let first = world.get::<Incident>(INCIDENT).await.status.unwrap().escalated.unwrap();
    world.pass(600).await;
    let later = world.get::<Incident>(INCIDENT).await.status.unwrap().escalated.unwrap();
    assert_eq!(later, first, "once is enough");
    let entries = world.audit.0.lock().unwrap().clone();
    assert_eq!(entries.iter().filter(|entry| entry.action == "Escalate").count(), 1);
    world.patch::<Incident>(INCIDENT, json!({"spec": {"acknowledge": {"by": "anna"}}})).await;
    world.settle().await;
    let object: Incident = world.get(INCIDENT).await;
    assert_eq!(condition(&object, "Escalated").0, "False");
}

#[tokio::test]
async fn nobody_is_told_anew_of_what_is_looked_after_repaired_or_outside_of_a_peak() {
    let silence =
        |world: &World| world.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap().to_string();
    for case in ["acknowledged", "silenced", "repaired", "no peak"] {
        let autonomy = if case == "repaired" { "Auto" } else { "Suggest" };
        let mut world = World::shop(autonomy).await;
        if case != "no peak" {
            let spec = json!({"window": window(world.now(), -60, 7_200), "namespaces": ["shop"], "escalateAfter": "2m"});
            peak(&world, "sale", spec).await;
        }
        world.start();
        world.settle().await;
        world.publish(incident(world.now())).await;
        let spec = match case {
            "acknowledged" => json!({"acknowledge": {"by": "anna"}}),
            "silenced" => json!({"silenceUntil": silence(&world)}),
            _ => json!({}),
        };
        world.patch::<Incident>(INCIDENT, json!({"spec": spec})).await;
        world.pass(180).await;
        assert_eq!(escalated(&world).await, None, "{case}");
    }
}

#[tokio::test]
async fn an_approval_that_nobody_gave_escalates_where_the_policy_says_so() {
    for (rule, wanted) in [("Escalate", Some(EscalationReason::ApprovalExpired)), ("Close", None)] {
        let mut world = World::shop("Approve").await;
        let spec = json!({"spec": {"approvals": {"onExpire": rule}}});
        world.patch::<RemediationPolicy>("policy", spec).await;
        world.start();
        world.settle().await;
        world.publish(incident(world.now())).await;
        assert_eq!(run(&world, 1).await.phase, Phase::AwaitingApproval);
        world.pass(3_700).await;
        assert_eq!(run(&world, 1).await.phase, Phase::Expired);
        assert_eq!(escalated(&world).await, wanted, "{rule}");
    }
}

#[tokio::test]
async fn a_target_of_the_second_line_hears_of_what_is_escalated_only() {
    let (url, bodies) = crate::notification::receiver().await;
    let mut world = World::shop("Suggest").await;
    let target = json!({"metadata": {"name": "second"}, "spec": {"type": "Webhook", "webhook": {"url": url},
        "send": {"onlyEscalated": true}}});
    world.create::<NotificationTarget>(target).await;
    incident_in_a_peak(&mut world).await;
    world.pass(240).await;
    assert_eq!(bodies.lock().unwrap().len(), 0);
    world.pass(120).await;
    let told = bodies.lock().unwrap().clone();
    let [event] = &told[..] else { panic!("one: {told:?}") };
    assert_eq!(event["type"], "dev.causeway.incident.escalated");
    assert!(event["data"]["escalated"].as_str().unwrap().contains("PeakEvent sale is on"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_holds_changes_back() {
    let Some(kubeconfig) = real_cluster("a change freeze on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let admin = client(&kubeconfig).await;
    define(&admin).await;
    const FROZEN: &str = "causeway-frozen";
    let namespaces = Api::<Namespace>::all(admin.clone());
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FROZEN}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let ours = PatchParams::apply("causeway-test").force();
    let (policies, bindings) = (
        Api::<ValidatingAdmissionPolicy>::all(admin.clone()),
        Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone()),
    );
    for rule in freeze_rules() {
        let name = rule.policy.name_any();
        let kept = policies.patch(&name, &ours, &Patch::Apply(&rule.policy)).await.unwrap();
        assert_eq!(kept.spec, rule.policy.spec, "every field that the server fills in is set");
        let kept = bindings.patch(&name, &ours, &Patch::Apply(&rule.binding)).await.unwrap();
        assert_eq!(kept.spec, rule.binding.spec);
    }
    let deployments = Api::<Deployment>::namespaced(admin.clone(), FROZEN);
    let deployment = |name: &str| -> Deployment {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}}}))
        .unwrap()
    };
    deployments.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let configs = Api::<ConfigMap>::namespaced(admin.clone(), FROZEN);
    let rates =
        serde_json::from_value(json!({"metadata": {"name": "rates"}, "data": {"NL": "0.21"}})).unwrap();
    configs.create(&PostParams::default(), &rates).await.unwrap();
    let peaks = Api::<PeakEvent>::all(admin.clone());
    let event = serde_json::from_value(json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "PeakEvent",
        "metadata": {"name": "frozen-test"}, "spec": {
            "window": {"start": "2026-11-27T06:00:00", "end": "2026-11-30T23:59:00"},
            "changeFreeze": {"mode": "Deny", "except": ["causeway.dev/emergency"]}}}))
    .unwrap();
    peaks.create(&PostParams::default(), &event).await.unwrap();
    let state = async |state: &str| {
        let status = json!({"status": {"freeze": {"state": state, "namespaces": [FROZEN]}}});
        peaks.patch_status("frozen-test", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    };
    state("Holding").await;

    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let image = |annotations: Value| {
        Patch::Strategic(json!({"metadata": {"annotations": annotations}, "spec": {"template": {"spec": {
            "containers": [{"name": "main", "image": "shop/web:2"}]}}}}))
    };
    until("the freeze holds", async || deployments.patch("web", &dry, &image(json!({}))).await.is_err())
        .await;
    let refusal = deployments.patch("web", &dry, &image(json!({}))).await.unwrap_err().to_string();
    assert!(
        refusal.contains("PeakEvent frozen-test freezes changes of what runs in causeway-frozen"),
        "{refusal}"
    );
    assert!(refusal.contains("annotate the object with causeway.dev/emergency"), "{refusal}");
    let data = Patch::Merge(json!({"data": {"NL": "2.1"}}));
    assert!(configs.patch("rates", &dry, &data).await.is_err(), "configuration");
    let dry_post = PostParams { dry_run: true, ..PostParams::default() };
    assert!(deployments.create(&dry_post, &deployment("new")).await.is_err(), "a new workload");
    let dry_delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
    assert!(deployments.delete("web", &dry_delete).await.is_err(), "the end of one");

    // The same version goes on.
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}});
    deployments.patch("web", &dry, &Patch::Merge(restart)).await.unwrap();
    deployments.patch("web", &dry, &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    deployments.patch_scale("web", &dry, &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    configs.patch("rates", &dry, &label).await.unwrap();
    // An emergency, a repair, what a workload keeps in its ConfigMap, another namespace.
    deployments.patch("web", &dry, &image(json!({"causeway.dev/emergency": "INC-7"}))).await.unwrap();
    let acting = async |account: &str| {
        let mut kubeconfig = kubeconfig.clone();
        kubeconfig["users"][0]["user"]["as"] = format!("system:serviceaccount:{FROZEN}:{account}").into();
        kubeconfig["users"][0]["user"]["as-groups"] = json!(["system:masters"]);
        client(&kubeconfig).await
    };
    let fixer = Api::<Deployment>::namespaced(acting("causeway-fixer").await, FROZEN);
    fixer.patch("web", &dry, &image(json!({}))).await.unwrap();
    let other = acting("web").await;
    Api::<ConfigMap>::namespaced(other.clone(), FROZEN).patch("rates", &dry, &data).await.unwrap();
    let other = Api::<Deployment>::namespaced(other, FROZEN);
    assert!(other.patch("web", &dry, &image(json!({}))).await.is_err(), "a workload changes no workload");
    Api::<Deployment>::namespaced(admin.clone(), "default")
        .create(&dry_post, &deployment("new"))
        .await
        .unwrap();

    // A freeze that warns, and one that is over, hold nothing back.
    let warn = json!({"spec": {"changeFreeze": {"mode": "Warn"}}});
    peaks.patch("frozen-test", &PatchParams::default(), &Patch::Merge(warn)).await.unwrap();
    until("it only warns", async || deployments.patch("web", &dry, &image(json!({}))).await.is_ok()).await;
    let deny = json!({"spec": {"changeFreeze": {"mode": "Deny"}}});
    peaks.patch("frozen-test", &PatchParams::default(), &Patch::Merge(deny)).await.unwrap();
    until("it holds again", async || deployments.patch("web", &dry, &image(json!({}))).await.is_err()).await;
    let suspend = json!({"spec": {"suspend": true}});
    peaks.patch("frozen-test", &PatchParams::default(), &Patch::Merge(suspend)).await.unwrap();
    until("it is suspended", async || deployments.patch("web", &dry, &image(json!({}))).await.is_ok()).await;
    let goes_on = json!({"spec": {"suspend": false}});
    peaks.patch("frozen-test", &PatchParams::default(), &Patch::Merge(goes_on)).await.unwrap();
    until("it goes on", async || deployments.patch("web", &dry, &image(json!({}))).await.is_err()).await;
    state("Over").await;
    until("it is over", async || deployments.patch("web", &dry, &image(json!({}))).await.is_ok()).await;

    peaks.delete("frozen-test", &DeleteParams::default()).await.unwrap();
    for rule in freeze_rules() {
        bindings.delete(&rule.binding.name_any(), &DeleteParams::default()).await.unwrap();
        policies.delete(&rule.policy.name_any(), &DeleteParams::default()).await.unwrap();
    }
    namespaces.delete(FROZEN, &DeleteParams::default()).await.unwrap();
}
