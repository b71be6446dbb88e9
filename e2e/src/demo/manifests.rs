//! The manifests of one demo run: the example's own, the shipped runbooks, and where Slack is.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::DemoArguments;

/// Collects everything into `target`. The example's folder is named like its namespace.
pub(super) fn write(
    arguments: &DemoArguments,
    namespace: &str,
    target: &Path,
    slack_api: &str,
) -> Result<()> {
    std::fs::create_dir_all(target)?;
    let example = arguments.root.join("examples").join(namespace);
    copy(&example.join("manifests"), target)?;
    // Where roles are installed, the chart has made the fixer.
    if arguments.kubeconfig.is_some() && arguments.roles.is_none() {
        copy(&example.join("cluster"), target)?;
    }
    // A variant's file replaces the one of the same name.
    if arguments.wrong_fix {
        copy(&example.join("variants/wrong-fix"), target)?;
    }
    if arguments.ask {
        copy(&example.join("variants/ask"), target)?;
    }
    if arguments.no_repair {
        copy(&example.join("variants/no-repair"), target)?;
    }
    if arguments.bundle.is_some() {
        copy(&example.join("variants/rehearsal"), target)?;
    }
    let runbooks = arguments.root.join("runbooks");
    for entry in
        std::fs::read_dir(&runbooks).with_context(|| format!("cannot read {}", runbooks.display()))?
    {
        let file = entry?.path().join("runbook.yaml");
        if file.exists() {
            runbook(&file, namespace, target)?;
            // Repairs of nodes live in a namespace of their own.
            if arguments.bundle.is_some() {
                runbook(&file, "causeway-nodes", target)?;
            }
        }
    }
    let slack = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slack", "namespace": namespace},
            "stringData": {"bot-token": "xoxb-demo"}}),
        json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "NotificationTarget",
            "metadata": {"name": "booking-slack", "namespace": namespace},
            "spec": {"type": "Slack", "slack": {"channel": "#booking-incidents", "apiUrl": slack_api,
                "tokenSecretRef": {"name": "slack", "key": "bot-token"}}}}),
    ];
    let text: Vec<String> = slack.iter().map(Value::to_string).collect();
    // JSON is YAML.
    std::fs::write(target.join("60-slack.yaml"), text.join("\n---\n"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            std::fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Runbooks are shipped without a namespace: whoever applies one chooses it.
fn runbook(file: &Path, namespace: &str, target: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    for document in text.split("\n---") {
        let mut object: Value =
            serde_saphyr::from_str(document).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
        let metadata = object.pointer_mut("/metadata").and_then(Value::as_object_mut);
        let metadata = metadata.with_context(|| format!("{} has no metadata", file.display()))?;
        metadata.insert("namespace".to_owned(), json!(namespace));
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = target.join(format!("40-runbook-{namespace}-{name}.yaml"));
        std::fs::write(path, object.to_string())?;
    }
    Ok(())
}
