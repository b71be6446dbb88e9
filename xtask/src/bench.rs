//! `cargo xtask bench`: figures that anyone can measure again. They inform; they never fail a test.

use anyhow::Result;
use clap::ValueEnum;

use crate::run::{root, run};

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
            &["run", "--quiet", "--locked", "-p", "causeway-predict", "--example", "bench"],
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
    if matches!(what, Bench::All | Bench::Ingest) {
        run(
            "ingest: decode, mask, mine, aggregate",
            "cargo",
            &["run", "--quiet", "--locked", "-p", "causeway-pipeline", "--example", "ingest"],
        )?;
    }
    Ok(())
}
