//! `cargo xtask demo`.

use anyhow::Result;

use crate::charts;
use crate::cluster::TestCluster;
use crate::run::{root, run, run_in, say, target};

/// Play against a real control plane, started for the demo.
const CLUSTER: &str = "--cluster";

/// With the control plane: the roles as the chart installs them, instead of one process.
const ROLES: &str = "--roles";

/// Builds the workspace and hands over to the demo.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    build(&[])?;
    let binary = target().join("debug/causeway-e2e");
    let root = root();
    let mut all = vec!["demo", "--root"];
    let root = root.to_string_lossy();
    all.push(&root);
    let given = |name: &str| arguments.iter().any(|a| a == name);
    all.extend(arguments.iter().filter(|a| !["--", CLUSTER].contains(&a.as_str())).map(String::as_str));
    if !given(CLUSTER) {
        return run("the demo", &binary.to_string_lossy(), &all);
    }
    let keep = given("--keep");
    let cluster = TestCluster::for_demo(keep)?;
    let kubeconfig = cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_string_lossy();
    all.extend(["--kubeconfig", &kubeconfig]);
    let folder;
    if let Some(at) = all.iter().position(|argument| *argument == ROLES) {
        let tenant = if given("--shop") { "shop" } else { "train-ticket" };
        folder = charts::roles(&cluster, tenant)?.display().to_string();
        all.insert(at + 1, &folder);
    }
    run("the demo", &binary.to_string_lossy(), &all)?;
    if keep {
        let folder = cluster.keep();
        say(&format!("the cluster keeps running: cargo xtask cluster down --data {}", folder.display()));
    }
    Ok(())
}

/// Always the same selection, so that nothing is built twice with other features.
pub(crate) fn build(environment: &[(&str, &str)]) -> Result<()> {
    let title = "build (the first time compiles all libraries: 10 to 15 minutes on two cores)";
    run_in(&root(), title, "cargo", &["build", "--workspace", "--locked"], environment)
}
