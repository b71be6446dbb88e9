//! What all controllers of a process share.

use std::path::PathBuf;

use causeway_gitops::Git;
use causeway_kubekit::{Activity, Clock, ControllerMetrics};
use causeway_notify::{NotifyMetrics, RetryPolicy};
use kube::Client;

use crate::admission::Admission;
use crate::feed::IncidentInbox;
use crate::ports::Ports;

/// What controllers of every role need.
#[derive(Clone)]
pub struct Context {
    /// Client for everything; [`crate::run()`] and [`crate::run_executor()`] add the layer that notes writes.
    pub client: Client,
    /// Account of work in progress.
    pub activity: Activity,
    /// Clock.
    pub clock: Clock,
    /// Metrics of the harness.
    pub metrics: ControllerMetrics,
    /// Name of this process in events.
    pub instance: String,
    /// What keeps the admission rules. While they do not stand as shipped, autonomy is capped at Suggest and no Approval
    /// counts.
    pub admission: Admission,
    /// How `git` is run, where this process is the executor.
    pub git: Git,
}

/// What the operator needs besides.
pub struct OperatorParts {
    /// Engine, gateway and audit log.
    pub ports: Ports,
    /// Incidents from the engine.
    pub inbox: IncidentInbox,
    /// How notifications are delivered.
    pub notifications: Notifications,
    /// Whether this process also is the executor.
    pub executes: bool,
}

/// How notifications are delivered.
#[derive(Clone)]
pub struct Notifications {
    /// Folder with what each target was sent, one file a target.
    pub state: PathBuf,
    /// Folder for messages that did not arrive.
    pub dead_letters: PathBuf,
    /// Retries of one message, unless the target says otherwise.
    pub retry: RetryPolicy,
    /// Counters.
    pub metrics: NotifyMetrics,
    /// URL of the console, for links; without a slash at the end.
    pub console: Option<String>,
}
