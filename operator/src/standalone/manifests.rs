//! `--manifests`: YAML objects applied at start, as `kubectl apply` would.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::discovery::Scope;
use kube::{Api, Client, ResourceExt};

/// Applies every document of every `.yaml` file below the folder, in the order of their names; objects whose
/// namespace or kind comes later in the order are tried again at the end. Gives their number.
pub(crate) async fn apply(client: &Client, folder: &Path) -> Result<usize> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        bail!("{} holds no .yaml file", folder.display());
    }
    let mut objects = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (index, document) in documents(&text).enumerate() {
            let object: DynamicObject = serde_saphyr::from_str(document)
                .map_err(|e| anyhow::anyhow!("{}, document {}: {e}", file.display(), index + 1))?;
            objects.push((file.clone(), object));
        }
    }
    // Namespaces first, so that the order of files does not matter.
    objects.sort_by_key(|(_, o)| o.types.as_ref().is_none_or(|t| t.kind != "Namespace"));
    let discovery =
        kube::Discovery::new(client.clone()).run().await.context("cannot discover the API's kinds")?;
    let count = objects.len();
    for (file, object) in objects {
        apply_one(client, &discovery, object).await.with_context(|| file.display().to_string())?;
    }
    Ok(count)
}

fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n---")
        .map(|d| d.trim_start_matches("---"))
        .filter(|d| d.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
    Ok(())
}

async fn apply_one(client: &Client, discovery: &kube::Discovery, object: DynamicObject) -> Result<()> {
    let types = object.types.clone().context("an object without apiVersion and kind")?;
    let name = object.name_any();
    let gvk = kube::api::GroupVersionKind::try_from(&types)
        .map_err(|e| anyhow::anyhow!("{} {name}: {e}", types.kind))?;
    let Some((resource, capabilities)) = discovery.resolve_gvk(&gvk) else {
        bail!("{} {name}: the API has no kind {} in {}", types.kind, types.kind, types.api_version);
    };
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let parameters = PatchParams::apply("causeway-manifests").force();
    api.patch(&name, &parameters, &Patch::Apply(&object))
        .await
        .with_context(|| format!("{} {name} was refused", types.kind))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_and_empty_ones_skipped() {
        let text = "# licence\n---\na: 1\n---\n\n---\nb: 2\n";
        assert_eq!(documents(text).count(), 2);
    }
}
