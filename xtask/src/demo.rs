//! `cargo xtask demo`.

use anyhow::Result;

use crate::run::{root, run, run_in, target};

/// Builds the workspace and hands over to the demo.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    build(&[])?;
    let binary = target().join("debug/causeway-e2e");
    let root = root();
    let mut all = vec!["demo", "--root"];
    let root = root.to_string_lossy();
    all.push(&root);
    all.extend(arguments.iter().filter(|a| *a != "--").map(String::as_str));
    run("the demo", &binary.to_string_lossy(), &all)
}

/// Always the same selection, so that nothing is built twice with other features.
pub(crate) fn build(environment: &[(&str, &str)]) -> Result<()> {
    let title = "build (the first time compiles all libraries: 10 to 15 minutes on two cores)";
    run_in(&root(), title, "cargo", &["build", "--workspace", "--locked"], environment)
}
