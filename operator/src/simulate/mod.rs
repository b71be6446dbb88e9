//! `causeway simulate`: what a Baseline or an SLO would have said of the past, before anybody is woken by it.

mod png;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use causeway_engine::{DeclaredTime, Point, Raised, Simulation, simulate_baseline, simulate_objective};
use causeway_model::{Micros, SeriesId, parse_duration_us, rfc3339};
use causeway_predict::picture::{Drawn, Picture};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::parts::declared_api::DeclaredAnswer;
use crate::parts::past::{self, Span, Stored, Wanted};
use crate::query::{OutputFormat, QueryRequest, Server, ServerArguments, table};

/// Microseconds.
const MINUTE: i64 = 60_000_000;
/// Findings that are listed.
const LISTED: usize = 20;
/// Two findings that are no further apart are of one thing.
const NEAR: i64 = 10 * MINUTE;
/// Characters of the picture in the terminal.
const TERMINAL: (usize, usize) = (100, 12);
/// Pixels of the picture in a file.
const PIXELS: (u32, u32) = (1200, 360);

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A Baseline
    Baseline,
    /// An SLO
    Slo,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// Kind of the object
    #[arg(value_enum)]
    kind: Kind,
    /// Its name. Apply it with `suspend: true` to look before it counts
    name: String,
    /// Its namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// How far back
    #[arg(long, default_value = "-14d", allow_hyphen_values = true)]
    from: String,
    /// Also draw the series into this file, whose name ends in .png or .svg
    #[arg(long, visible_aliases = ["png", "svg"], value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Fetches, simulates and prints.
pub(crate) fn run(arguments: SimulateArguments) -> Result<()> {
    let SimulateArguments { kind, name, namespace, from, picture, server } = arguments;
    let picture = picture.map(|path| format_of(&path).map(|format| (path, format))).transpose()?;
    let length_us = parse_duration_us(from.trim_start_matches('-'))
        .filter(|length_us| *length_us > 0)
        .with_context(|| format!("--from {from} is no duration such as -14d or -36h"))?;
    let server = server.server()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (title, simulation, others) =
        runtime.block_on(simulated(&server, kind, &namespace, &name, length_us))?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", report(&title, &simulation, &others))?;
    if let Some((path, format)) = picture {
        save(&path, format, &title, &simulation)?;
        writeln!(out, "picture: {}", path.display())?;
    }
    Ok(())
}

/// A recorded finding, of which others may be compared with.
#[derive(Debug, Deserialize)]
struct Recorded {
    entity: String,
    signal: String,
    t: Micros,
}

async fn simulated(
    server: &Server,
    kind: Kind,
    namespace: &str,
    name: &str,
    length_us: i64,
) -> Result<(String, Simulation, Vec<Recorded>)> {
    let answer = server.get("/api/v1/declared").await?;
    let DeclaredAnswer { now_us, declared } = serde_json::from_slice(&answer)?;
    let unknown = |kind: &str| {
        format!(
            "no {kind} {namespace}/{name} is followed: apply it first (suspend: true is enough), give its \
             namespace with -n, or see why it is not Ready"
        )
    };
    let of = |step_us: i64| Span {
        from_us: (now_us - length_us).div_euclid(step_us) * step_us,
        to_us: now_us,
        step_us,
    };
    let (title, simulation, span) = match kind {
        Kind::Baseline => {
            let config = declared.baselines.iter().find(|b| b.namespace == namespace && b.name == name);
            let config = config.with_context(|| unknown("Baseline"))?;
            let span = of(config.resolution_us);
            let past = fetch(server, &past::of_baseline(config), &config.entities, &span).await?;
            let service = declared.services.iter().find(|s| config.entities.contains(&s.telemetry_name));
            let time = DeclaredTime {
                peaks: declared.peaks.clone(),
                offsets: service.and_then(|service| service.offsets.clone()),
            };
            (format!("Baseline {namespace}/{name}"), simulate_baseline(config, &time, &past), span)
        }
        Kind::Slo => {
            let config = declared.objectives.iter().find(|o| o.namespace == namespace && o.name == name);
            let config = config.with_context(|| unknown("SLO"))?;
            let span = of(config.step_us());
            let past = fetch(server, &past::of_objective(config), &config.entities, &span).await?;
            (format!("SLO {namespace}/{name}"), simulate_objective(config, span.step_us, &past), span)
        }
    };
    let sql = format!(
        "SELECT entity, signal, CAST(time AS BIGINT) AS t FROM findings \
         WHERE state = 'open' AND time >= TIMESTAMP '{}'",
        rfc3339(span.from_us)
    );
    let answer = server.ask(&QueryRequest { sql, format: OutputFormat::Json }).await?;
    let recorded = answer.lines().filter(|line| !line.is_empty()).map(serde_json::from_str);
    let recorded: Vec<Recorded> = recorded.collect::<Result<_, _>>()?;
    Ok((title, simulation, recorded))
}

async fn fetch(server: &Server, wanted: &[Wanted], entities: &[String], span: &Span) -> Result<Stored> {
    let mut stored = Stored::new();
    for one in wanted {
        let sql = one.sql(entities, span);
        let answer = server.ask(&QueryRequest { sql, format: OutputFormat::Json }).await?;
        one.read(&answer, entities.first().map_or("", String::as_str), span, &mut stored)?;
    }
    if stored.is_empty() {
        bail!(
            "nothing is stored of {} since {}: is it sent under that name?",
            entities.join(" or "),
            rfc3339(span.from_us)
        );
    }
    Ok(stored)
}

/// What people read.
fn report(title: &str, simulation: &Simulation, recorded: &[Recorded]) -> String {
    let mut text = String::new();
    if let Some((picture, points)) = busiest(simulation) {
        let raised = times(simulation, picture);
        let title = format!("{title}: {}", words(picture));
        text.push_str(
            &Picture { title: &title, points: &points, raised: &raised }.terminal(TERMINAL.0, TERMINAL.1),
        );
        text.push('\n');
    }
    let header = ["FROM", "TO", "SERIES", "OBSERVED", "EXPECTED", "LIMIT"].map(str::to_owned).to_vec();
    let listed = simulation.raised.iter().take(LISTED).map(|raised| {
        let f = &raised.finding;
        let limit = if f.observed > f.expected { f.upper } else { f.lower };
        let shown = |value: f64| if value.is_finite() { format!("{value:.4}") } else { "-".to_owned() };
        let until = raised.until_us.map_or_else(|| "still open".to_owned(), rfc3339);
        let values = [f.observed, f.expected, limit].map(shown);
        [vec![rfc3339(f.since_us), until, words(&f.series)], values.to_vec()].concat()
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(listed).collect();
    let found = simulation.raised.len();
    if found > 0 {
        text.push_str(&format!("{}\n", table(&rows)));
    }
    if found > LISTED {
        text.push_str(&format!("and {} more\n", found - LISTED));
    }
    let (from, to) = simulation.covered.unwrap_or_default();
    let days = (to - from) as f64 / 86_400e6;
    text.push_str(&format!(
        "would have been raised {found} times in {days:.1} days of data: {:.1} a week over {} series\n",
        simulation.per_week(),
        simulation.points.len()
    ));
    let lone = simulation.raised.iter().filter(|raised| is_alone(raised, recorded)).count();
    let weeks = (days / 7.0).max(f64::MIN_POSITIVE);
    let chance = simulation.by_chance_per_week.map_or_else(
        || "nothing is learned, so chance has no part in it".to_owned(),
        |rate| format!("the sensitivity allows chance {rate:.2} a week"),
    );
    text.push_str(&format!(
        "false alarms: {chance}; {lone} of {found} came while nothing else was found, at most {:.1} a week\n",
        lone as f64 / weeks
    ));
    text
}

/// Whether no other finding was recorded while this one would have been open, or shortly before or after.
fn is_alone(raised: &Raised, recorded: &[Recorded]) -> bool {
    let own = &raised.finding.series;
    let until_us = raised.until_us.unwrap_or(Micros::MAX - NEAR) + NEAR;
    let near = |other: &&Recorded| (raised.finding.since_us - NEAR..=until_us).contains(&other.t);
    let others = recorded.iter().filter(|o| o.entity != *own.entity || o.signal != *own.signal);
    others.filter(near).count() == 0
}

/// The series that most was raised for, else the one with the most points.
fn busiest(simulation: &Simulation) -> Option<(&SeriesId, Vec<Drawn>)> {
    let raised =
        |id: &SeriesId| simulation.raised.iter().filter(|raised| raised.finding.series == *id).count();
    let (id, points) = simulation.points.iter().max_by_key(|(id, points)| (raised(id), points.len()))?;
    let drawn = |point: &Point| Drawn {
        t: point.at_us.div_euclid(1_000_000),
        value: point.value,
        lower: point.lower,
        upper: point.upper,
    };
    Some((id, points.iter().map(drawn).collect()))
}

/// When something would have been open for a series, in unix seconds.
fn times(simulation: &Simulation, id: &SeriesId) -> Vec<(i64, i64)> {
    let of = simulation.raised.iter().filter(|raised| raised.finding.series == *id);
    of.map(|raised| {
        let until_us = raised.until_us.unwrap_or(simulation.covered.map_or(raised.finding.at_us, |c| c.1));
        (raised.finding.since_us / 1_000_000, until_us / 1_000_000)
    })
    .collect()
}

fn words(id: &SeriesId) -> String {
    let group = if id.group.is_empty() { String::new() } else { format!(" ({})", id.group) };
    format!("{}{group} of {}", id.signal, id.entity)
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Png,
    Svg,
}

fn format_of(path: &Path) -> Result<Format> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("png") => Ok(Format::Png),
        Some("svg") => Ok(Format::Svg),
        _ => bail!("{}: pictures are PNG or SVG: name a file that ends in .png or .svg", path.display()),
    }
}

fn save(path: &Path, format: Format, title: &str, simulation: &Simulation) -> Result<()> {
    let (id, points) = busiest(simulation).context("there is no point to draw")?;
    let title = format!("{title}: {}", words(id));
    let picture = Picture { title: &title, points: &points, raised: &times(simulation, id) };
    let document = match format {
        Format::Png => png::encode(&picture.pixels(PIXELS.0 as usize, PIXELS.1 as usize))?,
        Format::Svg => picture.svg(PIXELS.0, PIXELS.1).into_bytes(),
    };
    std::fs::write(path, document).with_context(|| format!("cannot write {}", path.display()))
}
