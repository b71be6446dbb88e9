//! What goes wrong: data that sets causes only. What people then notice follows from the model.

use serde::Deserialize;

use super::rng::hash;
use super::topology::Topology;

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Cause {
    /// A new image is rolled out; its tag says nothing.
    Release {
        /// What it does.
        behaviour: Behaviour,
    },
    /// A value of a ConfigMap is changed.
    Config {
        /// ConfigMap; `{service}` stands for the service.
        config_map: String,
        /// Key.
        key: String,
        /// New value.
        value: String,
    },
    /// More people come.
    Demand {
        /// Journey; all when left out.
        journey: Option<String>,
        /// How many times as many.
        factor: f64,
        /// Seconds until they are all there.
        ramp: u64,
    },
    /// The running instances lose connections to stores for good, held by half-open sockets.
    StuckConnections {
        /// Share of each pool that is left.
        left: f64,
    },
    /// One of the running instances goes bad.
    Instance {
        /// What it does.
        behaviour: Behaviour,
    },
    /// Something else takes cores on the node where most of the service's pods run.
    NodeNoise {
        /// Cores that it takes.
        cores: f64,
    },
    /// Kubernetes finds something wrong: the status of the service's Deployment, of one of its pods, or of that pod's node.
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
    Volume {
        /// Used share from now on, 0 to 1.
        used: f64,
    },
}

/// An object with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// The service's Deployment.
    Deployment,
    /// One of its pods.
    Pod,
    /// The node of that pod.
    Node,
}

/// How an image, or an instance, differs from a good one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// CPU time of a request, times this.
    pub work: f64,
    /// Seconds that each request waits for nothing.
    pub wait: f64,
    /// Share of the requests that fail.
    pub errors: f64,
    /// What they raise, first line and frames.
    pub exception: Vec<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { work: 1.0, wait: 0.0, errors: 0.0, exception: Vec::new() }
    }
}

/// What a cause changes in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The image of a Deployment.
    Image {
        /// Service.
        service: String,
        /// New tag.
        tag: String,
    },
    /// A value of a ConfigMap.
    Config {
        /// Name.
        config_map: String,
        /// Key.
        key: String,
        /// New value.
        value: String,
    },
    /// Something that is no part of the shop takes what a node has left.
    Crowd {
        /// Node.
        node: String,
    },
    /// The status of an object, after a release where there is one.
    Status {
        /// Whose.
        of: Kind,
        /// Its name.
        name: String,
        /// What is merged into it.
        status: serde_json::Value,
        /// Service and tag of the release.
        image: Option<(String, String)>,
    },
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
