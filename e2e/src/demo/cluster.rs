//! What a cluster needs before Causeway can work with it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::Scope;
use kube::{Api, Client, Discovery, ResourceExt};
use serde_json::Value;

use crate::api::{client, until};
use crate::process::Places;

/// How long an API server may take to serve new kinds.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Applies the custom resource definitions and the admission rules, as the README's commands do. Where roles are
/// installed, both are there, and the manifests are applied instead: the roles may not.
pub(crate) async fn prepare(places: &Places, kubeconfig: &Path) -> Result<()> {
    let client = client(kubeconfig).await?;
    if places.roles.is_some() {
        served(&client).await?;
        return apply(&client, &manifests(&places.manifests)?).await;
    }
    let whoami: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = whoami.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
    apply(&client, &printed(&places.causeway, &["crd"])?).await?;
    apply(&client, &printed(&places.causeway, &["crd", "--admission", &user])?).await?;
    served(&client).await
}

/// Waits until the API server serves our kinds.
async fn served(client: &Client) -> Result<()> {
    until(ESTABLISHED, async || {
        let known = client.list_api_group_resources("causeway.dev/v1alpha1").await;
        let serves = known.is_ok_and(|list| list.resources.iter().any(|r| r.name == "remediations"));
        Ok((!serves).then(|| "the API server does not serve the kinds of Causeway".to_owned()))
    })
    .await
}

/// All files of the folder in the order of their names, as one stream.
fn manifests(folder: &Path) -> Result<String> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let texts: Vec<String> = files.iter().map(std::fs::read_to_string).collect::<Result<_, _>>()?;
    Ok(texts.join("\n---\n"))
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
    let says_something = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    for document in documents.split("---\n").filter(|document| document.lines().any(says_something)) {
        let object: DynamicObject = serde_saphyr::from_str(document)?;
        let types = object.types.clone().context("an object without kind")?;
        let gvk = kube::api::GroupVersionKind::try_from(&types)?;
        let (resource, capabilities) =
            discovery.resolve_gvk(&gvk).with_context(|| format!("the cluster has no {}", types.kind))?;
        let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
            (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(client.clone(), &namespace, &resource)
            }
            (Scope::Namespaced, None) => bail!("{} {} has no namespace", types.kind, object.name_any()),
        };
        let name = object.name_any();
        api.patch(&name, &PatchParams::apply("causeway-install").force(), &Patch::Apply(&object))
            .await
            .with_context(|| format!("{} {name} was refused", types.kind))?;
    }
    Ok(())
}

/// Token of the user of a kubeconfig.
pub(super) fn administrator(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kubeconfig: Value = serde_saphyr::from_str(&text)?;
    let named = |list: &str, name: &Value| {
        let list = kubeconfig[list].as_array();
        list.into_iter().flatten().find(|one| one["name"] == *name).cloned().unwrap_or_default()
    };
    let context = named("contexts", &kubeconfig["current-context"]);
    let user = named("users", &context["context"]["user"]);
    user["user"]["token"].as_str().map(str::to_owned).with_context(|| {
        format!("{}: its user has no token, by which the console would let it in", path.display())
    })
}
