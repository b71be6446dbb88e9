//! `causeway import` and `causeway export`: objectives from the documents of other tools, and back.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use causeway_crds::SLO;
use causeway_crds::convert::{Format, Imported, Place, import as imported, to_openslo};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

/// What documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// OpenSLO v1
    Openslo,
    /// Sloth: prometheus/v1 or PrometheusServiceLevel
    Sloth,
    /// Pyrra: ServiceLevelObjective
    Pyrra,
    /// Rules of Prometheus, as a file or a PrometheusRule
    PrometheusRules,
}

/// What documents are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// OpenSLO v1
    Openslo,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Form of the documents
    #[arg(value_enum)]
    from: From,
    /// YAML file
    file: PathBuf,
    /// Namespace of what is made
    #[arg(long, short)]
    namespace: Option<String>,
    /// MonitoredService of objectives whose document names none
    #[arg(long)]
    service: Option<String>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Form of the documents
    #[arg(value_enum)]
    to: To,
    /// YAML file with SLOs, such as from `kubectl get slos -A -o yaml`
    file: PathBuf,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Objects as YAML on the standard output, notes on the standard error.
pub(crate) fn import(arguments: &ImportArguments) -> Result<()> {
    let ImportArguments { from, file, namespace, service } = arguments;
    let format = match from {
        From::Openslo => Format::OpenSlo,
        From::Sloth => Format::Sloth,
        From::Pyrra => Format::Pyrra,
        From::PrometheusRules => Format::PrometheusRules,
    };
    let place = Place { namespace: namespace.clone(), service: service.clone() };
    let Imported { slos, baselines, notes } =
        imported(format, &read(file)?, &place).with_context(|| file.display().to_string())?;
    let mut out = std::io::stdout().lock();
    slos.iter().try_for_each(|slo| document(&mut out, slo))?;
    baselines.iter().try_for_each(|baseline| document(&mut out, baseline))?;
    let mut aside = std::io::stderr().lock();
    for note in &notes {
        writeln!(aside, "note: {note}")?;
    }
    if slos.is_empty() && baselines.is_empty() {
        bail!("nothing could be made of {}; the notes say why", file.display());
    }
    Ok(())
}

/// Documents as YAML on the standard output.
pub(crate) fn export(arguments: &ExportArguments) -> Result<()> {
    let ExportArguments { to: To::Openslo, file } = arguments;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&read(file)?).with_context(|| file.display().to_string())?;
    let objects = documents.into_iter().flat_map(|document| match document.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => vec![document],
    });
    let slos = objects.filter(|object| object.get("kind").and_then(Value::as_str) == Some("SLO"));
    let slos = slos.map(serde_json::from_value::<SLO>).collect::<Result<Vec<SLO>, _>>();
    let slos = slos.with_context(|| format!("an SLO in {} can't be read", file.display()))?;
    if slos.is_empty() {
        bail!("{} holds no SLO of causeway.dev", file.display());
    }
    let mut out = std::io::stdout().lock();
    to_openslo(&slos).iter().try_for_each(|made| document(&mut out, made))
}

fn document(out: &mut impl std::io::Write, object: &impl Serialize) -> Result<()> {
    let text = serde_saphyr::to_string(object)?;
    writeln!(out, "---\n{}", text.trim_end())?;
    Ok(())
}
