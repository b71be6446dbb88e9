//! The process's `now`: wall time, or the time that a replay steps to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use causeway_kubekit::{Activity, ResourceKey};
use causeway_model::{BoxFuture, Clock, Micros};
use clap::{Args, ValueEnum};
use serde::Deserialize;

/// How long a step of the clock waits for everything to settle.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

/// Arguments of a process's clock.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ClockArguments {
    /// Where the time of decisions comes from
    #[arg(long, value_enum, default_value_t)]
    pub(crate) clock: ClockMode,
    /// First time of a stepped clock
    #[arg(long)]
    now: Option<jiff::Timestamp>,
}

impl ClockArguments {
    /// The clock that is asked for.
    pub(crate) fn start(&self) -> Arc<ProcessClock> {
        ProcessClock::new(self.clock, self.now)
    }
}

/// Where `now` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockMode {
    /// The machine's clock
    #[default]
    Wall,
    /// Set through the API, for replays
    Stepped,
}

/// One clock for all roles of the process.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    stepped: Option<AtomicI64>,
}

impl ProcessClock {
    /// A clock; a stepped one starts at `first`, or else at the machine's time.
    pub(crate) fn new(mode: ClockMode, first: Option<jiff::Timestamp>) -> Arc<Self> {
        let first = first.map_or_else(machine_us, jiff::Timestamp::as_microsecond);
        let stepped = (mode == ClockMode::Stepped).then(|| AtomicI64::new(first));
        Arc::new(Self { stepped })
    }

    /// Steps to a later time. `None` when the clock is not stepped; going back is ignored.
    pub(crate) fn step(&self, now_us: Micros) -> Option<Micros> {
        let clock = self.stepped.as_ref()?;
        Some(clock.fetch_max(now_us, Ordering::SeqCst).max(now_us))
    }

    /// The clock of controllers.
    pub(crate) fn for_controllers(self: &Arc<Self>) -> causeway_kubekit::Clock {
        let clock = Arc::clone(self);
        causeway_kubekit::Clock::from_fn(Arc::new(move || clock.timestamp()))
    }

    /// `now` for controllers.
    pub(crate) fn timestamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.now_us()).unwrap_or_default()
    }
}

impl Clock for ProcessClock {
    fn now_us(&self) -> Micros {
        self.stepped.as_ref().map_or_else(machine_us, |clock| clock.load(Ordering::SeqCst))
    }
}

/// A step, as a replay asks for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    /// The time from now on.
    pub(crate) now: jiff::Timestamp,
    /// Versions that mirrors have to have seen of our kinds before the process counts as settled, by plural: what other
    /// processes have written.
    #[serde(default)]
    seen: BTreeMap<String, String>,
}

impl Step {
    /// Makes the process wait for what others wrote.
    pub(crate) fn note(&self, activity: &Activity) {
        for (plural, version) in &self.seen {
            let key = ResourceKey { group: causeway_crds::GROUP.to_owned(), plural: plural.clone() };
            activity.wrote(key, version);
        }
    }
}

/// What follows a step in a role; a text says why it did not settle.
pub(crate) type Moved = Arc<dyn Fn(Step) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// `POST /clock` beside metrics and health, where the clock is stepped: moves it, and answers when everything that `moved`
/// begins is done.
pub(crate) fn router(clock: &Arc<ProcessClock>, moved: Moved) -> Router {
    if clock.stepped.is_none() {
        return Router::new();
    }
    Router::new().route("/clock", post(step)).with_state((Arc::clone(clock), moved))
}

async fn step(
    State((clock, moved)): State<(Arc<ProcessClock>, Moved)>,
    Json(step): Json<Step>,
) -> (StatusCode, String) {
    clock.step(step.now.as_microsecond());
    match tokio::time::timeout(SETTLE, moved(step)).await {
        Ok(Ok(())) => (StatusCode::OK, String::new()),
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, why),
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, format!("not settled after {SETTLE:?}")),
    }
}

fn machine_us() -> Micros {
    jiff::Timestamp::now().as_microsecond()
}
