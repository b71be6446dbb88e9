//! `cargo xtask demo`.

use anyhow::Result;

use crate::run::{root, run, target};

/// Builds the workspace and hands over to the demo.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    build()?;
    let binary = target().join("debug/causeway-e2e");
    let root = root();
    let mut all = vec!["demo", "--root"];
    let root = root.to_string_lossy();
    all.push(&root);
    all.extend(arguments.iter().filter(|a| *a != "--").map(String::as_str));
    run("the demo", &binary.to_string_lossy(), &all)
}

/// Always the same selection, so that nothing is built twice with other features.
pub(crate) fn build() -> Result<()> {
    run("build (the first time compiles all libraries: about 10 minutes on two cores)", "cargo", &["build", "--workspace", "--locked"])
}
