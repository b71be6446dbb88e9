//! Runs a [`Reconciler`]: queue, concurrency, backoff, triggers, clock and shutdown.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Busy};
use crate::backoff::Backoff;
use crate::clock::{Clock, Listening};
use crate::error::Category;
use crate::events::{Events, Occurrence};
use crate::key::ObjectKey;
use crate::metrics::{ControllerLabel, ControllerMetrics};
use crate::mirror::{Change, Mirror};
use crate::pass::{Done, Pass};
use crate::queue::Queue;
use crate::reconciler::{Reconciler, Requeue};

/// Conflicts in a row that are retried soon; after that they back off like any failure.
const QUICK_CONFLICTS: u32 = 5;

/// What all controllers of a process share.
#[derive(Clone)]
pub struct Runtime {
    /// Client for status writes and events.
    pub client: Client,
    /// Account of work in progress.
    pub activity: Activity,
    /// Clock for condition times and [`Requeue::At`].
    pub clock: Clock,
    /// Metrics of the harness.
    pub metrics: ControllerMetrics,
    /// Name of this process in events, for example the pod's name.
    pub instance: String,
}

/// Settings of one controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Objects reconciled at the same time; at least 1.
    pub concurrency: usize,
    /// Delay between retries of one object.
    pub backoff: Backoff,
    /// How long running reconciles may go on after the stop.
    pub drain: Duration,
}

impl Default for ControllerConfig {
    /// Four at a time, backoff from 1 s to 5 min, ten seconds to drain.
    fn default() -> Self {
        Self { concurrency: 4, backoff: Backoff::default(), drain: Duration::from_secs(10) }
    }
}

enum Message<K> {
    Changed { key: ObjectKey, version: Option<String>, busy: Busy },
    Deleted { object: Arc<K>, busy: Busy },
    Invalid { occurrence: Occurrence, about: Box<k8s_openapi::api::core::v1::ObjectReference>, busy: Busy },
    Trigger { key: ObjectKey, busy: Busy },
    ClockMoved(Busy),
}

/// Asks a controller to reconcile objects for reasons outside its kind; clones share the controller.
pub struct Triggers<K> {
    sender: UnboundedSender<Message<K>>,
    activity: Activity,
}

impl<K> Clone for Triggers<K> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), activity: self.activity.clone() }
    }
}

impl<K> Triggers<K> {
    /// Queues an object; it counts as work when this returns. Objects that don't exist are ignored, and so is
    /// everything after the controller has ended.
    pub fn trigger(&self, key: impl Into<ObjectKey>) {
        // A failed send means that nobody is there to reconcile any more.
        drop(self.sender.send(Message::Trigger { key: key.into(), busy: self.activity.busy() }));
    }
}

/// A reconciler with everything it needs to run.
pub struct Controller<R: Reconciler> {
    pass: Arc<Pass<R>>,
    config: ControllerConfig,
    sender: UnboundedSender<Message<R::Kind>>,
    receiver: UnboundedReceiver<Message<R::Kind>>,
    /// From the start until the first look at the mirror, the process is not settled.
    starting: Busy,
    /// Mirrors that have to be complete before the first reconcile.
    needed: Vec<watch::Receiver<bool>>,
}

impl<R: Reconciler> Controller<R> {
    /// Makes a controller over the objects in `mirror`, which somebody else runs. Until [`Controller::run`] looks at
    /// them, it counts as work in progress.
    #[must_use]
    pub fn new(reconciler: R, mirror: Mirror<R::Kind>, runtime: &Runtime, config: ControllerConfig) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let pass = Pass {
            reconciler: Arc::new(reconciler),
            mirror,
            client: runtime.client.clone(),
            activity: runtime.activity.clone(),
            clock: runtime.clock.clone(),
            metrics: runtime.metrics.clone(),
            events: Events::new(runtime.client.clone(), R::NAME, &runtime.instance),
        };
        let starting = runtime.activity.busy();
        let needed = vec![pass.mirror.sync_signal()];
        Self { pass: Arc::new(pass), config, sender, receiver, starting, needed }
    }

    /// A handle that asks for reconciles.
    #[must_use]
    pub fn triggers(&self) -> Triggers<R::Kind> {
        Triggers { sender: self.sender.clone(), activity: self.pass.activity.clone() }
    }

    /// Holds the first reconcile back until `mirror`, which the reconciler reads, is complete.
    #[must_use]
    pub fn needs<W>(mut self, mirror: &Mirror<W>) -> Self
    where
        W: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.needed.push(mirror.sync_signal());
        self
    }

    /// Like [`Controller::needs`]; and reconciles the objects that `related` names whenever an object of another kind changes. `related` runs in the
    /// watch's task: it must be quick.
    #[must_use]
    pub fn watch<W>(self, mirror: &Mirror<W>, related: impl Fn(&W) -> Vec<ObjectKey> + Send + 'static) -> Self
    where
        W: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (sender, activity) = (self.sender.clone(), self.pass.activity.clone());
        mirror.subscribe(move |change| {
            let (Change::Applied(object) | Change::Deleted(object)) = change else { return Listening::Yes };
            for key in related(object) {
                if sender.send(Message::Trigger { key, busy: activity.busy() }).is_err() {
                    return Listening::No;
                }
            }
            if sender.is_closed() { Listening::No } else { Listening::Yes }
        });
        self.needs(mirror)
    }

    /// Runs until `stop`, then lets running reconciles end within the drain time. Dropping the future instead cuts
    /// them off at once, which is right after a lost lease.
    pub async fn run(self, stop: CancellationToken) {
        let Self { pass, config, sender, receiver, starting, needed } = self;
        pass.clock.on_moved({
            let (sender, activity) = (sender.clone(), pass.activity.clone());
            move || match sender.send(Message::ClockMoved(activity.busy())) {
                Ok(()) => Listening::Yes,
                Err(_) => Listening::No,
            }
        });
        pass.mirror.subscribe(listen(sender.clone(), pass.activity.clone()));
        drop(starting);
        tokio::select! {
            () = stop.cancelled() => return,
            () = complete(needed) => {}
        }
        let work = Work {
            pass,
            config,
            queue: Queue::default(),
            running: JoinSet::new(),
            keys: HashMap::new(),
            events: JoinSet::new(),
        };
        // `sender` stays alive, so that the channel is never closed from that side.
        work.run(receiver, stop).await;
        drop(sender);
    }
}

async fn complete(mirrors: Vec<watch::Receiver<bool>>) {
    for mut synced in mirrors {
        // A mirror that is gone will never be complete, and nobody can wait for it either.
        synced.wait_for(|synced| *synced).await.map(drop).unwrap_or_default();
    }
}

fn listen<K>(
    sender: UnboundedSender<Message<K>>,
    activity: Activity,
) -> impl Fn(&Change<K>) -> Listening + Send + 'static
where
    K: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    move |change| {
        let busy = activity.busy();
        let message = match change {
            Change::Applied(object) => Message::Changed {
                key: ObjectKey::of(object.as_ref()),
                version: object.resource_version(),
                busy,
            },
            Change::Deleted(object) => Message::Deleted { object: Arc::clone(object), busy },
            Change::Invalid { reference, error } => Message::Invalid {
                occurrence: Occurrence::warning(Category::InvalidObject.as_str(), error),
                about: Box::new(reference.clone()),
                busy,
            },
        };
        if sender.send(message).is_err() { Listening::No } else { Listening::Yes }
    }
}

/// The running controller; one task owns it, so that nothing needs a lock.
struct Work<R: Reconciler> {
    pass: Arc<Pass<R>>,
    config: ControllerConfig,
    queue: Queue,
    running: JoinSet<Done>,
    keys: HashMap<Id, ObjectKey>,
    events: JoinSet<()>,
}

impl<R: Reconciler> Work<R> {
    async fn run(mut self, mut receiver: UnboundedReceiver<Message<R::Kind>>, stop: CancellationToken) {
        loop {
            self.release_due();
            self.start_ready();
            let wait = self.queue.until_next(Instant::now(), self.pass.clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                Some(message) = receiver.recv() => self.handle(message),
                Some(_) = self.events.join_next() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
        drop(receiver);
        let drained = async {
            while self.running.join_next().await.is_some() {}
            while self.events.join_next().await.is_some() {}
        };
        if tokio::time::timeout(self.config.drain, drained).await.is_err() {
            tracing::warn!(controller = R::NAME, "reconciles were cut off at the drain deadline");
        }
    }

    fn handle(&mut self, message: Message<R::Kind>) {
        match message {
            Message::Changed { key, version, busy } => self.queue.changed(key, version, busy),
            Message::Trigger { key, busy } => self.queue.push(key, busy),
            Message::Deleted { object, busy } => {
                self.queue.forget(&ObjectKey::of(object.as_ref()));
                self.pass.reconciler.forget(&object);
                drop(busy);
            }
            Message::Invalid { occurrence, about, busy } => {
                self.pass.count_error(Category::InvalidObject);
                tracing::warn!(controller = R::NAME, object = ?about.name, error = occurrence.note, "object is invalid");
                let events = self.pass.events.clone();
                self.events.spawn(async move {
                    events.publish(&occurrence, &about).await;
                    drop(busy);
                });
            }
            Message::ClockMoved(busy) => {
                self.release_due();
                drop(busy);
            }
        }
    }

    fn release_due(&mut self) {
        let activity = self.pass.activity.clone();
        self.queue.release_due(Instant::now(), self.pass.clock.now(), || activity.busy());
    }

    fn start_ready(&mut self) {
        while self.running.len() < self.config.concurrency.max(1) {
            let Some(key) = self.queue.pop() else { break };
            let task = self.running.spawn(Arc::clone(&self.pass).run(key.clone()));
            self.keys.insert(task.id(), key);
        }
        let queued = i64::try_from(self.queue.len()).unwrap_or(i64::MAX);
        self.pass.metrics.queued.get_or_create(&ControllerLabel { controller: R::NAME }).set(queued);
    }

    fn ended(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(controller = R::NAME, %error, "reconcile panicked");
                self.pass.count_error(Category::Internal);
                (error.id(), Done { result: Err(Category::Internal), own_version: None })
            }
        };
        let Some(key) = self.keys.remove(&id) else { return };
        let busy = self.queue.finish(&key, done.own_version);
        match done.result {
            Ok(requeue) => {
                self.queue.succeeded(&key);
                self.look_again(&key, requeue);
            }
            Err(category) => self.retry(&key, category),
        }
        // Only now, so that the process does not look settled between the end of one try and the next.
        drop(busy);
    }

    fn look_again(&mut self, key: &ObjectKey, requeue: Requeue) {
        match requeue {
            Requeue::OnChange => {}
            Requeue::Now => self.queue.push(key.clone(), self.pass.activity.busy()),
            Requeue::After(delay) => self.queue.wake_at_instant(key, Instant::now() + delay),
            Requeue::At(time) => self.queue.wake_at_time(key, time),
        }
    }

    fn retry(&mut self, key: &ObjectKey, category: Category) {
        let failures = self.queue.failed(key);
        if category.is_terminal() {
            return;
        }
        if category == Category::Conflict && failures <= QUICK_CONFLICTS {
            // There is a newer version, so that the watch will tell; a conflict about another object is tried again
            // after the shortest delay.
            let latest = Instant::now() + self.config.backoff.delay(1, rand::random());
            self.queue.expect_change(key, latest, self.pass.activity.busy());
            return;
        }
        let delay = self.config.backoff.delay(failures, rand::random());
        self.queue.wake_at_instant(key, Instant::now() + delay);
    }
}
