//! PeakEvents: what reaches the engine, where they stand over time, and what they do to repairs.

use std::collections::BTreeMap;

use causeway_crds::peak_event::PeakPhase;
use causeway_crds::{MonitoredService, PeakEvent, Phase, Remediation};
use causeway_engine::{PeakReport, PeakSignal};
use causeway_kubekit::check_conditions;
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use serde_json::{Value, json};

use crate::slo::condition;
use crate::world::{World, incident};

pub(crate) async fn peak(world: &World, name: &str, spec: Value) {
    world.create_global::<PeakEvent>(json!({"metadata": {"name": name}, "spec": spec})).await;
}

pub(crate) async fn get(world: &World, name: &str) -> PeakEvent {
    Api::<PeakEvent>::all(world.client.clone()).get(name).await.unwrap()
}

/// A window from `from` to `to` seconds from now, in a zone an hour ahead.
pub(crate) fn window(now: Timestamp, from: i64, to: i64) -> Value {
    let local = |seconds: i64| {
        let time = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        time.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)))
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string()
    };
    json!({"start": local(from), "end": local(to), "timeZone": "Europe/Amsterdam"})
}

pub(crate) async fn world() -> World {
    let world = World::new().await;
    for (name, journey, amount) in
        [("web", "purchase", "300"), ("cart", "purchase", "100"), ("blog", "read", "1")]
    {
        let business = json!({"currency": "EUR", "revenuePerHour": amount});
        let service = json!({"metadata": {"name": name, "labels": {"journey": journey}},
            "spec": {"business": business, "timeZone": "Europe/Amsterdam"}});
        world.create::<MonitoredService>(service).await;
    }
    world
}

#[tokio::test]
async fn an_event_reaches_the_engine_and_goes_through_its_phases() {
    let mut world = world().await;
    let spec = json!({
        "window": window(world.now(), 60, 120), "warmUp": "30s", "coolDown": "30s", "rememberAs": "sale",
        "namespaces": ["shop"], "serviceSelector": {"matchLabels": {"journey": "purchase"}},
        "expected": [{"signal": "RequestRate", "multiplier": "7"},
                     {"signal": "Metric", "metric": "orders", "multiplier": "6.5"}],
        "business": {"currency": "EUR", "revenuePerHour": "1500000",
                     "curve": [{"after": "40s", "revenuePerHour": "3000000"}, {"after": "20s", "revenuePerHour": "2000000"}]},
    });
    peak(&world, "sale-2026", spec).await;
    let begin = world.now();
    world.start();
    world.settle().await;
    let told = world.engine.peaks.lock().unwrap().clone().unwrap();
    let [config] = &told[..] else { panic!("one: {told:?}") };
    let micros = |seconds: i64| begin.as_microsecond() + seconds * 1_000_000;
    assert_eq!(config.occurrences, [(micros(60), micros(120))]);
    assert_eq!((config.warm_up_us, config.cool_down_us), (30_000_000, 30_000_000));
    assert_eq!((config.name.as_str(), config.remember_as.as_str()), ("sale-2026", "sale"));
    assert_eq!(config.entities, ["shop/cart", "cart", "shop/web", "web"]);
    let expected = [(PeakSignal::RequestRate, 7.0), (PeakSignal::Metric("orders".into()), 6.5)];
    assert_eq!(config.expected, expected);
    let revenue = config.revenue.clone().unwrap();
    assert_eq!(revenue.shares, BTreeMap::from([("web".into(), 0.75), ("cart".into(), 0.25)]));
    assert_eq!(revenue.steps, [(0, 1.5e6), (20_000_000, 2e6), (40_000_000, 3e6)]);
    let services = world.engine.services.lock().unwrap().clone();
    let now = world.now().as_second();
    assert!(services.iter().all(|s| s.offsets.as_ref().unwrap().local(now) - now == 3600));

    let phases = [
        (PeakPhase::Planned, "Planned", "True"),
        (PeakPhase::Armed, "Armed", "True"),
        (PeakPhase::Active, "Active", "True"),
        (PeakPhase::Active, "Active", "True"),
        (PeakPhase::CoolingDown, "CoolingDown", "True"),
        (PeakPhase::Completed, "Completed", "False"),
    ];
    let report = |rate: f64| PeakReport {
        series: 3,
        observed: vec![(PeakSignal::RequestRate, rate)],
        changed: Vec::new(),
    };
    *world.engine.going.lock().unwrap() = Some(report(6.81));
    for (phase, reason, armed) in phases {
        let object = get(&world, "sale-2026").await;
        assert_eq!(check_conditions(&object), [], "{phase:?}");
        assert_eq!(condition(&object, "Ready").1, reason);
        assert_eq!(condition(&object, "Armed").0, armed, "{phase:?}");
        let status = object.status.unwrap();
        assert_eq!((status.phase, status.services), (phase, 2));
        assert_eq!(status.starts.unwrap().0, begin + SignedDuration::from_secs(60));
        world.pass(30).await;
    }
    let observed = |object: PeakEvent| -> Vec<String> {
        object.status.unwrap().observed.iter().map(|seen| seen.multiplier.to_string()).collect()
    };
    assert_eq!(observed(get(&world, "sale-2026").await), ["6.8"]);
    // What is over stays as it was, whatever the engine learns under the name later; and nothing is written.
    *world.engine.going.lock().unwrap() = Some(report(9.0));
    let version = world.cluster.resource_version();
    world.pass(120).await;
    assert_eq!(world.cluster.resource_version(), version);

    // The next one of this name starts from what was seen.
    let spec = json!({"window": window(world.now(), 3600, 7200), "rememberAs": "sale"});
    peak(&world, "sale-2027", spec).await;
    world.settle().await;
    let told = world.engine.peaks.lock().unwrap().clone().unwrap();
    let next = told.iter().find(|config| config.name == "sale-2027").unwrap();
    assert_eq!(next.expected, [(PeakSignal::RequestRate, 6.8)]);
    assert_eq!(next.entities.len(), 6);
    assert_eq!(observed(get(&world, "sale-2027").await), [] as [String; 0]);
}

#[tokio::test]
async fn what_is_short_is_told_before_the_event() {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    let mut world = world().await;
    for (name, most) in [("web", 20), ("cart", 6)] {
        let pod = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": pod});
        world.create::<Deployment>(json!({"metadata": {"name": name}, "spec": spec})).await;
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
        let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": most});
        world.create::<HorizontalPodAutoscaler>(json!({"metadata": {"name": name}, "spec": spec})).await;
        let status = json!({"status": {"currentReplicas": 2, "desiredReplicas": 2}});
        let api = world.api::<HorizontalPodAutoscaler>();
        api.patch_status(name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(status))
            .await
            .unwrap();
    }
    let spec = json!({"window": window(world.now(), 7200, 10_800), "namespaces": ["shop"],
        "serviceSelector": {"matchLabels": {"journey": "purchase"}},
        "expected": [{"signal": "RequestRate", "multiplier": "7"}]});
    peak(&world, "sale", spec).await;
    let unloaded = json!({"window": window(world.now(), 7200, 10_800)});
    peak(&world, "holiday", unloaded).await;
    world.start();
    world.settle().await;
    let object = get(&world, "sale").await;
    assert_eq!(check_conditions(&object), []);
    let (status, reason, message) = condition(&object, "CapacitySufficient");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "CapacityShort"));
    assert_eq!(
        message,
        "cart grows 3x: HorizontalPodAutoscaler shop/cart ends at 6 replicas, and 2 run now; 7x is needed: raise \
         maxReplicas to 14"
    );
    assert_eq!(object.status.unwrap().bottlenecks, [message]);
    let holiday = get(&world, "holiday").await.status.unwrap();
    assert!(holiday.conditions.iter().all(|c| c.type_ != "CapacitySufficient"), "no load is expected");
    // Somebody raises it, and more headroom is asked for than that.
    world.patch::<HorizontalPodAutoscaler>("cart", json!({"spec": {"maxReplicas": 14}})).await;
    world.pass(3_600).await;
    assert_eq!(condition(&get(&world, "sale").await, "CapacitySufficient").0, "True");
}

#[tokio::test]
async fn what_has_no_autoscaler_is_judged_by_its_cpu_and_what_nobody_measures_is_unknown() {
    use causeway_engine::CpuUse;
    use k8s_openapi::api::apps::v1::Deployment;
    let mut world = world().await;
    for (name, replicas, limits) in
        [("web", 4, json!({"cpu": "500m"})), ("cart", 2, json!({"cpu": "1"})), ("blog", 1, json!({}))]
    {
        let container = json!({"name": "c", "image": "i", "resources": {"limits": limits}});
        let pod = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod});
        world.create::<Deployment>(json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let measured = |of_limit: Option<f64>, cores: Option<f64>| CpuUse { of_limit, cores };
    let engine = std::sync::Arc::clone(&world.engine);
    let tell = |web: CpuUse, cart: CpuUse| {
        let cores_only = measured(None, Some(0.4));
        let all = [("shop/web", web), ("cart", cart), ("blog", cores_only)];
        *engine.cpu.lock().unwrap() = all.map(|(name, cpu)| (name.to_owned(), cpu)).into();
    };
    // 4 pods of half a core use 0.8 cores: 40 %.
    tell(measured(None, Some(0.8)), measured(Some(0.1), None));
    let spec = json!({"window": window(world.now(), 7200, 10_800), "namespaces": ["shop"],
        "expected": [{"signal": "RequestRate", "multiplier": "7"}]});
    peak(&world, "sale", spec).await;
    world.start();
    world.settle().await;
    let object = get(&world, "sale").await;
    let (status, reason, message) = condition(&object, "CapacitySufficient");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "CapacityShort"));
    assert_eq!(
        message,
        "web carries 2.1x: 4 replicas without a HorizontalPodAutoscaler use 40 % of the CPU limit in the busiest minute \
         of the last hour; 7x is needed: raise spec.replicas to 14"
    );
    // Less use: it is enough, and of the blog nobody knows, because it has no limit.
    tell(measured(None, Some(0.2)), measured(Some(0.1), None));
    world.pass(3_600).await;
    let (status, _, message) = condition(&get(&world, "sale").await, "CapacitySufficient");
    assert_eq!(status, "True");
    let unknown =
        "unknown of blog: it has no HorizontalPodAutoscaler, and no CPU use against a limit is measured";
    assert_eq!(message, format!("2 services grow far enough; {unknown}"));
    // While it is on, what is used up is short.
    tell(measured(None, Some(1.8)), measured(Some(0.1), None));
    world.pass(3_601).await;
    let (status, _, message) = condition(&get(&world, "sale").await, "CapacitySufficient");
    assert_eq!(status, "False");
    assert!(message.contains("90 % of their CPU limit: raise spec.replicas to 5"), "{message}");
    // Without figures nobody knows.
    world.engine.cpu.lock().unwrap().clear();
    world.pass(301).await;
    let (status, reason, message) = condition(&get(&world, "sale").await, "CapacitySufficient");
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "CapacityUnknown"));
    assert!(message.starts_with("Nobody knows how far the services grow; unknown of "), "{message}");
    assert!(message.contains("(and 2 others)"), "{message}");
}

#[tokio::test]
async fn nodes_without_room_for_what_autoscalers_will_ask_for_are_told() {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    use k8s_openapi::api::core::v1::{Node, Pod};
    use kube::api::{Patch, PatchParams};
    let mut world = world().await;
    let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "500m"}}});
    let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pod});
    world.create::<Deployment>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 20});
    world.create::<HorizontalPodAutoscaler>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let running = json!({"status": {"currentReplicas": 2, "desiredReplicas": 2}});
    let api = world.api::<HorizontalPodAutoscaler>();
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(running)).await.unwrap();
    world.create_global::<Node>(json!({"metadata": {"name": "n1"}})).await;
    let allocatable = json!({"status": {"allocatable": {"cpu": "4"}}});
    let nodes = Api::<Node>::all(world.client.clone());
    nodes.patch_status("n1", &PatchParams::default(), &Patch::Merge(allocatable)).await.unwrap();
    world
        .create::<Pod>(
            json!({"metadata": {"name": "web-1"}, "spec": {"nodeName": "n1", "containers": [container]}}),
        )
        .await;
    let spec = json!({"window": window(world.now(), 7200, 10_800), "namespaces": ["shop"],
        "serviceSelector": {"matchExpressions": [{"key": "journey", "operator": "In", "values": ["purchase"]}]},
        "expected": [{"signal": "RequestRate", "multiplier": "7"}]});
    peak(&world, "sale", spec).await;
    world.start();
    world.settle().await;
    // 14 pods of half a core instead of 2: 6 more, where 3.5 are left.
    let (status, _, message) = condition(&get(&world, "sale").await, "CapacitySufficient");
    assert_eq!(status, "True");
    assert!(
        message.ends_with("the nodes of now have 3.5 CPUs left, and autoscalers will ask for 6"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_not_right_says_why() {
    let mut world = world().await;
    let at = window(world.now(), 60, 120);
    let mut moon = at.clone();
    moon["timeZone"] = json!("Moon/Tycho");
    let nobody = json!({"matchLabels": {"journey": "none"}});
    let odd = json!({"matchExpressions": [{"key": "journey", "operator": "Like", "values": ["x"]}]});
    for (name, spec) in [
        ("moon", json!({"window": moon})),
        ("nobody", json!({"window": at, "serviceSelector": nobody})),
        ("odd", json!({"window": at, "serviceSelector": odd})),
        ("off", json!({"window": at, "suspend": true})),
    ] {
        peak(&world, name, spec).await;
    }
    world
        .create::<MonitoredService>(json!({"metadata": {"name": "lost"}, "spec": {"timeZone": "Moon/Tycho"}}))
        .await;
    world.start();
    world.settle().await;
    let cases = [
        ("moon", "Ready", "InvalidSpec", "Moon/Tycho"),
        ("nobody", "Armed", "DependencyMissing", "spec.serviceSelector"),
        ("odd", "Ready", "InvalidSpec", "spec.serviceSelector"),
        ("off", "Ready", "Suspended", "suspend"),
    ];
    for (name, wanted, reason, words) in cases {
        let object = get(&world, name).await;
        assert_eq!(check_conditions(&object), [], "{name}");
        let (_, found, message) = condition(&object, wanted);
        assert_eq!(found, reason, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    let told = world.engine.peaks.lock().unwrap().clone().unwrap();
    assert_eq!(told.iter().map(|config| config.name.as_str()).collect::<Vec<_>>(), ["nobody"]);
    let lost: MonitoredService = world.get("lost").await;
    assert_eq!(condition(&lost, "Ready").1, "InvalidSpec");
}

#[tokio::test]
async fn a_peak_lowers_autonomy_and_never_raises_it() {
    for (granted, most, phase) in [
        ("Auto", "Approve", Phase::AwaitingApproval),
        ("Approve", "Auto", Phase::AwaitingApproval),
        ("Auto", "Auto", Phase::Verifying),
        ("Auto", "Suggest", Phase::Planned),
    ] {
        let mut world = World::shop(granted).await;
        let spec = json!({"window": window(world.now(), 600, 1200), "warmUp": "1h", "maxAutonomy": most,
            "namespaces": ["shop"]});
        peak(&world, "sale", spec).await;
        world.start();
        world.settle().await;
        world.publish(incident(world.now())).await;
        let run: Remediation = world.get("gateway-3fa9c1-1").await;
        let status = run.status.unwrap();
        assert_eq!(status.phase, phase, "{granted}, at most {most}: {:?}", status.message);
    }
}
