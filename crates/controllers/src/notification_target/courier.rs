//! One task a target: it delivers in order, and keeps what was sent in a file.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use causeway_crds::{Incident, NotificationTarget};
use causeway_kubekit::{Activity, Busy, Clock, ObjectKey, Triggers};
use causeway_notify::{NotifyError, Pause, Target, TargetState};
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::notice;
use crate::context::Notifications;
use crate::mirrors::Mirrors;

enum Parcel {
    /// Deliver with this from now on.
    Configure(Box<Target>),
    /// An incident has news.
    Incident(ObjectKey),
    /// Look whether something that was held back or failed is due.
    Nudge,
}

/// The account of a target's work: a token for each parcel, unless a delivery is being retried, so that a receiver that
/// is down never keeps the process from being settled for longer than its first try.
#[derive(Clone, Default)]
pub(super) struct Lane(Arc<Mutex<LaneState>>);

#[derive(Default)]
struct LaneState {
    tokens: VecDeque<Busy>,
    is_retrying: bool,
    last_error: Option<String>,
    next_look: Option<Timestamp>,
}

impl Lane {
    fn begin(&self, activity: &Activity) {
        let mut lane = self.0.lock();
        if !lane.is_retrying {
            lane.tokens.push_back(activity.busy());
        }
    }

    fn end(&self) {
        let mut lane = self.0.lock();
        lane.is_retrying = false;
        drop(lane.tokens.pop_front());
    }

    /// Waits between two tries without counting as work.
    pub(super) fn pause(&self) -> Pause {
        let lane = self.clone();
        Pause::custom(move |duration| {
            {
                let mut state = lane.0.lock();
                state.is_retrying = true;
                state.tokens.clear();
            }
            Box::pin(tokio::time::sleep(duration))
        })
    }
}

struct Route {
    sender: UnboundedSender<Parcel>,
    lane: Lane,
    /// What the target was made of; texts that hold secrets are digested.
    made_of: String,
}

/// All couriers; clones share them.
#[derive(Clone)]
pub(crate) struct Couriers {
    shared: Arc<Shared>,
}

struct Shared {
    routes: Mutex<HashMap<ObjectKey, Route>>,
    triggers: Mutex<Option<Triggers<NotificationTarget>>>,
    mirrors: Mirrors,
    activity: Activity,
    clock: Clock,
    settings: Notifications,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How a target fares.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) last_error: Option<String>,
    pub(super) next_look: Option<Timestamp>,
}

impl Couriers {
    pub(crate) fn new(
        mirrors: Mirrors,
        activity: &Activity,
        clock: &Clock,
        settings: Notifications,
        stop: CancellationToken,
    ) -> Self {
        let shared = Shared {
            routes: Mutex::default(),
            triggers: Mutex::default(),
            mirrors,
            activity: activity.clone(),
            clock: clock.clone(),
            settings,
            tasks: TaskTracker::new(),
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Says whom to tell when a target's health changed.
    pub(crate) fn report_to(&self, triggers: Triggers<NotificationTarget>) {
        *self.shared.triggers.lock() = Some(triggers);
    }

    pub(super) fn settings(&self) -> &Notifications {
        &self.shared.settings
    }

    /// Tells every target of the incident's namespace; quick.
    pub(crate) fn announce(&self, incident: &Incident) {
        let key = ObjectKey::of(incident);
        for (target, route) in self.shared.routes.lock().iter() {
            if target.namespace == key.namespace {
                route.send(Parcel::Incident(key.clone()), &self.shared.activity);
            }
        }
    }

    /// Makes the target that `make` gives, if what it is made of has changed; else looks whether something is due.
    pub(super) fn configure(
        &self,
        key: &ObjectKey,
        made_of: &str,
        make: impl FnOnce(&Lane) -> Result<Target, NotifyError>,
    ) -> Result<Health, NotifyError> {
        let mut routes = self.shared.routes.lock();
        let now = self.shared.clock.now();
        if let Some(route) = routes.get(key).filter(|route| route.made_of == made_of) {
            let health = route.health();
            if health.next_look.is_some_and(|next| next <= now) {
                route.send(Parcel::Nudge, &self.shared.activity);
            }
            return Ok(health);
        }
        let lane = routes.get(key).map(|route| route.lane.clone()).unwrap_or_default();
        let target = Box::new(make(&lane)?);
        let route = routes.entry(key.clone()).or_insert_with(|| self.spawn(key, &lane));
        made_of.clone_into(&mut route.made_of);
        route.send(Parcel::Configure(target), &self.shared.activity);
        let namespace = key.namespace.clone().unwrap_or_default();
        for incident in self.shared.mirrors.incidents.list_in(&namespace) {
            route.send(Parcel::Incident(ObjectKey::of(incident.as_ref())), &self.shared.activity);
        }
        Ok(route.health())
    }

    /// Ends the courier of a target; what it was told stays in its file.
    pub(super) fn dismiss(&self, key: &ObjectKey) {
        drop(self.shared.routes.lock().remove(key));
    }

    /// Waits until all couriers have ended.
    pub(crate) async fn ended(&self) {
        self.shared.routes.lock().clear();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn spawn(&self, key: &ObjectKey, lane: &Lane) -> Route {
        let (sender, receiver) = mpsc::unbounded_channel();
        let file = format!("{}.{}.json", key.namespace.as_deref().unwrap_or_default(), key.name);
        let courier = Courier {
            key: key.clone(),
            shared: Arc::clone(&self.shared),
            lane: lane.clone(),
            file: self.shared.settings.state.join(file),
            target: None,
        };
        self.shared.tasks.spawn(courier.run(receiver));
        Route { sender, lane: lane.clone(), made_of: String::new() }
    }
}

impl Route {
    fn send(&self, parcel: Parcel, activity: &Activity) {
        self.lane.begin(activity);
        if self.sender.send(parcel).is_err() {
            self.lane.end();
        }
    }

    fn health(&self) -> Health {
        let lane = self.lane.0.lock();
        Health { last_error: lane.last_error.clone(), next_look: lane.next_look }
    }
}

struct Courier {
    key: ObjectKey,
    shared: Arc<Shared>,
    lane: Lane,
    file: PathBuf,
    target: Option<Box<Target>>,
}

impl Courier {
    async fn run(mut self, mut receiver: UnboundedReceiver<Parcel>) {
        let mut state = load(&self.file).await;
        let stop = self.shared.stop.clone();
        loop {
            let parcel = tokio::select! {
                () = stop.cancelled() => break,
                parcel = receiver.recv() => match parcel {
                    Some(parcel) => parcel,
                    None => break,
                },
            };
            let before = state.clone();
            tokio::select! {
                // What was not delivered is not in the state, so that it is told after the next start.
                () = stop.cancelled() => break,
                () = self.handle(parcel, &mut state) => {}
            }
            if state != before
                && let Err(error) = save(&self.file, &state).await
            {
                tracing::error!(target_name = %self.key, %error, "what was sent can't be kept: it may be sent again after a restart");
            }
            self.lane.end();
        }
        self.lane.0.lock().tokens.clear();
    }

    async fn handle(&mut self, parcel: Parcel, state: &mut TargetState) {
        let now = self.shared.clock.now();
        let mut failure = None;
        match parcel {
            Parcel::Configure(target) => {
                if self.target.replace(target).is_some() {
                    state.forget_failures();
                }
                return;
            }
            Parcel::Incident(key) => match self.deliver(&key, state, now).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => failure = Some(error),
            },
            Parcel::Nudge => {
                let namespace = self.key.namespace.clone().unwrap_or_default();
                for incident in self.shared.mirrors.incidents.list_in(&namespace) {
                    if let Some(Err(error)) =
                        self.deliver(&ObjectKey::of(incident.as_ref()), state, now).await
                    {
                        failure = Some(error);
                    }
                }
                if let Some(target) = &self.target
                    && let Err(error) = target.flush_digest(state, now).await
                {
                    failure = Some(error);
                }
            }
        }
        self.tell_health(failure, state);
    }

    /// `None` when there was nothing to say, so that nothing is known about the receiver either.
    async fn deliver(
        &self,
        key: &ObjectKey,
        state: &mut TargetState,
        now: Timestamp,
    ) -> Option<Result<(), NotifyError>> {
        let target = self.target.as_ref()?;
        let incident = self.shared.mirrors.incidents.get(key)?;
        if incident.spec.silence_until.as_ref().is_some_and(|until| until.0 > now) {
            return None;
        }
        let console = self.shared.settings.console.as_deref();
        let notice = notice::of(&incident, &self.shared.mirrors, console, now)?;
        use causeway_notify::Outcome::{Edited, Filtered, HeldBack, Sent, Unchanged};
        match target.deliver(&notice, state, now).await {
            Ok(Sent | Edited | HeldBack) => Some(Ok(())),
            Ok(Unchanged | Filtered) => None,
            Err(error) => {
                tracing::warn!(target_name = %self.key, incident = incident.name_any(), %error, "notification failed");
                Some(Err(error))
            }
        }
    }

    fn tell_health(&self, failure: Option<NotifyError>, state: &TargetState) {
        let error = failure.map(|error| error.to_string());
        let digest = self.target.as_ref().and_then(|target| target.next_digest(state));
        let next_look = [state.next_retry(), digest].into_iter().flatten().min();
        let changed = {
            let mut lane = self.lane.0.lock();
            let changed = lane.last_error != error || lane.next_look != next_look;
            lane.last_error = error;
            lane.next_look = next_look;
            changed
        };
        if changed && let Some(triggers) = self.shared.triggers.lock().as_ref() {
            triggers.trigger(self.key.clone());
        }
    }
}

/// What a target was sent; nothing when the file is missing, and when it can't be read, which is logged.
async fn load(file: &Path) -> TargetState {
    match tokio::fs::read(file).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(file = %file.display(), %error, "what was sent can't be read: messages begin anew");
            TargetState::default()
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => TargetState::default(),
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "what was sent can't be read: messages begin anew");
            TargetState::default()
        }
    }
}

/// Replaces the file at once, so that a crash leaves the old or the new state.
async fn save(file: &Path, state: &TargetState) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let bytes = serde_json::to_vec(state).map_err(std::io::Error::other)?;
    let fresh = file.with_extension("json.new");
    tokio::fs::write(&fresh, bytes).await?;
    tokio::fs::rename(&fresh, file).await
}
