//! A cluster in memory, the controllers, and ports that remember what they were told.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use causeway_causal::draft::{CauseDraft, EvidenceItem, IncidentDraft, Sentence, Severity};
use causeway_causal::impact::Impact;
use causeway_causal::ranking::{CauseClass, Evidence, EvidenceKind};
use causeway_controllers::{
    Admission, Audit, AuditEntry, Bundles, Context, Engine, FIXER, Gateway, Git, IncidentFeed, Notifications,
    OperatorParts, Ports, SourceObservation, SourceSettings, run,
};
use causeway_engine::whatif::{Effect, Signal, Step};
use causeway_engine::{
    BaselineConfig, BaselineReport, Change, CpuUse, Incident, IncidentPhase, Neighbours, ObjectiveConfig,
    ObjectiveReport, PeakConfig, PeakReport, Placement, ServiceConfig, State, SymptomState,
};
use causeway_kubekit::{Activity, Clock, ControllerMetrics, TrackWritesLayer, check_conditions};
use causeway_localcluster::{LocalCluster, Options, User};
use causeway_model::{Completeness, Finding, FindingState, SeriesId, SourceRef};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::client::Body;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

use crate::crash_points::CrashPoints;

pub(crate) const SHOP: &str = "shop";
pub(crate) const FINGERPRINT: &str = "3fa9c1d2e4b5";

#[derive(Default)]
pub(crate) struct FakeEngine {
    pub(crate) incidents: Mutex<HashMap<String, Incident>>,
    pub(crate) services: Mutex<Vec<ServiceConfig>>,
    /// What was declared last; `None` before anything was.
    pub(crate) objectives: Mutex<Option<Vec<ObjectiveConfig>>>,
    /// What was declared last; `None` before anything was.
    pub(crate) baselines: Mutex<Option<Vec<BaselineConfig>>>,
    /// What was declared last; `None` before anything was.
    pub(crate) peaks: Mutex<Option<Vec<PeakConfig>>>,
    /// How every event goes.
    pub(crate) going: Mutex<Option<PeakReport>>,
    /// What services use, by entity.
    pub(crate) cpu: Mutex<HashMap<String, CpuUse>>,
    /// How every Baseline stands.
    pub(crate) normal: Mutex<Option<BaselineReport>>,
    /// How every objective stands.
    pub(crate) standing: Mutex<Option<ObjectiveReport>>,
    pub(crate) changes: Mutex<Vec<(Change, String)>>,
    pub(crate) watermark: Mutex<Option<i64>>,
    /// What repairs were planned on, by fingerprint.
    pub(crate) objects: Mutex<HashMap<String, String>>,
    /// What was said to be wrong last; `None` before anything was.
    pub(crate) states: Mutex<Option<Vec<State>>>,
    pub(crate) placements: Mutex<Vec<Placement>>,
    pub(crate) neighbours: Mutex<Option<Neighbours>>,
    /// What every repair would do.
    pub(crate) effect: Mutex<Effect>,
    /// Steps of the repairs that were asked about.
    pub(crate) steps: Mutex<Vec<Vec<Step>>>,
    /// Intervals of predicted effects that held, and those that did not.
    pub(crate) effects: Mutex<(u64, u64)>,
    /// What is measured of every signal.
    pub(crate) measured: Mutex<Option<f64>>,
    /// Fingerprints of incidents that were to become part of others.
    pub(crate) merged: Mutex<Vec<(String, String)>>,
}

impl Engine for FakeEngine {
    fn incident(&self, fingerprint: &str) -> Option<Incident> {
        self.incidents.lock().unwrap().get(fingerprint).cloned()
    }
    fn set_services(&self, services: Vec<ServiceConfig>) {
        *self.services.lock().unwrap() = services;
    }
    fn set_objectives(&self, objectives: Vec<ObjectiveConfig>) {
        *self.objectives.lock().unwrap() = Some(objectives);
    }
    fn objective(&self, _namespace: &str, _name: &str) -> Option<ObjectiveReport> {
        self.standing.lock().unwrap().clone()
    }
    fn set_baselines(&self, baselines: Vec<BaselineConfig>) {
        *self.baselines.lock().unwrap() = Some(baselines);
    }
    fn baseline(&self, _namespace: &str, _name: &str) -> Option<BaselineReport> {
        self.normal.lock().unwrap().clone()
    }
    fn set_peaks(&self, peaks: Vec<PeakConfig>) {
        *self.peaks.lock().unwrap() = Some(peaks);
    }
    fn peak(&self, _name: &str) -> Option<PeakReport> {
        self.going.lock().unwrap().clone()
    }
    fn cpu_use(&self, entities: &[String]) -> Option<CpuUse> {
        let measured = self.cpu.lock().unwrap();
        entities.iter().find_map(|entity| measured.get(entity).copied())
    }
    fn change(&self, change: Change, namespace: &str) {
        self.changes.lock().unwrap().push((change, namespace.to_owned()));
    }
    fn keep_objects(&self, fingerprint: &str, objects: String) {
        self.objects.lock().unwrap().insert(fingerprint.to_owned(), objects);
    }
    fn set_states(&self, states: Vec<State>) {
        *self.states.lock().unwrap() = Some(states);
    }
    fn set_placements(&self, placements: Vec<Placement>) {
        *self.placements.lock().unwrap() = placements;
    }
    fn merge(&self, fingerprint: &str, into: &str) {
        self.merged.lock().unwrap().push((fingerprint.to_owned(), into.to_owned()));
    }
    fn neighbours(&self, _entities: &[String]) -> Option<Neighbours> {
        *self.neighbours.lock().unwrap()
    }
    fn what_if(&self, steps: &[Step]) -> Effect {
        self.steps.lock().unwrap().push(steps.to_vec());
        self.effect.lock().unwrap().clone()
    }
    fn set_effects(&self, held: u64, missed: u64) {
        *self.effects.lock().unwrap() = (held, missed);
    }
    fn measured(&self, _entity: &str, _signal: Signal, _from_us: i64, _until_us: i64) -> Option<f64> {
        *self.measured.lock().unwrap()
    }
    fn watermark(&self) -> Option<i64> {
        *self.watermark.lock().unwrap()
    }
}

#[derive(Default)]
pub(crate) struct FakeGateway {
    pub(crate) sources: Mutex<BTreeMap<SourceRef, SourceSettings>>,
    pub(crate) seen: Mutex<SourceObservation>,
}

impl Gateway for FakeGateway {
    fn set_source(&self, source: SourceRef, settings: SourceSettings) {
        self.sources.lock().unwrap().insert(source, settings);
    }
    fn remove_source(&self, source: &SourceRef) {
        self.sources.lock().unwrap().remove(source);
    }
    fn observed(&self, _source: &SourceRef) -> SourceObservation {
        *self.seen.lock().unwrap()
    }
}

#[derive(Default)]
pub(crate) struct FakeAudit(pub(crate) Mutex<Vec<AuditEntry>>);

impl Audit for FakeAudit {
    fn record(&self, entry: AuditEntry) {
        self.0.lock().unwrap().push(entry);
    }
    fn was_kept(&self, entry: &AuditEntry) -> bool {
        let told = |e: &AuditEntry| {
            let message = e.detail["message"].as_str().unwrap_or_default().to_owned();
            (e.time_us, e.namespace.clone(), e.subject.clone(), e.action.clone(), message)
        };
        self.0.lock().unwrap().iter().any(|kept| told(kept) == told(entry))
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    feed: IncidentFeed,
}

pub(crate) struct World {
    pub(crate) cluster: LocalCluster,
    pub(crate) client: Client,
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) gateway: Arc<FakeGateway>,
    pub(crate) audit: Arc<FakeAudit>,
    pub(crate) bundles: Bundles,
    pub(crate) folder: tempfile::TempDir,
    /// Between the process and the API, if it dies at its writes.
    pub(crate) points: Option<CrashPoints>,
    activity: Activity,
    clock: Clock,
    now: Arc<Mutex<Timestamp>>,
    running: Option<Running>,
}

/// Notifications that keep their state in a folder.
pub(crate) fn notifications(folder: &std::path::Path) -> Notifications {
    Notifications {
        state: folder.join("state"),
        dead_letters: folder.join("dead"),
        retry: causeway_notify::RetryPolicy::default(),
        metrics: causeway_notify::NotifyMetrics::default(),
        console: None,
    }
}

impl World {
    /// An empty cluster with the namespace, and nothing running.
    pub(crate) async fn new() -> Self {
        let now = Arc::new(Mutex::new("2026-11-27T20:00:00Z".parse::<Timestamp>().unwrap()));
        let read = {
            let now = Arc::clone(&now);
            Arc::new(move || *now.lock().unwrap())
        };
        // Namespaces that let the executor act as their fixer, which may do something there and nowhere else.
        let fixer = |namespace: &str| format!("system:serviceaccount:{namespace}:{FIXER}");
        let granted = [SHOP, "causeway-nodes", "flux-system", "argocd", "act-*"];
        let may_impersonate = granted.map(fixer).to_vec();
        let mut users = vec![User::new("admin"), User { may_impersonate, ..User::new("causeway") }];
        users.extend([SHOP, "flux-system", "argocd"].map(|namespace| User {
            namespaces: Some(vec![namespace.to_owned()]),
            ..User::new(fixer(namespace))
        }));
        let mut crds = causeway_crds::all_crds();
        crds.extend(appliers());
        let options = Options { crds, users, now: read.clone(), ..Options::default() };
        let cluster = LocalCluster::open(options).unwrap();
        let mut world = Self {
            client: cluster.client("admin"),
            cluster,
            engine: Arc::default(),
            gateway: Arc::default(),
            audit: Arc::default(),
            bundles: Bundles::default(),
            folder: tempfile::tempdir().unwrap(),
            points: None,
            activity: Activity::new(),
            clock: Clock::from_fn(read),
            now,
            running: None,
        };
        world.track();
        world.engine.watermark.lock().unwrap().replace(world.now().as_microsecond());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}});
        let namespace = serde_json::from_value(namespace).unwrap();
        Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        world
    }

    /// What the test writes counts as well, so that settling waits until the controllers have seen it.
    fn track(&mut self) {
        let client = self.cluster.client("admin");
        let send = service_fn(move |request| {
            let client = client.clone();
            async move { client.send(request).await }
        });
        self.client = Client::new(TrackWritesLayer::new(self.activity.clone()).layer(send), "default");
    }

    /// A namespace that opted in, with a Deployment, a guardrail, a policy and the runbook that restarts.
    pub(crate) async fn shop(autonomy: &str) -> Self {
        let world = Self::new().await;
        world
            .create::<k8s_openapi::api::core::v1::ServiceAccount>(
                json!({"metadata": {"name": "causeway-fixer"}}),
            )
            .await;
        world.deployment("web").await;
        world
            .create_global::<causeway_crds::ClusterGuardrail>(
                json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto"}}),
            )
            .await;
        world
            .runbook("restart", json!([{"name": "restart", "type": "RolloutRestart", "rolloutRestart": {}}]))
            .await;
        world.policy(autonomy, &["restart"]).await;
        world
    }

    pub(crate) async fn deployment(&self, name: &str) {
        self.create::<k8s_openapi::api::apps::v1::Deployment>(json!({
            "metadata": {"name": name},
            "spec": {"replicas": 4, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}}}))
            .await;
    }

    pub(crate) async fn runbook(&self, name: &str, steps: Value) {
        self.create::<causeway_crds::Runbook>(json!({
            "metadata": {"name": name},
            "spec": {"summary": name, "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
                "steps": steps, "verify": {"within": "5m", "hold": "2m"}, "rollback": "Inverse", "risk": "Low"}}))
        .await;
    }

    pub(crate) async fn policy(&self, autonomy: &str, runbooks: &[&str]) {
        let runbooks: Vec<Value> = runbooks.iter().map(|name| json!({"name": name})).collect();
        self.create::<causeway_crds::RemediationPolicy>(json!({
            "metadata": {"name": "policy"},
            "spec": {"runbooks": runbooks, "autonomy": autonomy, "limits": {"cooldown": "1m"}}}))
            .await;
    }

    pub(crate) fn start(&mut self) {
        // A process that has ended has no work any more.
        self.activity = Activity::new();
        self.clock = Clock::from_fn({
            let now = Arc::clone(&self.now);
            Arc::new(move || *now.lock().unwrap())
        });
        self.track();
        let (feed, inbox) = IncidentFeed::new();
        let stop = CancellationToken::new();
        let context = Context {
            client: self.points.as_ref().map_or_else(|| self.cluster.client("causeway"), through),
            activity: self.activity.clone(),
            clock: self.clock.clone(),
            metrics: ControllerMetrics::detached(),
            instance: "test".to_owned(),
            admission: Admission::BuiltIn,
            git: Git { protocols: vec!["http".to_owned()], ..Git::default() },
        };
        let notifications = notifications(self.folder.path());
        let ports = Ports {
            engine: self.engine.clone(),
            gateway: self.gateway.clone(),
            audit: self.audit.clone(),
            bundles: self.bundles.clone(),
        };
        let task = tokio::spawn(run(
            context,
            OperatorParts { ports, inbox, notifications, executes: true },
            stop.clone(),
        ));
        self.running = Some(Running { stop, task, feed });
    }

    /// Cuts the process off, as kill -9 does.
    pub(crate) async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.task.abort();
        running.task.await.unwrap_err();
    }

    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), running.task).await.expect("it ends").unwrap();
    }

    pub(crate) async fn settle(&self) {
        let settled = tokio::time::timeout(Duration::from_secs(60), self.activity.settled()).await;
        assert!(settled.is_ok(), "not settled: {:?}", self.activity.pending());
        if self.running.is_some() {
            self.conforms().await;
        }
    }

    /// Every object of every kind obeys the conventions that GitOps tools rely on, whatever state it is in.
    async fn conforms(&self) {
        // Schemas are costly to make.
        static KINDS: LazyLock<Vec<ApiResource>> = LazyLock::new(|| {
            let of = |definition: CustomResourceDefinition| {
                let (names, group) = (definition.spec.names, definition.spec.group);
                let gvk = GroupVersionKind::gvk(&group, causeway_crds::VERSION, &names.kind);
                ApiResource::from_gvk_with_plural(&gvk, &names.plural)
            };
            causeway_crds::all_crds().into_iter().map(of).collect()
        });
        for resource in KINDS.iter() {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
            for object in api.list(&ListParams::default()).await.unwrap() {
                assert_eq!(check_conditions(&object), [], "{} {}", resource.kind, object.name_any());
            }
        }
    }

    /// Waits for what the account of work in progress does not know: a change that the process did not make.
    pub(crate) async fn until(&self, good: impl Fn() -> bool) {
        let turns = async {
            while !good() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), turns).await.expect("it becomes so");
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    /// Moves the clock and the time of the data by ten seconds, and waits for nothing.
    pub(crate) fn tick(&self) {
        {
            let mut now = self.now.lock().unwrap();
            *now = now.checked_add(jiff::SignedDuration::from_secs(10)).unwrap();
            self.engine.watermark.lock().unwrap().replace(now.as_microsecond());
        }
        self.clock.moved();
    }

    /// Moves the clock and the time of the data, in steps of ten seconds.
    pub(crate) async fn pass(&self, seconds: i64) {
        for _ in 0..seconds / 10 {
            self.tick();
            self.settle().await;
        }
    }

    /// Moves the clock at once.
    pub(crate) async fn leap(&self, seconds: i64) {
        {
            let mut now = self.now.lock().unwrap();
            *now = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        }
        self.clock.moved();
        self.settle().await;
    }

    /// Tells of the incident as the engine has it, and waits for nothing.
    pub(crate) fn tell(&self, incident: Incident) {
        self.engine.incidents.lock().unwrap().insert(incident.fingerprint.clone(), incident.clone());
        self.running.as_ref().unwrap().feed.publish(incident, self.activity.busy());
    }

    /// Tells of the incident as the engine has it.
    pub(crate) async fn publish(&self, incident: Incident) {
        self.tell(incident);
        self.settle().await;
    }

    /// The symptom goes away, or comes back.
    pub(crate) async fn symptom(&self, state: SymptomState) {
        let mut incident = self.engine.incidents.lock().unwrap()[FINGERPRINT].clone();
        incident.symptom = state;
        incident.symptom_since_us = self.now().as_microsecond();
        incident.revision += 1;
        self.publish(incident).await;
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), SHOP)
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        self.api::<K>().create(&PostParams::default(), &typed::<K>(object)).await.unwrap()
    }

    pub(crate) async fn create_global<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        Api::<K>::all(self.client.clone()).create(&PostParams::default(), &typed::<K>(object)).await.unwrap()
    }

    pub(crate) async fn get<K>(&self, name: &str) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().get(name).await.unwrap()
    }

    pub(crate) async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().list(&kube::api::ListParams::default()).await.unwrap().items
    }

    pub(crate) async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    pub(crate) async fn delete_global<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        Api::<K>::all(self.client.clone()).delete(name, &DeleteParams::default()).await.unwrap();
    }
}

/// A client whose requests go through crash points.
fn through(points: &CrashPoints) -> Client {
    let points = points.clone();
    let send = service_fn(move |request: http::Request<Body>| {
        let points = points.clone();
        async move {
            let (parts, body) = request.into_parts();
            points.through(parts, body.collect_bytes().await?).await.map_err(tower::BoxError::from)
        }
    });
    Client::new(send, "default")
}

/// The kinds of Flux and Argo CD that apply from Git, as far as they are suspended and resumed.
fn appliers() -> [CustomResourceDefinition; 3] {
    let text = json!({"type": "string"});
    let entry = json!({"type": "object", "properties": {"id": text, "v": text}});
    let inventory = json!({"type": "object", "properties": {"entries": {"type": "array", "items": entry}}});
    let resource = json!({"type": "object", "properties": {"group": text, "kind": text, "namespace": text, "name": text}});
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "path": text, "targetNamespace": text, "suspend": {"type": "boolean"}, "kubeConfig": open,
            "destination": {"type": "object", "properties": {"server": text, "name": text}}}},
        "status": {"type": "object", "properties": {
            "inventory": inventory, "resources": {"type": "array", "items": resource}}}}}});
    [
        ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations"),
        ("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"),
        ("argoproj.io", "v1alpha1", "Application", "applications"),
    ]
    .map(|(group, version, kind, plural)| {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]}});
        serde_json::from_value(definition).unwrap()
    })
}

fn typed<K: Resource<DynamicType = ()> + DeserializeOwned>(mut object: Value) -> K {
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    serde_json::from_value(object).unwrap()
}

/// An incident of `shop/gateway` whose cause is an instance of `shop/web`.
pub(crate) fn incident(at: Timestamp) -> Incident {
    let at_us = at.as_microsecond();
    let finding = Finding {
        id: "f1".into(),
        namespace: SHOP.into(),
        series: SeriesId { entity: "shop/gateway".into(), signal: "latency".into(), group: "".into() },
        state: FindingState::Open,
        at_us,
        since_us: at_us - 60_000_000,
        observed: 1.4213,
        expected: 0.1612,
        lower: 0.1,
        upper: 0.3,
        score: 9.0,
        completeness: Completeness { watermark_us: at_us, seen: 10, expected: 10.0 },
        note: String::new(),
    };
    Incident {
        fingerprint: FINGERPRINT.into(),
        namespace: SHOP.into(),
        service: "shop/gateway".into(),
        symptoms: BTreeMap::from([("f1".to_owned(), finding)]),
        since_us: at_us - 60_000_000,
        detected_us: at_us,
        phase: IncidentPhase::Open,
        symptom: SymptomState::Firing,
        symptom_since_us: at_us,
        resolved_us: None,
        draft: Some(draft(at_us)),
        suspect: None,
        diagnosed_us: Some(at_us),
        bundle: Some("sha256:1b7e".into()),
        reopened: 0,
        group: Some(0),
        signal: "latency".into(),
        merged_into: None,
        predicted: None,
        requests: causeway_causal::impact::Requests::default(),
        counted_us: at_us,
        peaks: BTreeMap::new(),
        noise: None,
        root: "shop/web".into(),
        figured_us: at_us,
        revision: 1,
    }
}

fn draft(at_us: i64) -> IncidentDraft {
    let evidence = Evidence {
        kind: EvidenceKind::Trace,
        entity: "shop/web".into(),
        signal: "GET /cart".into(),
        baseline: Some(0.05),
        observed: Some(1.2),
        unit: "s".into(),
        at_us: Some(at_us),
        note: String::new(),
    };
    IncidentDraft {
        fingerprint: "0123456789abcdef".into(),
        signature: "fedcba9876543210".into(),
        opened_for: "shop/gateway".into(),
        opened_us: at_us - 60_000_000,
        severity: Severity::Sev2,
        cause: CauseDraft {
            kind: CauseClass::FaultyInstance,
            entity: "shop/web".into(),
            change: String::new(),
            confidence: 0.93,
        },
        margin: 0.6,
        runners_up: Vec::new(),
        abstained: false,
        impact: Impact {
            services: vec!["shop/gateway".into(), "shop/web".into()],
            entry_points: vec!["shop/gateway".into()],
            request_share: Some(0.4),
            error_budget_per_hour: None,
            requests: None,
        },
        money: None,
        explanation: vec![Sentence {
            text: "GET /cart of shop/web went from 0.05 s to 1.2 s.".into(),
            evidence: vec!["e1".into()],
        }],
        evidence: vec![EvidenceItem { id: "e1".into(), evidence, query: None }],
        path: vec!["shop/web".into(), "shop/gateway".into()],
    }
}
