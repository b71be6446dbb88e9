//! The whole harness against an in-memory API server: a controller that doubles widgets, and what it must do.

mod behaviour;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, CustomResource, ResourceExt};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::*;

const PATH: &str = "/apis/test.causeway.dev/v1/namespaces/shop/widgets";

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "test.causeway.dev", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus")]
struct WidgetSpec {
    size: u32,
    #[serde(default)]
    suspend: bool,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WidgetStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubled: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_handled_requested_at: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum WidgetError {
    #[error("size {0} is odd")]
    Odd(u32),
    #[error("factory does not answer")]
    Factory,
}

impl ReconcileError for WidgetError {
    fn category(&self) -> Category {
        match self {
            Self::Odd(_) => Category::InvalidSpec,
            Self::Factory => Category::Unavailable,
        }
    }
}

/// What the next applications do; empty means that they work.
#[derive(Debug, Clone, Copy)]
enum Next {
    Fail,
    Panic,
}

#[derive(Clone, Default)]
struct Doubler {
    passes: Arc<AtomicUsize>,
    forgotten: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<VecDeque<Next>>>,
    requeue: Arc<Mutex<Requeue>>,
}

impl Reconciler for Doubler {
    type Kind = Widget;
    type Inputs = ();
    type Valid = u32;
    type Built = u32;
    type Applied = u32;
    type Error = WidgetError;
    const NAME: &'static str = "widgets";

    async fn dereference(&self, _: &Widget) -> Result<(), WidgetError> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn validate(&self, widget: &Widget, (): (), _: Timestamp) -> Result<u32, WidgetError> {
        let size = widget.spec.size;
        if size % 2 == 1 { Err(WidgetError::Odd(size)) } else { Ok(size) }
    }

    fn build(&self, _: &Widget, size: u32, _: Timestamp) -> Result<u32, WidgetError> {
        Ok(size * 2)
    }

    async fn apply(&self, _: &Widget, doubled: u32, _: Timestamp) -> Result<u32, WidgetError> {
        let next = self.script.lock().pop_front();
        match next {
            None => Ok(doubled),
            Some(Next::Fail) => Err(WidgetError::Factory),
            Some(Next::Panic) => panic!("a defect"),
        }
    }

    fn update_status(&self, _: &Widget, doubled: u32, _: Timestamp) -> Report<WidgetStatus> {
        let status = WidgetStatus { doubled: Some(doubled), ..WidgetStatus::default() };
        Report::new(status, Progress::ready("Doubled", "done"))
            .condition(Statement::new("Large", doubled > 10, "Measured", format!("doubled to {doubled}")))
            .requeue(*self.requeue.lock())
    }

    fn suspended(&self, widget: &Widget) -> bool {
        widget.spec.suspend
    }

    fn forget(&self, widget: &Widget) {
        self.forgotten.lock().push(widget.name_any());
    }
}

/// The harness around one reconciler, running.
struct Bench {
    api: fake_api::FakeApi,
    client: Client,
    activity: Activity,
    clock: Clock,
    second: Arc<AtomicI64>,
    doubler: Doubler,
    triggers: Triggers<Widget>,
    metrics: ControllerMetrics,
    stop: CancellationToken,
    controller: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(api: fake_api::FakeApi) -> Self {
        Self::start_with(api, Doubler::default())
    }

    fn start_with(api: fake_api::FakeApi, doubler: Doubler) -> Self {
        let activity = Activity::new();
        let client = Client::new(TrackWritesLayer::new(activity.clone()).layer(api.service()), "default");
        let second = Arc::new(AtomicI64::new(1000));
        let clock = Clock::from_fn({
            let second = Arc::clone(&second);
            Arc::new(move || Timestamp::from_second(second.load(Ordering::SeqCst)).unwrap())
        });
        let metrics = ControllerMetrics::detached();
        let runtime = Runtime {
            client: client.clone(),
            activity: activity.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            instance: "test-0".to_owned(),
        };
        let stop = CancellationToken::new();
        let mirror = Mirror::<Widget>::all(client.clone(), &activity);
        let maps = Mirror::<ConfigMap>::all(client.clone(), &activity);
        let controller =
            Controller::new(doubler.clone(), mirror.clone(), &runtime, ControllerConfig::default())
                .watch(&maps, |map| vec![ObjectKey::namespaced("shop", map.name_any())]);
        let triggers = controller.triggers();
        let controller = tokio::spawn(controller.run(stop.clone()));
        tokio::spawn({
            let stop = stop.clone();
            async move { tokio::join!(mirror.run(stop.clone()), maps.run(stop)) }
        });
        Self { api, client, activity, clock, second, doubler, triggers, metrics, stop, controller }
    }

    fn passes(&self) -> usize {
        self.doubler.passes.load(Ordering::SeqCst)
    }

    /// Waits until the harness has nothing left to do.
    async fn settled(&self) {
        self.activity.settled().await;
    }

    /// Puts a widget as a user would, and waits until it is dealt with.
    async fn put(&self, name: &str, spec: Value) {
        self.api.put(&format!("{PATH}/{name}"), widget(spec));
        self.arrived(name).await;
    }

    /// Waits until the mirror has seen the present version of the widget and the harness has settled. A change made
    /// directly in the server is not an own write, so that it is declared as one here.
    async fn arrived(&self, name: &str) {
        let object = self.api.get(&format!("{PATH}/{name}"));
        let version = object["metadata"]["resourceVersion"].as_str().unwrap();
        self.activity.wrote(ResourceKey::of::<Widget>(), version);
        self.settled().await;
    }

    async fn step_clock(&self, seconds: i64) {
        self.second.fetch_add(seconds, Ordering::SeqCst);
        self.clock.moved();
        self.settled().await;
    }

    fn status_writes(&self) -> usize {
        self.api.writes().iter().filter(|write| write.ends_with("/status")).count()
    }

    fn condition(&self, name: &str, condition: &str) -> Value {
        let object = self.api.get(&format!("{PATH}/{name}"));
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["type"] == condition).unwrap_or_default()
    }
}

fn widget(spec: Value) -> Value {
    json!({"apiVersion": "test.causeway.dev/v1", "kind": "Widget", "metadata": {}, "spec": spec})
}

fn with_widget(name: &str, spec: Value) -> fake_api::FakeApi {
    let api = fake_api::FakeApi::default();
    api.put(&format!("{PATH}/{name}"), widget(spec));
    api
}
