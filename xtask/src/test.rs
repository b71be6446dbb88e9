//! `cargo xtask test`: everything that must be green.

use anyhow::{Context, Result};
use clap::Args;

use crate::codegen::codegen;
use crate::run::{root, run, run_in, say, target};
use crate::tidy::tidy;
use crate::tools::{deny, kubectl, python};

/// Arguments of `test`.
#[derive(Args)]
pub(crate) struct TestArguments {
    /// Also what takes long: all recordings, and ten crashes
    #[arg(long)]
    full: bool,
}

/// Runs all checks, the quick ones first.
pub(crate) fn test(arguments: &TestArguments) -> Result<()> {
    format()?;
    tidy()?;
    run("licences, sources and bans", &deny()?.to_string_lossy(), &["--offline", "check", "bans", "licenses", "sources"])?;
    codegen(true)?;
    run("lints", "cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    let (kubectl, python) = (kubectl()?, python()?);
    let environment = [
        ("KUBECTL", kubectl.to_string_lossy().into_owned()),
        ("CAUSEWAY_PYTHON", python.to_string_lossy().into_owned()),
        ("CAUSEWAY_BINARY", target().join("debug/causeway").to_string_lossy().into_owned()),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (*k, v.as_str())).collect();
    run_in(&root(), "tests", "cargo", &["test", "--workspace", "--locked"], &environment)?;
    scenarios(arguments)?;
    say("all green");
    Ok(())
}

/// `cargo fmt` does not see files that no module names; all of them are checked.
fn format() -> Result<()> {
    run("format", "cargo", &["fmt", "--all", "--check"])
}

/// The demo as a user runs it, and its variants.
fn scenarios(arguments: &TestArguments) -> Result<()> {
    let binary = target().join("debug/causeway-e2e");
    let binary = binary.to_str().context("the target folder's path is not UTF-8")?;
    let root = root();
    let root = root.to_str().context("the path of the clone is not UTF-8")?;
    let report = target().join("report.html");
    let report = report.to_str().context("the target folder's path is not UTF-8")?;
    let base = ["demo", "--json", "--root", root, "--report", report];
    let mut variants: Vec<(&str, Vec<&str>)> = vec![
        ("scenario: outage found, explained, repaired", vec![]),
        ("scenario: kill -9 in the middle of the feed", vec!["--crash", "3"]),
        ("scenario: a useless repair first", vec!["--wrong-fix"]),
        ("scenario: nothing may be repaired", vec!["--no-repair"]),
    ];
    if arguments.full {
        variants.push(("scenario: ten crashes", vec!["--crash", "10"]));
        variants.push(("scenario: all recordings", vec!["--all"]));
    }
    for (title, extra) in variants {
        let all: Vec<&str> = base.iter().copied().chain(extra).collect();
        run(title, binary, &all)?;
    }
    Ok(())
}
