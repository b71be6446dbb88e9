//! One value of a ConfigMap changes, and 40 s later orders fail in another service: the Incident names the object, the
//! field, both values, the author, the first bad line and its stack frame, within 60 s of data time. With the real engine;
//! against the API in process, and a real API server where there is one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_controllers::{
    Admission, Audit, AuditEntry, Bundles, Context, Engine, IncidentFeed, OperatorParts, Ports, run,
};
use causeway_crds::Incident;
use causeway_engine::whatif::{Effect, Signal, Step};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, CpuUse, Engine as Core, EngineConfig, Incident as Found,
    Neighbours, ObjectiveConfig, ObjectiveReport, PeakConfig, PeakReport, Placement, ServiceConfig, State,
};
use causeway_kubekit::{Activity, Clock, ControllerMetrics, TrackWritesLayer, check_conditions};
use causeway_localcluster::{LocalCluster, Options, User};
use causeway_model::{
    LogSample, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, SpanKind, SpanStub, TemplateCount,
    Window,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

use crate::accounts::{ALONE, client, define, real_cluster};
use crate::world::{FakeGateway, notifications};

const MANIFESTS: &str = include_str!("../../../../examples/tax-rate/manifests.yaml");
const STEP: i64 = 10_000_000;
/// Window in which the value changes; four windows later orders fail.
const PUSH: i64 = 90;
const LINE: &str = "ERROR order 4711: tax rate 2.1 of NL is out of range\n\
    java.lang.IllegalArgumentException: 2.1\n\
    \tat java.base/java.util.Objects.checkIndex(Objects.java:385)\n\
    \tat com.shop.orders.Invoice.total(Invoice.java:118)\n\
    \tat com.shop.orders.Api.place(Api.java:40)";

/// The real engine as the controllers reach it.
struct Live {
    core: Mutex<Core>,
    now: Arc<Mutex<i64>>,
    changes: Mutex<usize>,
}

impl Live {
    fn now(&self) -> i64 {
        *self.now.lock().unwrap()
    }
}

impl Engine for Live {
    fn incident(&self, fingerprint: &str) -> Option<Found> {
        self.core.lock().unwrap().incidents().into_iter().find(|i| i.fingerprint == fingerprint).cloned()
    }
    fn set_services(&self, services: Vec<ServiceConfig>) {
        self.core.lock().unwrap().set_services(services);
    }
    fn set_objectives(&self, objectives: Vec<ObjectiveConfig>) {
        self.core.lock().unwrap().set_objectives(objectives);
    }
    fn objective(&self, namespace: &str, name: &str) -> Option<ObjectiveReport> {
        self.core.lock().unwrap().objective(namespace, name)
    }
    fn set_baselines(&self, baselines: Vec<BaselineConfig>) {
        self.core.lock().unwrap().set_baselines(baselines);
    }
    fn baseline(&self, namespace: &str, name: &str) -> Option<BaselineReport> {
        self.core.lock().unwrap().baseline(namespace, name)
    }
    fn change(&self, change: Change, namespace: &str) {
        self.core.lock().unwrap().change(change, namespace);
        *self.changes.lock().unwrap() += 1;
    }
    fn set_peaks(&self, peaks: Vec<PeakConfig>) {
        self.core.lock().unwrap().set_peaks(peaks);
    }
    fn peak(&self, name: &str) -> Option<PeakReport> {
        self.core.lock().unwrap().peak(name)
    }
    fn cpu_use(&self, entities: &[String]) -> Option<CpuUse> {
        self.core.lock().unwrap().cpu_use(entities)
    }
    fn keep_objects(&self, _fingerprint: &str, _objects: String) {}
    fn set_states(&self, states: Vec<State>) {
        self.core.lock().unwrap().set_states(states, self.now());
    }
    fn set_placements(&self, placements: Vec<Placement>) {
        self.core.lock().unwrap().set_placements(placements, self.now());
    }
    fn merge(&self, fingerprint: &str, into: &str) {
        self.core.lock().unwrap().merge(fingerprint, into, self.now());
    }
    fn neighbours(&self, entities: &[String]) -> Option<Neighbours> {
        self.core.lock().unwrap().neighbours(entities)
    }
    fn what_if(&self, steps: &[Step]) -> Effect {
        self.core.lock().unwrap().what_if(steps)
    }
    fn set_effects(&self, _held: u64, _missed: u64) {}
    fn measured(&self, entity: &str, signal: Signal, from_us: i64, until_us: i64) -> Option<f64> {
        self.core.lock().unwrap().measured(entity, signal, from_us, until_us)
    }
    fn watermark(&self) -> Option<i64> {
        self.core.lock().unwrap().watermark_us()
    }
}

struct Deaf;

impl Audit for Deaf {
    fn record(&self, _entry: AuditEntry) {}
    fn was_kept(&self, _entry: &AuditEntry) -> bool {
        true
    }
}

fn objects(namespace: &str) -> impl Iterator<Item = DynamicObject> {
    let text = MANIFESTS.replace("tax-shop", namespace);
    let documents: Vec<DynamicObject> =
        text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    documents.into_iter()
}

async fn apply(client: &Client, namespace: &str) {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    for object in objects(namespace) {
        let types = object.types.clone().unwrap();
        if types.kind == "Namespace" {
            continue;
        }
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
        let (resource, capabilities) = discovery.resolve_gvk(&kind).unwrap();
        assert_eq!(capabilities.scope, Scope::Namespaced);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

/// Requests of one window: orders asks tax; `failing` orders end with an exception that tax knows nothing of.
fn window(namespace: &str, index: i64, failing: bool) -> Partial {
    let start = index * STEP;
    let (orders, tax) = (format!("{namespace}/orders"), format!("{namespace}/tax"));
    let (mut spans, mut errors) = (Vec::new(), 0.0);
    for request in 0..20 {
        let error = failing && request % 2 == 0;
        errors += f64::from(u8::from(error));
        let noise = (index * 31 + request) * 7919 % 101;
        let span = |span: u64, parent: u64, service: &str, kind, duration_us: i64, error: bool| SpanStub {
            trace: (index * 100 + request + 1) as u64,
            span,
            parent,
            service: service.into(),
            operation: if service == tax { "GET /rate" } else { "POST /order" }.into(),
            kind,
            start_us: start + request * 400_000,
            duration_us,
            error,
            peer: None,
        };
        spans.push(span(1, 0, &orders, SpanKind::Server, 30_000 + noise * 40, error));
        spans.push(span(2, 1, &orders, SpanKind::Client, 10_000 + noise * 10, false));
        spans.push(span(3, 2, &tax, SpanKind::Server, 9_000 + noise * 10, false));
    }
    let series = |entity: &str, signal: &str, kind, sum: f64| {
        let mut values = SeriesPartial { kind, ..SeriesPartial::default() };
        values.add(start, sum);
        values.count = 20;
        (SeriesId { entity: entity.into(), signal: signal.into(), group: "".into() }, values)
    };
    let mut all = Vec::new();
    for (entity, seconds, errors) in [(&orders, 0.03, errors), (&tax, 0.009, 0.0)] {
        let wave = 1.0 + 0.05 * ((index * 7919 % 101) as f64 / 101.0);
        all.push(series(entity, "requests", SeriesKind::Count, 20.0));
        all.push(series(entity, "errors", SeriesKind::Count, errors));
        all.push(series(entity, "latency", SeriesKind::Latency, 20.0 * seconds * wave));
    }
    let template = |service: &str, template, severity, count, body: &str| TemplateCount {
        service: service.into(),
        template,
        severity,
        count,
        first: LogSample { time_us: start + 1_000, body: body.into(), trace_id: "".into() },
    };
    let mut templates = vec![
        template(&orders, 1, 9, 20, "INFO order placed"),
        template(&tax, 2, 9, 20, "INFO rate asked for"),
    ];
    if failing {
        templates.push(template(&orders, 3, 17, 10, LINE));
    }
    Partial {
        source: SourceRef { namespace: namespace.into(), name: "otlp".into() },
        window: Window { start_us: start, end_us: start + STEP },
        series: all,
        spans,
        templates,
        aliases: Vec::new(),
        template_texts: Vec::new(),
        records: 100,
        newest_us: start + STEP,
    }
}

async fn patched(client: &Client, namespace: &str, name: &str, by: &str, data: Value) {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams { field_manager: Some(by.to_owned()), ..PatchParams::default() };
    api.patch(name, &parameters, &Patch::Merge(json!({"data": data}))).await.unwrap();
}

async fn until(what: &str, good: impl Fn() -> bool) {
    let turns = async {
        while !good() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), turns).await.expect(what);
}

/// Plays the outage and gives the Incident as it stands 60 s of data time after the first bad record.
async fn play(client: Client, namespace: &str) -> Incident {
    let now = Arc::new(Mutex::new(0_i64));
    let live = Arc::new(Live {
        core: Mutex::new(Core::new(EngineConfig::default())),
        now: Arc::clone(&now),
        changes: Mutex::default(),
    });
    let clock = Clock::from_fn({
        let now = Arc::clone(&now);
        Arc::new(move || Timestamp::from_microsecond(*now.lock().unwrap()).unwrap())
    });
    let activity = Activity::new();
    let admin = {
        let client = client.clone();
        let send = service_fn(move |request| {
            let client = client.clone();
            async move { client.send(request).await }
        });
        Client::new(TrackWritesLayer::new(activity.clone()).layer(send), "default")
    };
    apply(&admin, namespace).await;
    let folder = tempfile::tempdir().unwrap();
    let (feed, inbox) = IncidentFeed::new();
    let stop = CancellationToken::new();
    let context = Context {
        client,
        activity: activity.clone(),
        clock: clock.clone(),
        metrics: ControllerMetrics::detached(),
        instance: "test".to_owned(),
        admission: Admission::BuiltIn,
        git: causeway_controllers::Git::default(),
    };
    let notifications = notifications(folder.path());
    let ports = Ports {
        engine: live.clone(),
        gateway: Arc::<FakeGateway>::default(),
        audit: Arc::new(Deaf),
        bundles: Bundles::default(),
    };
    let parts = OperatorParts { ports, inbox, notifications, executes: false };
    let controllers = tokio::spawn(run(context, parts, stop.clone()));
    let settled = async || {
        let settled = tokio::time::timeout(Duration::from_secs(60), activity.settled()).await;
        assert!(settled.is_ok(), "not settled: {:?}", activity.pending());
    };
    settled().await;
    let pass = async |windows: std::ops::Range<i64>, failing: bool| {
        for index in windows {
            *now.lock().unwrap() = (index + 1) * STEP;
            let found: Vec<Found> = {
                let mut core = live.core.lock().unwrap();
                core.observe(window(namespace, index, failing), (index + 1) * STEP);
                core.incidents().into_iter().cloned().collect()
            };
            clock.moved();
            for incident in found {
                feed.publish(incident, activity.busy());
            }
            settled().await;
        }
    };
    pass(0..PUSH, false).await;
    patched(&admin, namespace, "tax-rates", "ci-bot", json!({"NL": "2.1"})).await;
    until("the change is seen", || *live.changes.lock().unwrap() >= 1).await;
    pass(PUSH..PUSH + 2, false).await;
    patched(&admin, namespace, "search-page", "anna", json!({"size": "30"})).await;
    until("the other change is seen", || *live.changes.lock().unwrap() >= 2).await;
    pass(PUSH + 2..PUSH + 4, false).await;
    let incidents: Api<Incident> = Api::namespaced(admin.clone(), namespace);
    let all = || async { incidents.list(&ListParams::default()).await.unwrap().items };
    assert!(all().await.is_empty(), "a change is never a cause without a symptom");
    pass(PUSH + 4..PUSH + 10, true).await;
    let found = all().await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), controllers).await.expect("it ends").unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn check(incident: &Incident, namespace: &str) {
    assert_eq!(check_conditions(incident), []);
    let status = incident.status.as_ref().unwrap();
    let cause = status.cause.as_ref().unwrap();
    assert_eq!(incident.spec.opened_for.service, format!("{namespace}/orders"));
    assert_eq!((cause.kind.as_str(), cause.abstained), ("BadConfig", false), "{status:#?}");
    assert_eq!(cause.entity, format!("ConfigMap/{namespace}/tax-rates"));
    assert_eq!(cause.change.as_deref(), Some("data.NL: 0.21 -> 2.1 by ci-bot"));
    assert_eq!(
        cause.target.as_ref().map(|t| (t.kind.as_str(), t.name.as_str())),
        Some(("ConfigMap", "tax-rates"))
    );
    let text: Vec<&str> = status.explanation.iter().map(|sentence| sentence.text.as_str()).collect();
    let text = text.join("\n");
    for part in
        ["from Invoice.java:118", "tax rate 2.1 of NL is out of range", "by ci-bot", "data.NL: 0.21 -> 2.1"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("search"), "{text}");
    // Every figure by hand from the others.
    let impact = status.impact.as_ref().unwrap();
    let (requests, money) = (impact.requests.unwrap(), status.money.as_ref().unwrap());
    let value = |d: &Option<causeway_actions::Decimal>| d.as_ref().unwrap().to_f64();
    let near = |a: f64, b: f64| (a - b).abs() <= 0.01 + 1e-4 * b.abs();
    let share = requests.affected as f64 / requests.all as f64;
    assert!(requests.affected > 0 && near(value(&money.affected_share), share), "{money:?} {requests:?}");
    assert!(near(money.at_risk_per_hour.to_f64(), value(&money.revenue_per_hour) * share), "{money:?}");
    let lost = money.at_risk_per_hour.to_f64() * money.seconds.unwrap() as f64 / 3600.0;
    assert!(near(value(&money.loss_so_far), lost), "{money:?}");
    let interval = money.interval.as_ref().unwrap();
    assert!(interval.low.to_f64() < money.at_risk_per_hour.to_f64());
    assert!(money.at_risk_per_hour.to_f64() < interval.high.to_f64());
    assert!(money.method.is_some() && !money.assumptions.is_empty());
}

#[tokio::test]
async fn tax_rate_in_process() {
    let users = vec![User::new("admin"), User::new("causeway")];
    let options = Options { crds: causeway_crds::all_crds(), users, ..Options::default() };
    let client = LocalCluster::open(options).unwrap().client("admin");
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "tax-shop"}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    check(&play(client, "tax-shop").await, "tax-shop");
}

#[tokio::test]
async fn tax_rate_on_a_real_api_server() {
    let Some(kubeconfig) = real_cluster("the tax-rate case on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let client = client(&kubeconfig).await;
    define(&client).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"generateName": "tax-shop-"}})).unwrap();
    let namespace = namespaces.create(&PostParams::default(), &namespace).await.unwrap().name_any();
    check(&play(client, &namespace).await, &namespace);
    namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
}
