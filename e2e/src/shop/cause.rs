//! What goes wrong: data that sets causes only. What people then notice follows from the model.

use serde::{Deserialize, Serialize};

use super::rng::hash;
use super::topology::Topology;

/// A scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What happened, for people.
    pub title: String,
    /// Services that it may hit; the seed picks one of those that the topology has.
    pub services: Vec<String>,
    /// What is done to it.
    pub cause: Cause,
    /// Names that count as the right cause besides the service, such as a ConfigMap; `{service}` stands for the service.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Cause {
    /// A new image is rolled out; its tag says nothing.
    #[serde(rename_all = "camelCase")]
    Release {
        /// What it does.
        behaviour: Behaviour,
    },
    /// A value of a ConfigMap is changed.
    #[serde(rename_all = "camelCase")]
    Config {
        /// ConfigMap; `{service}` stands for the service.
        config_map: String,
        /// Key.
        key: String,
        /// New value.
        value: String,
    },
    /// More people come.
    #[serde(rename_all = "camelCase")]
    Demand {
        /// Journey; all when left out.
        #[serde(default)]
        journey: Option<String>,
        /// How many times as many.
        factor: f64,
        /// Seconds until they are all there.
        ramp: u64,
    },
    /// The running instances lose connections to stores for good, held by half-open sockets.
    #[serde(rename_all = "camelCase")]
    StuckConnections {
        /// Share of each pool that is left.
        left: f64,
    },
    /// One of the running instances goes bad.
    #[serde(rename_all = "camelCase")]
    Instance {
        /// What it does.
        behaviour: Behaviour,
    },
    /// Something else takes cores on the node where most of the service's pods run.
    #[serde(rename_all = "camelCase")]
    NodeNoise {
        /// Cores that it takes.
        cores: f64,
    },
    /// Kubernetes finds something wrong: the status of the service's Deployment, of one of its pods, or of that pod's node.
    #[serde(rename_all = "camelCase")]
    Status {
        /// Whose.
        of: Kind,
        /// Merged into the status; `{service}` stands for the service.
        status: serde_json::Value,
        /// A release is rolled out before.
        #[serde(default)]
        release: bool,
    },
    /// The volume of the service's pods fills.
    #[serde(rename_all = "camelCase")]
    Volume {
        /// Used share from now on, 0 to 1.
        used: f64,
    },
}

/// An object with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The service's Deployment.
    Deployment,
    /// One of its pods.
    Pod,
    /// The node of that pod.
    Node,
}

/// How an image, or an instance, differs from a good one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Behaviour {
    /// CPU time of a request, times this.
    #[serde(default = "one")]
    pub work: f64,
    /// Seconds that each request waits for nothing.
    #[serde(default)]
    pub wait: f64,
    /// Share of the requests that fail.
    #[serde(default)]
    pub errors: f64,
    /// What they raise, first line and frames.
    #[serde(default)]
    pub exception: Vec<String>,
}

fn one() -> f64 {
    1.0
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { work: 1.0, wait: 0.0, errors: 0.0, exception: Vec::new() }
    }
}

impl Scenario {
    /// The service that this seed picks; `None` when the topology has none of them.
    #[must_use]
    pub fn service(&self, topology: &Topology, seed: u64) -> Option<String> {
        let there: Vec<&String> = self.services.iter().filter(|s| topology.service(s).is_some()).collect();
        let at = hash(seed, &["victim"]) as usize % there.len().max(1);
        there.get(at).map(|s| (*s).clone())
    }

    /// Names that count as the right cause when it hits `service`.
    #[must_use]
    pub fn labels(&self, service: &str) -> Vec<String> {
        let mut labels: Vec<String> = self.labels.iter().map(|l| l.replace("{service}", service)).collect();
        labels.push(service.to_owned());
        labels
    }
}

impl Cause {
    /// The word for the summary.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Release { .. } => "release",
            Cause::Config { .. } => "config",
            Cause::Demand { .. } => "demand",
            Cause::StuckConnections { .. } => "stuck connections",
            Cause::Instance { .. } => "instance",
            Cause::NodeNoise { .. } => "node noise",
            Cause::Status { .. } => "status",
            Cause::Volume { .. } => "volume",
        }
    }

    /// Actions that are right about it, as Remediations name them.
    #[must_use]
    pub fn right_actions(&self) -> &'static [&'static str] {
        match self {
            Cause::Release { .. } => &["RolloutUndo"],
            Cause::Config { .. } => &["RevertConfigMap"],
            Cause::Demand { .. } => &["Scale", "SetHPABounds"],
            Cause::StuckConnections { .. } => &["RolloutRestart"],
            Cause::Instance { .. } => &["RolloutRestart", "DeletePod", "EvictPod"],
            Cause::NodeNoise { .. } => &["RolloutRestart", "EvictPod", "Drain"],
            Cause::Status { of: Kind::Node, .. } => &["Cordon", "Drain"],
            Cause::Status { of: Kind::Deployment, .. } => &["RolloutUndo", "PauseRollout"],
            Cause::Status { of: Kind::Pod, .. } => &["DeletePod", "PatchResources", "RolloutRestart"],
            Cause::Volume { .. } => &["RunJob"],
        }
    }
}
