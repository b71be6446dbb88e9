//! One reconcile of one object: the five steps, then the status.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{PostParams, Request};
use kube::{Client, Resource, ResourceExt};
use tokio::time::Instant;

use crate::activity::{Activity, ResourceKey};
use crate::clock::Clock;
use crate::conditions::{Progress, Statement};
use crate::error::{Category, ReconcileError, error_chain};
use crate::events::{Events, Occurrence};
use crate::key::ObjectKey;
use crate::metrics::{ControllerLabel, ControllerMetrics, ErrorLabel, Outcome, OutcomeLabel};
use crate::mirror::Mirror;
use crate::reconciler::{Reconciler, Report, Requeue, StatusOf};
use crate::status::{Changed, changed};

/// What one reconcile needs besides the object.
pub(crate) struct Pass<R: Reconciler> {
    pub(crate) reconciler: Arc<R>,
    pub(crate) mirror: Mirror<R::Kind>,
    pub(crate) client: Client,
    pub(crate) activity: Activity,
    pub(crate) clock: Clock,
    pub(crate) metrics: ControllerMetrics,
    pub(crate) events: Events,
}

/// How one reconcile ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// When to look again, or why it failed.
    pub(crate) result: Result<Requeue, Category>,
    /// Version that the status write led to; `None` when nothing was written.
    pub(crate) own_version: Option<String>,
}

/// What the steps want to be written.
struct Wanted<S> {
    status: Option<S>,
    progress: Progress,
    conditions: Option<Vec<Statement>>,
    occurrences: Vec<Occurrence>,
}

impl<R: Reconciler> Pass<R> {
    /// Reconciles the object if it is (still) there.
    pub(crate) async fn run(self: Arc<Self>, key: ObjectKey) -> Done {
        let Some(object) = self.mirror.get(&key) else {
            return Done { result: Ok(Requeue::OnChange), own_version: None };
        };
        if object.meta().deletion_timestamp.is_some() {
            return Done { result: Ok(Requeue::OnChange), own_version: None };
        }
        if self.reconciler.suspended(&object) {
            self.count(Outcome::Suspended);
            return Done { result: Ok(Requeue::OnChange), own_version: None };
        }
        let begun = Instant::now();
        let done = self.reconcile(&object).await;
        let label = ControllerLabel { controller: R::NAME };
        self.metrics.duration.get_or_create(&label).observe(begun.elapsed().as_secs_f64());
        match done.result {
            Ok(_) => self.count(Outcome::Succeeded),
            Err(category) => self.count_error(category),
        }
        done
    }

    /// Counts an error of this controller.
    pub(crate) fn count_error(&self, category: Category) {
        self.count(Outcome::Failed);
        self.metrics.errors.get_or_create(&ErrorLabel { controller: R::NAME, category }).inc();
    }

    fn count(&self, outcome: Outcome) {
        self.metrics.reconciles.get_or_create(&OutcomeLabel { controller: R::NAME, outcome }).inc();
    }

    async fn reconcile(&self, object: &R::Kind) -> Done {
        let now = self.clock.now();
        let (result, wanted) = match self.steps(object, now).await {
            Ok(report) => {
                let wanted = Wanted {
                    status: Some(report.status),
                    progress: report.progress,
                    conditions: Some(report.conditions),
                    occurrences: report.occurrences,
                };
                (Ok(report.requeue), wanted)
            }
            Err(error) => (Err(error.category()), self.failure(object, &error, now)),
        };
        match self.write(object, wanted, now).await {
            Ok(own_version) => Done { result, own_version },
            Err(category) => Done { result: Err(category), own_version: None },
        }
    }

    async fn steps(&self, object: &R::Kind, now: Timestamp) -> Result<Report<StatusOf<R::Kind>>, R::Error> {
        let inputs = self.reconciler.dereference(object).await?;
        let valid = self.reconciler.validate(object, inputs, now)?;
        let built = self.reconciler.build(object, valid, now)?;
        let applied = self.reconciler.apply(object, built, now).await?;
        Ok(self.reconciler.update_status(object, applied, now))
    }

    fn failure(&self, object: &R::Kind, error: &R::Error, now: Timestamp) -> Wanted<StatusOf<R::Kind>> {
        let (category, reason, message) = (error.category(), error.reason(), error_chain(error));
        let key = ObjectKey::of(object);
        tracing::warn!(controller = R::NAME, object = %key, category = category.as_str(), error = message, "reconcile failed");
        let progress = if category.is_terminal() {
            Progress::stalled(reason, message)
        } else {
            Progress::Retrying { reason: reason.to_owned(), message }
        };
        let status = self.reconciler.status_on_error(object, error, now);
        Wanted { status, progress, conditions: None, occurrences: Vec::new() }
    }

    /// Writes the status if it changed, then publishes what happened. Returns the new version if it wrote.
    async fn write(
        &self,
        object: &R::Kind,
        wanted: Wanted<StatusOf<R::Kind>>,
        now: Timestamp,
    ) -> Result<Option<String>, Category> {
        let Wanted { status, progress, conditions, occurrences } = wanted;
        let changed = changed(object, status, &progress, conditions.as_deref(), now).map_err(|error| {
            tracing::error!(controller = R::NAME, %error, "status can't be written as JSON");
            Category::Internal
        })?;
        let Some(Changed { object: fresh, ready_changed }) = changed else { return Ok(None) };
        let Some(written) = self.replace_status(&fresh).await? else { return Ok(None) };
        self.metrics.status_writes.get_or_create(&ControllerLabel { controller: R::NAME }).inc();
        let version = written.resource_version();
        if let Some(version) = &version {
            self.activity.wrote(ResourceKey::of::<R::Kind>(), version);
        }
        self.mirror.absorb(written);
        let reference = object.object_ref(&());
        if ready_changed {
            self.events.publish(&ready_occurrence(&progress), &reference).await;
        }
        for occurrence in &occurrences {
            self.events.publish(occurrence, &reference).await;
        }
        Ok(version)
    }

    /// PUT of the status: the object's resource version makes it a compare-and-swap. `None` when the object is gone.
    async fn replace_status(&self, object: &R::Kind) -> Result<Option<R::Kind>, Category> {
        let params = PostParams { field_manager: Some(R::NAME.to_owned()), ..PostParams::default() };
        let name = object.name_any();
        let body = serde_json::to_vec(object).map_err(|_| Category::Internal)?;
        // By path, because `Api` would want to know the kind's scope at compile time.
        let request = Request::new(R::Kind::url_path(&(), object.meta().namespace.as_deref()))
            .replace_subresource("status", &name, &params, body)
            .map_err(|_| Category::Internal)?;
        match self.client.request::<R::Kind>(request).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => {
                let category = Category::of(&error);
                if category != Category::Conflict {
                    let key = ObjectKey::of(object);
                    tracing::warn!(controller = R::NAME, object = %key, %error, "status was not written");
                }
                Err(category)
            }
        }
    }
}

fn ready_occurrence(progress: &Progress) -> Occurrence {
    match progress {
        Progress::Ready { reason, message } | Progress::Reconciling { reason, message } => {
            Occurrence::normal(reason, message)
        }
        Progress::Retrying { reason, message } | Progress::Stalled { reason, message } => {
            Occurrence::warning(reason, message)
        }
    }
}
