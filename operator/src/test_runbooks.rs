//! `causeway test`: runs the tests of Runbooks on recorded incidents, without a cluster.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use causeway_controllers::{Bundles, TestVerdict, check_runbook, test_runbook};
use causeway_crds::Runbook;
use clap::Args;

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// A file with Runbooks, or a folder that is looked through for them
    runbooks: PathBuf,
    /// Folder with the bundles that `causeway bundle` wrote; they are known by their digests
    #[arg(long)]
    bundles: Option<PathBuf>,
    /// JSON lines, one a test
    #[arg(long)]
    json: bool,
}

/// Checks every Runbook and runs its tests; an error unless all pass.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    let mut files = Vec::new();
    collect(&arguments.runbooks, &["yaml", "yml"], &mut files)?;
    let bundles = arguments.bundles.as_deref().map(Bundles::in_folder).transpose()?.unwrap_or_default();
    let find = |digest: &str| bundles.find(digest);
    let mut out = std::io::stdout().lock();
    let (mut checked, mut passed, mut wrong) = (0, 0, 0);
    for file in &files {
        for runbook in runbooks_in(file)? {
            checked += 1;
            let name = runbook.metadata.name.clone().unwrap_or_default();
            let mut tell = |test: &str, verdict: &str, why: &str| -> std::io::Result<()> {
                if arguments.json {
                    let line = serde_json::json!({"runbook": name, "test": test, "verdict": verdict, "message": why});
                    writeln!(out, "{line}")
                } else {
                    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                    writeln!(out, "{verdict:<7} {name} {test}{why}")
                }
            };
            match check_runbook(&runbook.spec) {
                Ok(steps) => tell("(compiles)", "ok", &steps)?,
                Err(why) => {
                    wrong += 1;
                    tell("(compiles)", "FAILED", &why)?;
                    continue;
                }
            }
            for outcome in test_runbook(&runbook, &find) {
                match &outcome.verdict {
                    TestVerdict::Passed => {
                        passed += 1;
                        tell(&outcome.name, "ok", "")?;
                    }
                    TestVerdict::Failed(why) => {
                        wrong += 1;
                        tell(&outcome.name, "FAILED", why)?;
                    }
                    TestVerdict::Missing => {
                        wrong += 1;
                        tell(
                            &outcome.name,
                            "MISSING",
                            "no bundle with this digest is in the folder of --bundles",
                        )?;
                    }
                }
            }
        }
    }
    if checked == 0 {
        bail!("no Runbook was found in {}", arguments.runbooks.display());
    }
    if !arguments.json {
        writeln!(out, "{checked} Runbooks, {passed} tests passed, {wrong} failed")?;
    }
    if wrong > 0 {
        bail!("{wrong} failed");
    }
    Ok(())
}

/// The Runbooks of a file; other objects are passed over.
fn runbooks_in(file: &Path) -> Result<Vec<Runbook>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut found = Vec::new();
    for (index, document) in text.split("\n---").enumerate() {
        let place = || format!("{}, document {}", file.display(), index + 1);
        let document = document.trim_start_matches("---");
        if document.trim().is_empty() {
            continue;
        }
        let object: serde_json::Value =
            serde_saphyr::from_str(document).map_err(|error| anyhow::anyhow!("{}: {error}", place()))?;
        if object.get("kind").and_then(serde_json::Value::as_str) == Some("Runbook") {
            found.push(serde_json::from_value(object).with_context(place)?);
        }
    }
    Ok(found)
}

/// Files with one of these extensions at or below a path, by name.
fn collect(path: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let fits = path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e));
        if path.is_dir() || fits {
            collect(&path, extensions, files)?;
        }
    }
    Ok(())
}
