//! How the shop meets the Kubernetes API: reads what is there, and makes the changes that a cause consists of. It plays
//! controllers, scheduler and autoscalers, or waits for those of a real cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, Pod as KubePod};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;

use super::NAMESPACE;
use super::cause::{Change, Kind};
use super::cluster::{Cluster, Pod, Workload};
use super::manifests::{POOL, REGISTRY, pool};
use super::metrics::Metrics;
use super::topology::{Autoscale, Topology};
use super::world::World;
use crate::api::until;
use crate::simulator;

/// Who changes things when a cause begins: a pipeline and its people, as far as the API can tell.
const DEPLOYER: &str = "ci-bot";
/// Who scales; the name that the real controller manager has.
const CONTROLLER: &str = "kube-controller-manager";
/// How long controllers of a real cluster may take for a rollout.
const PATIENCE: Duration = Duration::from_secs(120);

/// The shop's namespace in an API.
pub(crate) struct Kubernetes {
    client: Client,
    /// Of a real cluster: what its autoscalers see. Without, the shop plays all controllers.
    metrics: Option<Metrics>,
}

impl Kubernetes {
    pub(crate) fn new(client: Client, metrics: Option<Metrics>) -> Self {
        Self { client, metrics }
    }

    /// Makes the nodes of a topology with the cores that they have, and waits until they are ready, so that pods are spread
    /// over all of them.
    pub(crate) async fn join(client: &Client, topology: &Topology) -> Result<()> {
        let nodes = Api::<Node>::all(client.clone());
        for node in &topology.nodes {
            let size = json!({"cpu": node.cores.to_string(), "memory": "64Gi", "pods": "110"});
            let labels = json!({POOL: pool(node.pool.as_ref())});
            let object = json!({"metadata": {"name": node.name, "labels": labels},
                "status": {"capacity": size, "allocatable": size}});
            // Whoever plays the kubelet takes over the size that a node has from the beginning.
            match nodes.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await {
                Err(kube::Error::Api(error)) if error.code == 409 => {
                    let (parameters, patch) = (PatchParams::default(), Patch::Merge(object));
                    nodes.patch(&node.name, &parameters, &patch).await?;
                    nodes.patch_status(&node.name, &parameters, &patch).await?;
                }
                created => drop(created?),
            }
        }
        let is_ready = |node: &Node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
        };
        until(PATIENCE, async || {
            let all = nodes.list(&ListParams::default()).await?;
            Ok((!all.iter().all(is_ready)).then(|| "the nodes are not ready".to_owned()))
        })
        .await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Plays autoscalers and Deployments until all is at rest, or waits for the cluster's; then shows the shop what there is
    /// now. Says whether anything has moved.
    pub(crate) async fn settle(&self, world: &mut World) -> Result<bool> {
        match &self.metrics {
            Some(metrics) => self.watch(world, metrics).await,
            None => self.play(world).await,
        }
    }

    async fn play(&self, world: &mut World) -> Result<bool> {
        self.read(world).await?;
        let mut writes = self.autoscale(world).await?;
        // Where new pods go in one pass: each counts for the next.
        let places = Mutex::new(world.clone());
        writes += simulator::play(&self.client, &|app| places.lock().start(app)).await?;
        if writes > 0 {
            self.read(world).await?;
        }
        Ok(writes > 0)
    }

    async fn watch(&self, world: &mut World, metrics: &Metrics) -> Result<bool> {
        let before = world.cluster.clone();
        self.rest(world).await?;
        metrics.tell(world);
        // Where an autoscaler has nothing to do, nobody waits for it.
        for (service, _) in world.autoscale() {
            metrics.was_seen(&service).await?;
        }
        self.rest(world).await?;
        Ok(world.cluster != before)
    }

    /// Waits until there are the pods that Deployments ask for, and no others.
    async fn rest(&self, world: &mut World) -> Result<()> {
        until(PATIENCE, async || {
            let busy = self.read(world).await?;
            Ok(busy.map(|busy| format!("the Deployment {busy} has not got its pods")))
        })
        .await
    }

    /// Shows the shop what is in the API; gives a Deployment that has not got its pods, if there is one.
    async fn read(&self, world: &mut World) -> Result<Option<String>> {
        let all = ListParams::default();
        let mut cluster = Cluster { made: world.cluster.made, ..Cluster::default() };
        let mut busy = None;
        for object in self.api::<Deployment>().list(&all).await?.items {
            if !simulator::is_rolled_out(&object) {
                busy = Some(object.name_any());
            }
            let spec = object.spec.as_ref().context("a Deployment has no spec")?;
            let containers = spec.template.spec.as_ref().map(|s| s.containers.as_slice());
            let replicas = u32::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
            let (tag, cpu) = container(containers.unwrap_or_default());
            cluster.workloads.insert(object.name_any(), Workload { replicas, tag, cpu });
        }
        for object in self.api::<HorizontalPodAutoscaler>().list(&all).await?.items {
            if let Some((name, bounds)) = bounds(&object) {
                cluster.autoscalers.insert(name, bounds);
            }
        }
        for object in self.api::<ConfigMap>().list(&all).await?.items {
            cluster.configs.insert(object.name_any(), object.data.unwrap_or_default());
        }
        for object in self.api::<KubePod>().list(&all).await?.items {
            let running = object.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
            if !running || object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let Some(service) = object.labels().get("app").cloned() else { continue };
            let spec = object.spec.clone().unwrap_or_default();
            let (tag, cpu) = container(&spec.containers);
            let node = spec.node_name.unwrap_or_default();
            cluster.pods.push(Pod { name: object.name_any(), service, node, tag, cpu });
        }
        cluster.sort();
        for (service, workload) in &cluster.workloads {
            if cluster.pods_of(service).count() != workload.replicas as usize {
                busy = Some(service.clone());
            }
        }
        world.cluster = cluster;
        world.follow();
        Ok(busy)
    }

    /// Scales what the autoscalers want scaled, and says in their status how they stand.
    async fn autoscale(&self, world: &mut World) -> Result<usize> {
        let mut writes = 0;
        for (service, replicas) in world.autoscale() {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            self.api::<Deployment>().patch_scale(&service, &by(CONTROLLER), &patch).await?;
            world.cluster.scale(&service, replicas);
            writes += 1;
        }
        for (service, bounds) in &world.cluster.autoscalers {
            let Some(workload) = world.cluster.workloads.get(service) else { continue };
            let api = self.api::<HorizontalPodAutoscaler>();
            let mut live = api.get(service).await?;
            let status = status(workload.replicas, bounds)?;
            if live.status.as_ref() != Some(&status) {
                live.status = Some(status);
                api.replace_status(service, &PostParams::default(), &live).await?;
                writes += 1;
            }
        }
        Ok(writes)
    }

    /// Makes the change that a cause consists of.
    pub(crate) async fn change(&self, world: &mut World, change: &Change) -> Result<()> {
        match change {
            Change::None => {}
            // The played scheduler sees it by itself.
            Change::Crowd { .. } if self.metrics.is_none() => {}
            Change::Crowd { node } => self.crowd(world, node).await?,
            Change::Image { service, tag } => self.release(service, tag).await?,
            Change::Status { .. } if self.metrics.is_some() => {
                bail!("this scenario is what a kubelet says of itself: play it without a cluster")
            }
            Change::Status { of, name, status, image } => {
                if let Some((service, tag)) = image {
                    self.release(service, tag).await?;
                    self.settle(world).await?;
                }
                let patch = Patch::Merge(json!({"status": status}));
                self.object(*of).patch_status(name, &by(DEPLOYER), &patch).await?;
            }
            Change::Config { config_map, key, value } => {
                let patch = Patch::Merge(json!({"data": {key.as_str(): value}}));
                self.api::<ConfigMap>().patch(config_map, &by(DEPLOYER), &patch).await?;
            }
        }
        Ok(())
    }

    /// The API of a kind that a cause may be about.
    fn object(&self, kind: Kind) -> Api<DynamicObject> {
        let here = |kind| Api::namespaced_with(self.client.clone(), NAMESPACE, &kind);
        match kind {
            Kind::Deployment => here(ApiResource::erase::<Deployment>(&())),
            Kind::Pod => here(ApiResource::erase::<KubePod>(&())),
            Kind::Node => Api::all_with(self.client.clone(), &ApiResource::erase::<Node>(&())),
        }
    }

    /// A pod that asks for all that is left of a node.
    async fn crowd(&self, world: &World, name: &str) -> Result<()> {
        let node = world.topology.nodes.iter().find(|node| node.name == name);
        let taken: f64 = world.cluster.pods.iter().filter(|pod| pod.node == name).map(|pod| pod.cpu).sum();
        let left = node.map_or(0.0, |node| node.cores) - taken;
        let cpu = format!("{}m", (left * 1e3).floor());
        let container = json!({"name": "batch", "image": "registry.example.com/batch:1",
            "resources": {"requests": {"cpu": cpu}}});
        let pod = json!({"metadata": {"name": format!("batch-{name}")},
            "spec": {"nodeName": name, "containers": [container]}});
        let api = Api::<KubePod>::namespaced(self.client.clone(), "default");
        api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        Ok(())
    }

    async fn release(&self, service: &str, tag: &str) -> Result<()> {
        let containers = json!([{"name": service, "image": format!("{REGISTRY}/{service}:{tag}")}]);
        let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        self.api::<Deployment>().patch(service, &by(DEPLOYER), &patch).await?;
        Ok(())
    }
}

/// Changes in the name of somebody.
fn by(whom: &str) -> PatchParams {
    PatchParams { field_manager: Some(whom.to_owned()), ..PatchParams::default() }
}

/// Tag and CPU limit of the first container.
fn container(containers: &[Container]) -> (String, f64) {
    let Some(first) = containers.first() else { return (String::new(), 1.0) };
    let tag = first.image.as_deref().and_then(|i| i.rsplit_once(':')).map(|(_, tag)| tag.to_owned());
    let limits = first.resources.as_ref().and_then(|r| r.limits.as_ref());
    let cpu = limits.and_then(|l| l.get("cpu")).and_then(|q| cores(&q.0));
    (tag.unwrap_or_default(), cpu.unwrap_or(1.0))
}

/// Cores of a quantity, such as `250m` or `2`.
fn cores(quantity: &str) -> Option<f64> {
    match quantity.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().ok().map(|m| m / 1e3),
        None => quantity.parse().ok(),
    }
}

fn bounds(object: &HorizontalPodAutoscaler) -> Option<(String, Autoscale)> {
    let spec = object.spec.as_ref()?;
    let target = spec.metrics.iter().flatten().find_map(|m| m.resource.as_ref()?.target.average_utilization);
    let number = |n: i32| u32::try_from(n).unwrap_or_default();
    let bounds = Autoscale {
        min: number(spec.min_replicas.unwrap_or(1)),
        max: number(spec.max_replicas),
        target: number(target.unwrap_or(80)),
    };
    Some((spec.scale_target_ref.name.clone(), bounds))
}

fn status(replicas: u32, bounds: &Autoscale) -> Result<HorizontalPodAutoscalerStatus> {
    let limited = replicas >= bounds.max;
    let (truth, reason) = if limited { ("True", "TooManyReplicas") } else { ("False", "DesiredWithinRange") };
    let condition = json!({"type": "ScalingLimited", "status": truth, "reason": reason});
    let status = json!({"currentReplicas": replicas, "desiredReplicas": replicas, "conditions": [condition]});
    Ok(serde_json::from_value(status)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities_and_images() {
        assert_eq!((cores("250m"), cores("2"), cores("x")), (Some(0.25), Some(2.0), None));
        let one = Container {
            name: "a".into(),
            image: Some("registry.example.com:5000/shop/a:9f".into()),
            ..Container::default()
        };
        assert_eq!(container(&[one]), ("9f".into(), 1.0));
        assert_eq!(container(&[]), (String::new(), 1.0));
    }

    #[test]
    fn an_autoscaler_at_its_ceiling_says_so() {
        let bounds = Autoscale { min: 1, max: 4, target: 60 };
        let limited = |n| status(n, &bounds).unwrap().conditions.unwrap()[0].status.clone();
        assert_eq!((limited(4).as_str(), limited(3).as_str()), ("True", "False"));
    }
}
