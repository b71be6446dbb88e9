//! One mirror a kind, shared by all controllers.

use std::fmt::Debug;

use causeway_crds::{
    Approval, Baseline, ClusterGuardrail, Incident, LogSource, MonitoredService, NotificationTarget, Pause,
    PeakEvent, Remediation, RemediationPolicy, Runbook, SLO,
};
use causeway_kubekit::{Activity, Mirror, Named, ObjectKey};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::views::{NodeView, PodView};

macro_rules! mirrors {
    ($($field:ident: $kind:ty),+ $(,)?) => {
        /// One mirror a kind.
        #[derive(Clone)]
        pub(crate) struct Mirrors {
            $(pub(crate) $field: Mirror<$kind>,)+
            /// Those that other objects name: no role may see all Secrets.
            pub(crate) secrets: Named<Secret>,
        }

        impl Mirrors {
            pub(crate) fn new(client: &Client, activity: &Activity) -> Self {
                Self {
                    $($field: Mirror::all(client.clone(), activity),)+
                    secrets: Named::new(client.clone(), activity),
                }
            }

            /// Keeps all mirrors until `stop`.
            pub(crate) fn spawn(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
                $(spawn(&self.$field, tasks, stop);)+
            }
        }
    };
}

mirrors! {
    approvals: Approval,
    baselines: Baseline,
    config_maps: ConfigMap,
    daemon_sets: DaemonSet,
    deployments: Deployment,
    guardrails: ClusterGuardrail,
    horizontal_scalers: HorizontalPodAutoscaler,
    incidents: Incident,
    log_sources: LogSource,
    nodes: NodeView,
    pauses: Pause,
    peaks: PeakEvent,
    pods: PodView,
    policies: RemediationPolicy,
    remediations: Remediation,
    runbooks: Runbook,
    services: MonitoredService,
    slos: SLO,
    stateful_sets: StatefulSet,
    targets: NotificationTarget,
}

/// Kinds of workloads whose pods run for good.
pub(crate) const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

impl Mirrors {
    /// Uid of a workload of one of [`WORKLOADS`]; `None` when there is none of this name.
    pub(crate) fn uid_of_workload(&self, kind: &str, key: &ObjectKey) -> Option<String> {
        match kind {
            "Deployment" => self.deployments.get(key).and_then(|o| o.uid()),
            "StatefulSet" => self.stateful_sets.get(key).and_then(|o| o.uid()),
            "DaemonSet" => self.daemon_sets.get(key).and_then(|o| o.uid()),
            _ => None,
        }
    }

    /// The mirrors of an executor: those that it does not watch stay empty, and nobody waits for them.
    pub(crate) fn for_executor(client: &Client, activity: &Activity) -> Self {
        Self {
            approvals: Mirror::all(client.clone(), activity),
            guardrails: Mirror::all(client.clone(), activity),
            incidents: Mirror::all(client.clone(), activity),
            pauses: Mirror::all(client.clone(), activity),
            peaks: Mirror::all(client.clone(), activity),
            policies: Mirror::all(client.clone(), activity),
            remediations: Mirror::all(client.clone(), activity),
            ..Self::new(client, &Activity::new())
        }
    }

    /// Keeps what the executor watches until `stop`.
    pub(crate) fn spawn_for_executor(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        spawn(&self.approvals, tasks, stop);
        spawn(&self.guardrails, tasks, stop);
        spawn(&self.incidents, tasks, stop);
        spawn(&self.pauses, tasks, stop);
        spawn(&self.peaks, tasks, stop);
        spawn(&self.policies, tasks, stop);
        spawn(&self.remediations, tasks, stop);
    }
}

fn spawn<K>(mirror: &Mirror<K>, tasks: &mut JoinSet<()>, stop: &CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (mirror, stop) = (mirror.clone(), stop.clone());
    tasks.spawn(async move { mirror.run(stop).await });
}
