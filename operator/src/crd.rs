//! `causeway crd`: the custom resource definitions, and the admission rules, as YAML.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use causeway_crds::admission;
use clap::Args;

/// Arguments of `crd`.
#[derive(Debug, Args)]
pub(crate) struct CrdArguments {
    /// Write one file a kind into this folder instead of printing
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print the ValidatingAdmissionPolicies instead, for an operator that writes as this user
    #[arg(long, value_name = "USER", conflicts_with = "output")]
    admission: Option<String>,
}

/// Prints or writes them.
pub(crate) fn run(arguments: &CrdArguments) -> Result<()> {
    if let Some(user) = &arguments.admission {
        let mut out = std::io::stdout().lock();
        let rules = admission::admission_rules(user).into_iter().chain(admission::freeze_rules());
        for rule in rules {
            for text in [serde_saphyr::to_string(&rule.policy)?, serde_saphyr::to_string(&rule.binding)?] {
                writeln!(out, "---\n{text}")?;
            }
        }
        return Ok(());
    }
    let files = causeway_crds::yaml_files()?;
    let Some(folder) = &arguments.output else {
        let mut out = std::io::stdout().lock();
        for (_, text) in files {
            writeln!(out, "---\n{text}")?;
        }
        return Ok(());
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
