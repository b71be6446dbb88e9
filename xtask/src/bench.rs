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
    if matches!(what, Bench::All | Bench::Rca) {
        let case = root().join("examples/train-ticket/recordings/280661e3");
        let case = case.to_string_lossy();
        run(
            "root cause: one case with spans and logs, time of the ranking alone",
            "cargo",
            &[
                "run",
                "--quiet",
                "--locked",
                "-p",
                "causeway-causal",
                "--example",
                "rca",
                "--",
                "--case",
                &case,
                "--terms",
            ],
        )?;
    }
    if matches!(what, Bench::All | Bench::Predict) {
        run(
            "detectors and forecasts",
            "cargo",
            &["run", "--quiet", "--locked", "-p", "causeway-predict", "--example", "detectors"],
        )?;
    }
    if matches!(what, Bench::All | Bench::Patterns) {
        run(
            "template mining: lines of the recordings' kind",
            "cargo",
            &[
                "run",
                "--quiet",
                "--locked",
                "-p",
                "causeway-patterns",
                "--example",
                "patterns",
                "--",
                "--bench",
            ],
        )?;
    }
    if matches!(what, Bench::All | Bench::Topology) {
        run(
            "topology: a million spans a minute of 250 services",
            "cargo",
            &["run", "--quiet", "--locked", "-p", "causeway-engine", "--example", "topology"],
        )?;
    }
    if matches!(what, Bench::All | Bench::Simulate) {
        simulate()?;
    }
    if matches!(what, Bench::All | Bench::Reconcile) {
        reconcile()?;
    }
    if matches!(what, Bench::All | Bench::Ingest) {
        run(
            "ingest: decode, mask, mine, aggregate",
            "cargo",
            &["run", "--quiet", "--locked", "-p", "causeway-pipeline", "--example", "ingest"],
        )?;
    }
    Ok(())
}

fn simulate() -> Result<()> {
    build(&[])?;
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
    build(&[])?;
    // A node holds 110 pods.
    let cluster = TestCluster::for_bench(12)?;
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let (binary, causeway) =
        (text(target().join("debug/causeway-e2e")), text(target().join("debug/causeway")));
    let (kubeconfig, data) = (text(cluster.kubeconfig()), text(cluster.folder().join("scale")));
    let arguments = ["scale", "--kubeconfig", &kubeconfig, "--causeway", &causeway, "--data", &data];
    run("reconciliation: 250 services, 1,000 Baselines, 1,000 pods", &binary, &arguments)
}
