//! The operator in this process on a real API server, with ports that the test holds.

use std::path::Path;
use std::sync::Arc;

use causeway_controllers::{Admission, Bundles, Context, Git, IncidentFeed, OperatorParts, Ports, run};
use causeway_kubekit::{Activity, Clock, ControllerMetrics};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::accounts::{OPERATOR, client, role};
use crate::world::{FakeAudit, FakeEngine, FakeGateway, notifications};

/// What a role works with, by its own account.
pub(crate) async fn context(admin: &Client, kubeconfig: &Value, name: &str, activity: &Activity) -> Context {
    Context {
        client: client(&role(admin, kubeconfig, name).await).await,
        activity: activity.clone(),
        clock: Clock::from_fn(Arc::new(Timestamp::now)),
        metrics: ControllerMetrics::detached(),
        instance: "test".to_owned(),
        admission: Admission::Policies { operator: OPERATOR.to_owned() },
        git: Git::default(),
    }
}

/// The operator in this process, with ports that the test holds.
pub(crate) struct Operator {
    pub(crate) engine: Arc<FakeEngine>,
    feed: IncidentFeed,
    pub(crate) activity: Activity,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    /// By its own account; `folder` takes the state of its notifications.
    pub(crate) async fn start(admin: &Client, kubeconfig: &Value, folder: &Path) -> Self {
        let activity = Activity::new();
        let context = context(admin, kubeconfig, "causeway-operator", &activity).await;
        Self::run(context, activity, folder, false)
    }

    /// With this context; `executes`: it carries repairs out as well.
    pub(crate) fn run(context: Context, activity: Activity, folder: &Path, executes: bool) -> Self {
        let ((feed, inbox), stop) = (IncidentFeed::new(), CancellationToken::new());
        let engine: Arc<FakeEngine> = Arc::default();
        engine.watermark.lock().unwrap().replace(Timestamp::now().as_microsecond());
        let ports = Ports {
            engine: engine.clone(),
            gateway: Arc::<FakeGateway>::default(),
            audit: Arc::<FakeAudit>::default(),
            bundles: Bundles::default(),
        };
        let parts = OperatorParts { ports, inbox, notifications: notifications(folder), executes };
        let task = tokio::spawn(run(context, parts, stop.clone()));
        Self { engine, feed, activity, stop, task }
    }

    /// Tells of an incident as the engine has it.
    pub(crate) fn tell(&self, news: causeway_engine::Incident) {
        self.engine.incidents.lock().unwrap().insert(news.fingerprint.clone(), news.clone());
        self.feed.publish(news, self.activity.busy());
    }

    /// Lets the time of the data go ahead of the clock.
    pub(crate) fn ahead(&self, us: i64) {
        let mut watermark = self.engine.watermark.lock().unwrap();
        let now = watermark.unwrap_or_default() + us;
        watermark.replace(now);
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
