//! What a user sees of the cluster.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::record::Record;
use super::{Output, process};

/// The line to paste; alone on standard output's last line, so that a script can take it.
pub(crate) fn export(record: &Record) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "export KUBECONFIG={}", record.kubeconfig.display())?)
}

/// The processes of a cluster, found by their mark.
pub(crate) fn status(data: &Path, output: Output) -> Result<()> {
    let mut terminal = std::io::stdout().lock();
    let running = process::find(data)?;
    let Some(record) = Record::read(data)? else {
        bail!("there is no cluster in {}; start one by `cargo xtask cluster up`", data.display());
    };
    let pid_of: BTreeMap<&str, u32> = running.iter().map(|(pid, name)| (name.as_str(), *pid)).collect();
    let parts: Vec<Value> = record
        .parts
        .iter()
        .map(|part| {
            let pid = pid_of.get(part.name.as_str());
            json!({
                "name": part.name, "version": part.version, "state": state(pid.copied()), "pid": pid,
                "memoryMiB": pid.and_then(|pid| memory(*pid)), "log": part.log,
            })
        })
        .collect();
    match output {
        Output::Json => {
            let all = json!({ "data": data, "kubeconfig": record.kubeconfig, "server": record.server, "nodes": record.nodes, "parts": parts });
            writeln!(terminal, "{}", serde_json::to_string_pretty(&all)?)?;
        }
        Output::Table => {
            writeln!(
                terminal,
                "{:<24} {:<8} {:<8} {:>7} {:>8}  LOG",
                "PART", "VERSION", "STATE", "PID", "MEMORY"
            )?;
            for part in &parts {
                let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
                let number = |name: &str, unit: &str| {
                    part[name].as_u64().map_or_else(|| "-".to_owned(), |n| format!("{n}{unit}"))
                };
                writeln!(
                    terminal,
                    "{:<24} {:<8} {:<8} {:>7} {:>8}  {}",
                    text("name"),
                    text("version"),
                    text("state"),
                    number("pid", ""),
                    number("memoryMiB", "Mi"),
                    text("log")
                )?;
            }
            drop(terminal);
            export(&record)?;
        }
    }
    let down: Vec<&str> = parts
        .iter()
        .filter(|part| part["state"] == "ended")
        .filter_map(|part| part["name"].as_str())
        .collect();
    if parts.is_empty() || !down.is_empty() {
        bail!(
            "not running: {}; run `cargo xtask cluster up` for a new cluster",
            if parts.is_empty() { "all".to_owned() } else { down.join(", ") }
        );
    }
    Ok(())
}

/// `running`, `stopped` by a signal, or `ended`.
fn state(pid: Option<u32>) -> &'static str {
    let Some(pid) = pid else { return "ended" };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()) {
        Some("T" | "t") => "stopped",
        Some(_) => "running",
        None => "ended",
    }
}

/// Resident memory.
fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
