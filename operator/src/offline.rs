//! The offline tools: the models on files, without a running Causeway.

use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use causeway_causal::case::Case;
use causeway_causal::rank::rank;
use clap::Args;
use comfy_table::{Table, presets};

/// Arguments of `patterns`.
#[derive(Debug, Args)]
pub(crate) struct PatternsArguments {
    /// Log file, one message a line; headers are found by themselves
    #[arg(long)]
    input: PathBuf,
    /// JSON lines: one a line, one a template
    #[arg(long)]
    json: bool,
}

/// Arguments of `baseline`.
#[derive(Debug, Args)]
pub(crate) struct BaselineArguments {
    /// CSV with `timestamp,value`
    #[arg(long)]
    series: PathBuf,
    /// CSV with `name,start,end` of events known beforehand
    #[arg(long)]
    events: Option<String>,
    /// JSON lines, one a row; otherwise only the anomalous rows, for people
    #[arg(long)]
    json: bool,
}

/// Arguments of `forecast`.
#[derive(Debug, Args)]
pub(crate) struct ForecastArguments {
    /// CSV with `timestamp,value`
    #[arg(long)]
    series: PathBuf,
    /// Steps to forecast
    #[arg(long)]
    horizon: usize,
    /// CSV with `name,start,end` of events known beforehand
    #[arg(long)]
    events: Option<String>,
    /// One JSON object; otherwise a table
    #[arg(long)]
    json: bool,
}

/// Arguments of `rca`.
#[derive(Debug, Args)]
pub(crate) struct RcaArguments {
    /// Folder with `case.json`
    #[arg(long)]
    case: PathBuf,
    /// One JSON object; otherwise a table
    #[arg(long)]
    json: bool,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// An empty name is no file, so that a script may always pass the argument.
fn read_optional(path: Option<&str>) -> Result<Option<String>> {
    path.filter(|path| !path.is_empty()).map(|path| read(Path::new(path))).transpose()
}

/// `causeway patterns`.
pub(crate) fn patterns(arguments: &PatternsArguments) -> Result<()> {
    let path = &arguments.input;
    let input = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = causeway_patterns::offline::run(&input);
    let mut out = BufWriter::new(std::io::stdout().lock());
    if arguments.json {
        let mut text = String::new();
        found.write_json(&mut text)?;
        out.write_all(text.as_bytes())?;
    } else {
        let mut templates: Vec<_> = found.miner.templates().collect();
        templates.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["COUNT", "TEMPLATE"]);
        for template in templates {
            table.add_row([template.count.to_string(), template.text.to_string()]);
        }
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    Ok(())
}

/// `causeway baseline`.
pub(crate) fn baseline(arguments: &BaselineArguments) -> Result<()> {
    let csv = read(&arguments.series)?;
    let events = read_optional(arguments.events.as_deref())?;
    let lines = causeway_predict::offline::baseline(&csv, events.as_deref())
        .with_context(|| arguments.series.display().to_string())?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in lines {
        if arguments.json || line.contains("\"anomalous\":true") {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// `causeway forecast`.
pub(crate) fn forecast(arguments: &ForecastArguments) -> Result<()> {
    let csv = read(&arguments.series)?;
    let events = read_optional(arguments.events.as_deref())?;
    let text = causeway_predict::offline::forecast(&csv, arguments.horizon, events.as_deref())
        .with_context(|| arguments.series.display().to_string())?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let number = |path: &str, i: usize| {
        value
            .pointer(path)
            .and_then(|a| a.get(i))
            .and_then(serde_json::Value::as_f64)
            .map_or_else(String::new, |v| format!("{v:.4}"))
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["STEP", "MEAN", "10 %", "90 %"]);
    for i in 0..arguments.horizon {
        table.add_row([
            (i + 1).to_string(),
            number("/mean", i),
            number("/quantiles/0.1", i),
            number("/quantiles/0.9", i),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// `causeway rca`.
pub(crate) fn rca(arguments: &RcaArguments) -> Result<()> {
    let folder = &arguments.case;
    let description = read(&folder.join("case.json"))?;
    let case = Case::from_files(&description, &mut |file| read_file(&folder.join(file)))
        .map_err(|e| anyhow::anyhow!("{}: {e}", folder.display()))?;
    let ranking = rank(&case);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", causeway_causal::offline::to_json(&case.id, &ranking))?;
        return Ok(());
    }
    let verdict = if ranking.abstained { "not sure" } else { "cause found" };
    writeln!(out, "{}: {verdict}, confidence {:.2}", case.id, ranking.confidence)?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["SUSPECT", "SCORE", "CAUSE", "EVIDENCE"]);
    for suspect in ranking.ranked.iter().take(5) {
        let evidence = suspect.evidence.first().map(|e| e.note.clone()).unwrap_or_default();
        table.add_row([
            suspect.entity.clone(),
            format!("{:.2}", suspect.score),
            suspect.class.as_str().to_owned(),
            evidence,
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut out)?;
    Ok(out)
}
