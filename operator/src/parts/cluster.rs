//! The cluster that a role works with.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A cluster that has answered.
pub(crate) struct Cluster {
    /// Client for everything.
    pub(crate) client: Client,
    /// User as whom the API server knows us.
    pub(crate) user: String,
    /// Where the cluster is.
    pub(crate) config: Config,
}

/// Where the cluster of a kubeconfig is, or that of the pod.
pub(crate) async fn config(kubeconfig: Option<&Path>) -> Result<Config> {
    let Some(path) = kubeconfig else {
        return Config::incluster().context("this is no pod of a cluster: name one with --kubeconfig");
    };
    let shown = path.display();
    let read = Kubeconfig::read_from(path).with_context(|| format!("cannot read {shown}"))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    config.with_context(|| format!("{shown} names no usable cluster"))
}

/// Asks the cluster who we are, and whether it has our kinds.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Cluster> {
    let config = config(kubeconfig).await?;
    let url = config.cluster_url.clone();
    let client = Client::try_from(config.clone())?;
    let whoami: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = whoami.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let answer = answer.with_context(|| format!("the API server at {url} does not answer or refuses"))?;
    let user = answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
    let groups = client.list_api_groups().await?;
    if !groups.groups.iter().any(|group| group.name == causeway_crds::GROUP) {
        bail!(
            "the cluster at {url} has no kinds of Causeway: causeway crd | kubectl apply --server-side -f -"
        );
    }
    tracing::info!(%url, user, "works with a cluster");
    Ok(Cluster { client, user, config })
}
