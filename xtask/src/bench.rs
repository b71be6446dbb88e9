//! `cargo xtask bench`: figures that anyone can measure again. They inform; they never fail a test.

use anyhow::Result;
use clap::ValueEnum;

use crate::cluster::TestCluster;
use crate::demo::build;
use crate::run::{root, run, target};

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Everything
    #[default]
    All,
    /// Records a CPU second through decoder, steps, miner and write-ahead log
    Ingest,
    /// Milliseconds of CPU for a ranking
    Rca,
    /// CPU and memory of detectors and forecasts
    Predict,
    /// Lines a CPU second through the template miner
    Patterns,
    /// Time of the engine for a million spans a minute of 250 services
    Topology,
    /// Time of `causeway simulate` over two weeks of minutes
    Simulate,
    /// First pass and steady state of 250 services with 1,000 Baselines on a real control plane
    Reconcile,
}

/// Builds with optimisation and measures.
pub(crate) fn bench(what: Bench) -> Result<()> {
    let asked = |one: Bench| what == Bench::All || what == one;
    build(&[])?;
    // The same selection as always, so that nothing is built with other features.
    run("build of the benchmarks", "cargo", &["build", "--workspace", "--locked", "--examples"])?;
    if asked(Bench::Rca) {
        let case = root().join("examples/train-ticket/recordings/280661e3").display().to_string();
        let title = "root cause: one case with spans and logs, time of the ranking alone";
        example(title, "rca", &["--case", &case, "--terms"])?;
    }
    if asked(Bench::Predict) {
        example("detectors and forecasts", "detectors", &[])?;
    }
    if asked(Bench::Patterns) {
        example("template mining: lines of the recordings' kind", "patterns", &["--bench"])?;
    }
    if asked(Bench::Topology) {
        example("topology: a million spans a minute of 250 services", "topology", &[])?;
    }
    if asked(Bench::Simulate) {
        simulate()?;
    }
    if asked(Bench::Reconcile) {
        reconcile()?;
    }
    if asked(Bench::Ingest) {
        example("ingest: decode, mask, mine, aggregate", "ingest", &[])?;
    }
    Ok(())
}

/// Runs an example that measures.
fn example(title: &str, name: &str, arguments: &[&str]) -> Result<()> {
    let program = target().join("debug/examples").join(name);
    run(title, &program.to_string_lossy(), arguments)
}

fn simulate() -> Result<()> {
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let (binary, causeway) =
        (text(target().join("debug/causeway-e2e")), text(target().join("debug/causeway")));
    let folder = target().join("bench-past");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let arguments = ["past", "--causeway", &causeway, "--data", &text(folder)];
    run("simulation: two weeks of minutes", &binary, &arguments)
}

fn reconcile() -> Result<()> {
    // A node holds 110 pods.
    let cluster = TestCluster::for_bench(12)?;
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let (binary, causeway) =
        (text(target().join("debug/causeway-e2e")), text(target().join("debug/causeway")));
    let (kubeconfig, data) = (text(cluster.kubeconfig()), text(cluster.folder().join("scale")));
    let arguments = ["scale", "--kubeconfig", &kubeconfig, "--causeway", &causeway, "--data", &data];
    run("reconciliation: 250 services, 1,000 Baselines, 1,000 pods", &binary, &arguments)
}
