//! What a cluster needs before Causeway can work with it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::Scope;
use kube::{Api, Client, Config, Discovery, ResourceExt};

/// How long an API server may take to serve new kinds.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Applies the custom resource definitions and the admission rules, as the README's commands do.
pub(super) async fn prepare(causeway: &Path, kubeconfig: &Path) -> Result<()> {
    let config =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let whoami: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = whoami.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
    apply(&client, &printed(causeway, &["crd"])?).await?;
    apply(&client, &printed(causeway, &["crd", "--admission", &user])?).await?;
    let begun = Instant::now();
    loop {
        let known = client.list_api_group_resources("causeway.dev/v1alpha1").await;
        if known.is_ok_and(|list| list.resources.iter().any(|r| r.name == "remediations")) {
            return Ok(());
        }
        if begun.elapsed() > ESTABLISHED {
            bail!("the API server does not serve the kinds of Causeway");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn printed(causeway: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(causeway).args(arguments).output()?;
    if !output.status.success() {
        bail!("causeway {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

async fn apply(client: &Client, documents: &str) -> Result<()> {
    let discovery = Discovery::new(client.clone()).run().await?;
    for document in documents.split("---\n").filter(|d| !d.trim().is_empty()) {
        let object: DynamicObject = serde_saphyr::from_str(document)?;
        let types = object.types.clone().context("an object without kind")?;
        let gvk = kube::api::GroupVersionKind::try_from(&types)?;
        let (resource, capabilities) =
            discovery.resolve_gvk(&gvk).with_context(|| format!("the cluster has no {}", types.kind))?;
        if capabilities.scope != Scope::Cluster {
            bail!("{} {} is not cluster-scoped", types.kind, object.name_any());
        }
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let name = object.name_any();
        api.patch(&name, &PatchParams::apply("causeway-install").force(), &Patch::Apply(&object))
            .await
            .with_context(|| format!("{} {name} was refused", types.kind))?;
    }
    Ok(())
}
