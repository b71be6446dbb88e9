//! How the shop meets the Kubernetes API: reads what is there, plays controllers, scheduler and autoscalers, and makes the
//! changes that a cause consists of.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, Pod as KubePod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::NAMESPACE;
use super::cause::Kind;
use super::cluster::{Cluster, Pod, Workload};
use super::manifests::REGISTRY;
use super::topology::Autoscale;
use super::world::{Change, World};
use crate::simulator;

/// Who changes things when a cause begins: a pipeline and its people, as far as the API can tell.
const DEPLOYER: &str = "ci-bot";
/// Who scales; the name that the real controller manager has.
const CONTROLLER: &str = "kube-controller-manager";

/// The shop's namespace in an API.
pub(crate) struct Kubernetes {
    client: Client,
}

impl Kubernetes {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Plays autoscalers and Deployments until all is at rest, and shows the shop what there is now. Gives the number of writes.
    pub(crate) async fn settle(&self, world: &mut World) -> Result<usize> {
        self.read(world).await?;
        let mut writes = self.autoscale(world).await?;
        let places = Places::of(world);
        writes += simulator::play(&self.client, &|app| places.next(app)).await?;
        if writes > 0 {
            self.read(world).await?;
        }
        Ok(writes)
    }

    /// Shows the shop what is in the API.
    async fn read(&self, world: &mut World) -> Result<()> {
        let all = ListParams::default();
        let mut cluster = Cluster { made: world.cluster.made, ..Cluster::default() };
        for object in self.api::<Deployment>().list(&all).await?.items {
            let spec = object.spec.as_ref().context("a Deployment has no spec")?;
            let containers = spec.template.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
            let replicas = u32::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
            let (tag, cpu) = container(containers);
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
        cluster.pods.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        world.cluster = cluster;
        world.follow();
        Ok(())
    }

    /// Scales what the autoscalers want scaled, and says in their status how they stand.
    async fn autoscale(&self, world: &mut World) -> Result<usize> {
        let mut writes = 0;
        let parameters = PatchParams { field_manager: Some(CONTROLLER.to_owned()), ..PatchParams::default() };
        for (service, replicas) in world.autoscale_now() {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            self.api::<Deployment>().patch_scale(&service, &parameters, &patch).await?;
            if let Some(workload) = world.cluster.workloads.get_mut(&service) {
                workload.replicas = replicas;
            }
            writes += 1;
        }
        for (service, bounds) in &world.cluster.autoscalers {
            let Some(workload) = world.cluster.workloads.get(service) else { continue };
            let api = self.api::<HorizontalPodAutoscaler>();
            let mut live = api.get(service).await?;
            let status = status(workload.replicas, bounds);
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
        let parameters = PatchParams { field_manager: Some(DEPLOYER.to_owned()), ..PatchParams::default() };
        match change {
            Change::None => {}
            Change::Image { service, tag } => self.release(service, tag, &parameters).await?,
            Change::Status { of, name, status, image } => {
                if let Some((service, tag)) = image {
                    self.release(service, tag, &parameters).await?;
                    self.settle(world).await?;
                }
                let patch = Patch::Merge(json!({"status": status}));
                match of {
                    Kind::Deployment => {
                        self.api::<Deployment>().patch_status(name, &parameters, &patch).await?;
                    }
                    Kind::Pod => {
                        self.api::<KubePod>().patch_status(name, &parameters, &patch).await?;
                    }
                    Kind::Node => {
                        let api = Api::<Node>::all(self.client.clone());
                        api.patch_status(name, &parameters, &patch).await?;
                    }
                }
            }
            Change::Config { config_map, key, value } => {
                let patch = json!({"data": {key.as_str(): value}});
                self.api::<ConfigMap>().patch(config_map, &parameters, &Patch::Merge(&patch)).await?;
            }
        }
        Ok(())
    }

    async fn release(&self, service: &str, tag: &str, parameters: &PatchParams) -> Result<()> {
        let image = format!("{REGISTRY}/{service}:{tag}");
        let containers = json!([{"name": service, "image": image}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        self.api::<Deployment>().patch(service, parameters, &Patch::Strategic(&patch)).await?;
        Ok(())
    }
}

/// Where new pods go in one pass: each counts for the next.
struct Places {
    world: parking_lot::Mutex<World>,
}

impl Places {
    fn of(world: &World) -> Self {
        Self { world: parking_lot::Mutex::new(world.clone()) }
    }

    fn next(&self, service: &str) -> String {
        let mut world = self.world.lock();
        let node = world.node_for(service);
        let cpu = world.cluster.workloads.get(service).map_or(0.1, |w| w.cpu);
        let (name, service) = (String::new(), service.to_owned());
        world.cluster.pods.push(Pod { name, service, node: node.clone(), tag: String::new(), cpu });
        node
    }
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

fn status(replicas: u32, bounds: &Autoscale) -> HorizontalPodAutoscalerStatus {
    let replicas_now = i32::try_from(replicas).unwrap_or(i32::MAX);
    let limited = replicas >= bounds.max;
    let (truth, reason) = if limited { ("True", "TooManyReplicas") } else { ("False", "DesiredWithinRange") };
    HorizontalPodAutoscalerStatus {
        current_replicas: Some(replicas_now),
        desired_replicas: replicas_now,
        conditions: Some(vec![HorizontalPodAutoscalerCondition {
            type_: "ScalingLimited".to_owned(),
            status: truth.to_owned(),
            reason: Some(reason.to_owned()),
            ..HorizontalPodAutoscalerCondition::default()
        }]),
        ..HorizontalPodAutoscalerStatus::default()
    }
}

/// A client for a kubeconfig file.
pub(crate) async fn client(path: &std::path::Path) -> Result<Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let options = kube::config::KubeConfigOptions::default();
    Ok(Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?)?)
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
        let limited = |n| status(n, &bounds).conditions.unwrap()[0].status.clone();
        assert_eq!((limited(4).as_str(), limited(3).as_str()), ("True", "False"));
    }
}
