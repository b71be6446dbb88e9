//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::run::{output, root, say};

/// Production lines of a file: more than this is worth a note, more than the second fails.
const BUDGET: (usize, usize) = (400, 600);
/// Crates of the pure tier.
const PURE: [&str; 9] =
    ["model", "wire", "steps", "patterns", "predict", "causal", "actions", "remediate", "manifests"];
/// What the pure tier never links.
const IMPURE: [&str; 10] =
    ["tokio", "kube", "axum", "tonic", "hyper", "reqwest", "datafusion", "rand", "rusqlite", "object_store"];
/// What the pure tier never calls.
const IMPURE_CALLS: [&str; 8] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env::var",
    "std::fs::",
    "std::net::",
    "std::process::",
];
/// Crates of ours that each crate may use; crates that are not listed may use all.
const ARROWS: [(&str, &[&str]); 21] = [
    ("model", &[]),
    ("wire", &["model"]),
    ("steps", &["model"]),
    ("patterns", &["model"]),
    ("predict", &["model"]),
    ("causal", &["model"]),
    ("actions", &["model"]),
    ("remediate", &["model", "actions"]),
    ("manifests", &["actions"]),
    ("gitops", &["actions", "manifests"]),
    ("telemetry", &[]),
    ("kubekit", &["telemetry"]),
    ("localcluster", &["telemetry"]),
    ("ingest", &["model", "wire", "telemetry"]),
    ("pipeline", &["model", "steps", "patterns", "telemetry"]),
    ("lake", &["model", "telemetry"]),
    ("engine", &["model", "predict", "causal", "patterns", "telemetry"]),
    ("relay", &["model", "pipeline", "lake", "engine"]),
    ("notify", &["model", "telemetry"]),
    ("console", &["model", "crds"]),
    ("crds", &["model", "actions", "remediate", "steps", "causal"]),
];
/// Data plane: never Kubernetes.
const NO_KUBE: [&str; 5] = ["ingest", "pipeline", "lake", "engine", "relay"];
/// Marks of what is not finished; put together, so that this file passes.
const UNFINISHED: [&str; 3] = [concat!("to", "do!"), concat!("unimplement", "ed!"), concat!("TO", "DO")];
/// Only these link the SQL engine directly.
const SQL: [&str; 1] = ["lake"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Checks all rules; names every offence.
pub(crate) fn tidy() -> Result<()> {
    let metadata: Metadata = serde_json::from_str(&output(
        "cargo",
        &["metadata", "--no-deps", "--format-version", "1", "--locked"],
    )?)?;
    let mut offences = Vec::new();
    for package in &metadata.packages {
        dependencies(package, &mut offences);
        let source = package.manifest_path.with_file_name("src");
        let short = short(&package.name);
        for file in rust_files(&source)? {
            check_file(&file, PURE.contains(&short), &mut offences)?;
        }
    }
    documents(&mut offences);
    if !offences.is_empty() {
        bail!("{} offence(s):\n  {}", offences.len(), offences.join("\n  "));
    }
    say(&format!("tidy: {} crates keep the rules", metadata.packages.len()));
    Ok(())
}

fn short(name: &str) -> &str {
    name.strip_prefix("causeway-").unwrap_or(name)
}

fn dependencies(package: &Package, offences: &mut Vec<String>) {
    let name = short(&package.name);
    let normal: BTreeSet<&str> =
        package.dependencies.iter().filter(|d| d.kind.is_none()).map(|d| d.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for dependency in &normal {
        let ours = dependency.strip_prefix("causeway-");
        if *dependency == "causeway" {
            offences.push(format!("{name} uses the binary crate"));
        }
        if let (Some(ours), Some(allowed)) = (ours, allowed.get(name))
            && !allowed.contains(&ours)
        {
            offences.push(format!("{name} must not use {ours}"));
        }
        if PURE.contains(&name) && IMPURE.contains(dependency) {
            offences.push(format!("{name} is pure and must not use {dependency}"));
        }
        if NO_KUBE.contains(&name) && matches!(*dependency, "kube" | "k8s-openapi") {
            offences.push(format!("{name} is of the data plane and must not use {dependency}"));
        }
        if *dependency == "datafusion" && !SQL.contains(&name) {
            offences.push(format!("{name} must not link datafusion: only lake does"));
        }
        if name == "xtask" && ours.is_some() {
            offences.push("xtask links no crate of ours: it spawns binaries".to_owned());
        }
    }
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn check_file(file: &Path, pure: bool, offences: &mut Vec<String>) -> Result<()> {
    let name = file.strip_prefix(root()).unwrap_or(file).display().to_string();
    let text = std::fs::read_to_string(file)?;
    let production: Vec<&str> = text.lines().take_while(|l| !l.starts_with("#[cfg(test)]")).collect();
    let is_test = name.ends_with("_tests.rs") || name.ends_with("/tests.rs");
    if production.len() > BUDGET.1 && !is_test {
        offences.push(format!("{name} has {} production lines, the limit is {}", production.len(), BUDGET.1));
    } else if production.len() > BUDGET.0 && !is_test {
        say(&format!("note: {name} has {} production lines, the budget is {}", production.len(), BUDGET.0));
    }
    if !text.starts_with("//!") && !is_test {
        offences.push(format!("{name} does not begin with what it is for (//!)"));
    }
    for (number, line) in production.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if UNFINISHED.iter().any(|mark| line.contains(mark)) {
            offences.push(format!("{name}:{}: unfinished", number + 1));
        }
        if pure && !is_test {
            for call in IMPURE_CALLS {
                if code.contains(call) {
                    offences.push(format!("{name}:{}: {call} in a pure crate", number + 1));
                }
            }
        }
    }
    Ok(())
}

fn documents(offences: &mut Vec<String>) {
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", "deny.toml", ".ci/run"] {
        if !root().join(name).exists() {
            offences.push(format!("{name} is missing"));
        }
    }
    for folder in ["operator", "crds", "charts", "runbooks", "e2e", "examples", "docs"] {
        if !root().join(folder).is_dir() {
            offences.push(format!("the folder {folder} is missing"));
        }
    }
}
