//! `cargo xtask codegen`: files that are generated and committed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::demo::build;
use crate::run::{root, run, say, target};

/// Writes the generated files, or says which of them are out of date.
pub(crate) fn codegen(check: bool, environment: &[(&str, &str)]) -> Result<()> {
    build(environment)?;
    let scratch = target().join("codegen");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    let binary = target().join("debug/causeway");
    let folder = scratch.to_string_lossy();
    run("custom resource definitions", &binary.to_string_lossy(), &["crd", "--output", &folder])?;
    let committed = root().join("crds/yaml");
    let (fresh, old) = (files(&scratch)?, files(&committed)?);
    let stale: Vec<&String> = fresh
        .iter()
        .filter(|(name, text)| old.get(*name) != Some(text))
        .map(|(name, _)| name)
        .chain(old.keys().filter(|name| !fresh.contains_key(*name)))
        .collect();
    if stale.is_empty() {
        say("generated files are up to date");
        return Ok(());
    }
    if check {
        bail!("out of date: {stale:?} in crds/yaml; run `cargo xtask codegen`");
    }
    for name in old.keys().filter(|name| !fresh.contains_key(*name)) {
        std::fs::remove_file(committed.join(name))?;
    }
    for (name, text) in &fresh {
        std::fs::write(committed.join(name), text)?;
    }
    say(&format!("written: {stale:?}"));
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|n| n.to_str()) {
            found.insert(name.to_owned(), std::fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}
