//! `causeway bundle` and `causeway replay`: an Incident as one file, and its decision made again.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use causeway_engine::{Bundle, digest};
use causeway_model::rfc3339;
use clap::Args;

use crate::query::Server;

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// `spec.fingerprint` of the Incident
    fingerprint: String,
    /// Data folder of the running Causeway
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// File to write; FINGERPRINT.bundle when absent
    #[arg(long, short)]
    file: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// File that `causeway bundle` wrote
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Fetches a bundle.
pub(crate) fn fetch(arguments: BundleArguments) -> Result<()> {
    let BundleArguments { fingerprint, data, file } = arguments;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = format!("/api/v1/bundles/{fingerprint}");
    let bytes = runtime.block_on(Server::of(&data)?.get(&path))?;
    let bundle = Bundle::read(&bytes)?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{fingerprint}.bundle")));
    std::fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} bytes, {}", file.display(), bytes.len(), digest(&bytes))?;
    writeln!(out, "decided at {} as {}", rfc3339(bundle.decided_us), bundle.decision)?;
    Ok(())
}

/// Makes the decision of a bundle again; an error when it is another one.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<()> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bundle = Bundle::read(&bytes).with_context(|| path.display().to_string())?;
    let again = bundle.replay()?;
    let mut out = std::io::stdout().lock();
    let same = again.decision == bundle.decision;
    if arguments.json {
        let told = serde_json::json!({
            "fingerprint": bundle.fingerprint(),
            "digest": digest(&bytes),
            "madeBy": bundle.made_by,
            "decidedAt": rfc3339(bundle.decided_us),
            "decision": bundle.decision,
            "replayed": again.decision,
            "same": same,
            "incident": again.draft,
        });
        writeln!(out, "{told}")?;
    } else {
        let draft = &again.draft;
        writeln!(out, "Incident {}, decided at {}", bundle.fingerprint(), rfc3339(bundle.decided_us))?;
        let sure = if draft.abstained { "no cause is sure enough" } else { "cause found" };
        writeln!(out, "{}: {sure}, {:?} {}", draft.opened_for, draft.cause.kind, draft.cause.entity)?;
        for sentence in &draft.explanation {
            writeln!(out, "  {} {}", sentence.text, sentence.evidence.join(" "))?;
        }
        writeln!(out, "then {}\nnow  {}", bundle.decision, again.decision)?;
    }
    if !same {
        bail!("the decision is another one: the bundle was made by version {}", bundle.made_by);
    }
    Ok(())
}
