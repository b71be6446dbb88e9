//! `cargo xtask test`: everything that must be green.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::charts;
use crate::cluster::TestCluster;
use crate::codegen::codegen;
use crate::go::{flux_definitions, tool};
use crate::run::{output, root, run, run_in, say, target};
use crate::same::same;
use crate::tidy::tidy;
use crate::tools::{chromedriver, deny, programs, python};

/// A recording whose lines become evidence.
const LINES: &str = "3a03fee3";

/// Arguments of `test`.
#[derive(Args)]
pub(crate) struct TestArguments {
    /// Also what takes long: all recordings, ten crashes, ten minutes without an API server, and the shop on a control plane
    #[arg(long)]
    full: bool,
    /// Tests that need a real cluster use this one, as its current context; by default one is started for them
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
}

/// Runs all checks, the quick ones first.
///
/// Our crates are compiled by clippy's driver, which is rustc with lints: so they are compiled once, and the large
/// libraries, which `cargo clippy` would check in a build of their own, not a second time.
pub(crate) fn test(arguments: &TestArguments) -> Result<()> {
    format()?;
    tidy()?;
    charts::check()?;
    let deny = deny()?;
    // Of all platforms: the check reads the licences of what is not built here, too.
    run("sources of all libraries", "cargo", &["fetch", "--quiet", "--locked"])?;
    run(
        "licences, sources, bans",
        &deny.to_string_lossy(),
        &["--offline", "check", "bans", "licenses", "sources"],
    )?;
    let driver = clippy_driver()?;
    let (kubectl, python, binary) = (tool("kubectl")?.path, python()?, target().join("debug/causeway"));
    let driver_of_browser = chromedriver()?;
    programs()?;
    let cluster = TestCluster::prepare()?;
    let (flux, definitions) = (tool("kustomize-controller")?.path, target().join("flux-definitions.yaml"));
    let git_over_ssh = tool("git-over-ssh")?.path;
    std::fs::create_dir_all(target())?;
    std::fs::write(&definitions, flux_definitions()?)?;
    let environment = [
        ("RUSTC_WORKSPACE_WRAPPER", driver.as_str()),
        ("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"),
        ("KUBECTL", &kubectl.to_string_lossy()),
        ("CAUSEWAY_CHROMEDRIVER", &driver_of_browser.to_string_lossy()),
        ("CAUSEWAY_PYTHON", &python.to_string_lossy()),
        ("CAUSEWAY_BINARY", &binary.to_string_lossy()),
        ("CAUSEWAY_CLUSTER", &cluster.to_string_lossy()),
        ("CAUSEWAY_GIT_OVER_SSH", &git_over_ssh.to_string_lossy()),
        ("CAUSEWAY_FLUX", &flux.to_string_lossy()),
        ("CAUSEWAY_FLUX_DEFINITIONS", &definitions.to_string_lossy()),
    ];
    codegen(true, &environment)?;
    // After the build, which needs the memory and the cores.
    let running = TestCluster::start(arguments.kubeconfig.as_deref())?;
    run_in(
        &root(),
        "lints and tests",
        "cargo",
        &["test", "--workspace", "--locked", "--no-fail-fast"],
        &environment,
    )?;
    drop(running);
    rehearsals(&binary)?;
    let roles = charts::installed()?;
    if arguments.full {
        charts::shop()?;
    }
    scenarios(arguments, &roles)?;
    say("all green");
    Ok(())
}

/// The shipped Runbooks on the incidents that were recorded for them.
fn rehearsals(binary: &std::path::Path) -> Result<()> {
    let shipped = root().join("runbooks");
    let shipped = shipped.to_str().context("the path of the clone is not UTF-8")?;
    let arguments = ["test", shipped, "--bundles", shipped];
    run("tests of Runbooks", &binary.to_string_lossy(), &arguments)
}

fn clippy_driver() -> Result<String> {
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    let driver = std::path::Path::new(sysroot.trim()).join("bin/clippy-driver");
    if !driver.exists() {
        run("clippy", "rustup", &["component", "add", "clippy"])?;
    }
    Ok(driver.to_string_lossy().into_owned())
}

/// `cargo fmt` does not see files that no module names; all of them are checked.
fn format() -> Result<()> {
    run("format", "cargo", &["fmt", "--all", "--check"])
}

/// The demo as a user runs it, and its variants. `roles`: what came of it where roles were processes of their own.
fn scenarios(arguments: &TestArguments, roles: &Path) -> Result<()> {
    let binary = target().join("debug/causeway-e2e");
    let binary = binary.to_str().context("the target folder's path is not UTF-8")?;
    let root = root();
    let root = root.to_str().context("the path of the clone is not UTF-8")?;
    let report = target().join("report.html");
    let report = report.to_str().context("the target folder's path is not UTF-8")?;
    let base = ["demo", "--json", "--root", root, "--report", report];
    let summary = |name: &str| target().join(format!("summary-{name}.json"));
    let (alone, cluster_of_one) = (summary("standalone"), summary("cluster"));
    let (other, hostile) = (summary("other"), summary("hostile"));
    let alone = alone.to_str().context("the target folder's path is not UTF-8")?;
    let other = other.to_str().context("the target folder's path is not UTF-8")?;
    let hostile = hostile.to_str().context("the target folder's path is not UTF-8")?;
    let mut variants: Vec<(&str, Vec<&str>)> = vec![
        ("scenario: outage found, explained, repaired", vec!["--summary", alone]),
        ("scenario: another outage", vec!["--case", LINES, "--summary", other]),
        (
            "scenario: the same with hostile lines and names",
            vec!["--case", LINES, "--hostile", "--summary", hostile],
        ),
        ("scenario: kill -9 in the middle of the feed", vec!["--crash", "3"]),
        ("scenario: a useless repair first", vec!["--wrong-fix"]),
        ("scenario: nothing may be repaired", vec!["--no-repair"]),
        ("scenario of the shop: a bad release", vec!["--shop", "bad-release"]),
        ("scenario of the shop: connections that hang", vec!["--shop", "pool"]),
    ];
    if arguments.full {
        variants.push(("scenario of the shop: a wrong value", vec!["--shop", "tax-rate"]));
        variants.push(("scenario of the shop: more demand", vec!["--shop", "saturation"]));
        variants.push(("scenario of the shop: a bad instance", vec!["--shop", "bad-instance"]));
        variants.push(("scenario of the shop: a noisy neighbour", vec!["--shop", "noisy-neighbour"]));
        variants.push(("scenario of the shop: what it costs", vec!["--shop", "bad-release", "--no-repair"]));
        variants.push(("scenario: ten crashes", vec!["--crash", "10"]));
        variants.push(("scenario: all recordings", vec!["--all"]));
    }
    let cluster = TestCluster::for_demo(false)?;
    let kubeconfig = cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("the path of the kubeconfig is not UTF-8")?;
    let on_cluster = cluster_of_one.to_str().context("the target folder's path is not UTF-8")?;
    // Longer than two terms of a Lease, or ten minutes.
    let frozen = if arguments.full { "600" } else { "35" };
    let outage = vec!["--kubeconfig", kubeconfig, "--outage", frozen, "--summary", on_cluster];
    variants.push(("scenario: a real control plane, frozen and killed while it repairs", outage));
    for (title, extra) in variants {
        let all: Vec<&str> = base.iter().copied().chain(extra).collect();
        run(title, binary, &all)?;
    }
    say("the same cause, kinds of evidence and repairs: with hostile lines and without");
    same(&[("as recorded", Path::new(other)), ("with hostile lines", Path::new(hostile))])?;
    say("the same cause, kinds of evidence and repairs: standalone, on a cluster, by separate roles");
    same(&[
        ("standalone", Path::new(alone)),
        ("one process on a cluster", &cluster_of_one),
        ("roles on a cluster", roles),
    ])
}
