//! `causeway verify-audit`: of a running Causeway, or offline of a file.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::checkpoint::PublicKey;
use super::entry::{Entry, Head};
use super::keep::{PAGE, page_after};
use super::verify::Verifier;
use crate::query::{OutputFormat, QueryRequest, Server};

/// Arguments of `verify-audit`.
#[derive(Debug, Args)]
pub(crate) struct VerifyAuditArguments {
    /// Entries as JSON lines, from `causeway query --output json 'SELECT * FROM audit ORDER BY sequence'`; without it
    /// the Causeway of --data is asked
    file: Option<PathBuf>,
    /// Data folder of the running Causeway
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Public key (PEM); `audit.pub` of the data folder when absent
    #[arg(long)]
    public_key: Option<PathBuf>,
    /// `SEQUENCE:HASH` of an entry noted earlier, which must still be there: finds an end that was cut off
    #[arg(long, value_parser = parse_head)]
    expect: Option<Head>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

fn parse_head(text: &str) -> Result<Head, String> {
    let (sequence, hash) = text.split_once(':').ok_or("SEQUENCE:HASH is expected")?;
    let sequence = sequence.parse().map_err(|error| format!("{sequence}: {error}"))?;
    Ok(Head { sequence, hash: hash.to_owned() })
}

/// Verifies, and tells how far; an error is the first fault.
pub(crate) fn run(arguments: VerifyAuditArguments) -> Result<()> {
    let VerifyAuditArguments { file, data, public_key, expect, json } = arguments;
    let key = PublicKey::read(&public_key.unwrap_or_else(|| data.join("audit.pub")))?;
    let mut verifier = Verifier::new(key).expecting(expect);
    match &file {
        Some(file) => of_file(file, &mut verifier)?,
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(of_server(&Server::of(&data)?, &mut verifier))?;
        }
    }
    let report = verifier.finish()?;
    let mut out = std::io::stdout().lock();
    if json {
        let told = serde_json::json!({
            "entries": report.entries,
            "checkpoints": report.checkpoints,
            "signedTo": report.signed_to,
            "keyId": report.key_id,
            "head": format!("{}:{}", report.head.sequence, report.head.hash),
        });
        writeln!(out, "{told}")?;
        return Ok(());
    }
    writeln!(
        out,
        "The audit log is whole: {} entries, {} checkpoints, signed by {} up to entry {}.",
        report.entries, report.checkpoints, report.key_id, report.signed_to
    )?;
    writeln!(
        out,
        "Note its end elsewhere, and give it next time:\n  --expect {}:{}",
        report.head.sequence, report.head.hash
    )?;
    Ok(())
}

fn of_file(path: &Path, verifier: &mut Verifier) -> Result<()> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let at = || format!("{}:{}", path.display(), number + 1);
        let entry: Entry = serde_json::from_str(&line.with_context(at)?)
            .context("no entry of an audit log")
            .with_context(at)?;
        verifier.see(&entry).with_context(at)?;
    }
    Ok(())
}

async fn of_server(server: &Server, verifier: &mut Verifier) -> Result<()> {
    let mut last = 0;
    loop {
        let request = QueryRequest { sql: page_after(last), format: OutputFormat::Json };
        let page = server.ask(&request).await?;
        let mut count = 0;
        for line in page.lines() {
            let entry: Entry = serde_json::from_str(line).context("an entry that can't be read")?;
            verifier.see(&entry)?;
            if entry.sequence <= last {
                bail!("the entries do not come in order");
            }
            (last, count) = (entry.sequence, count + 1);
        }
        if count < PAGE {
            return Ok(());
        }
    }
}
