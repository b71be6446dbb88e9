//! Two weeks of telemetry by the minute, sent as any sender would, and how long `causeway simulate` takes over it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span};
use serde_json::json;

use crate::demo::tables::table;
use crate::otlp::{Exporter, Payload, gauge, nanos};
use crate::process::{Endpoints, Places};

const MINUTE_US: i64 = 60_000_000;
/// Minutes of one request.
const CHUNK: i64 = 60;
/// How long the process may need until it follows what was declared.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shop whose past is simulated; everything is suspended, so that nothing is learned beside it.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: past}
---
apiVersion: v1
kind: Secret
metadata: {name: tokens, namespace: past}
stringData: {otlp: past-token}
---
apiVersion: causeway.dev/v1alpha1
kind: LogSource
metadata: {name: otlp, namespace: past}
spec:
  type: OTLP
  otlp: {auth: {tokenSecretRef: {name: tokens, key: otlp}}}
---
apiVersion: causeway.dev/v1alpha1
kind: MonitoredService
metadata: {name: web, namespace: past}
spec: {}
---
apiVersion: causeway.dev/v1alpha1
kind: Baseline
metadata: {name: latency, namespace: past}
spec:
  serviceRef: {name: web}
  series: {type: Trace, trace: {signal: Latency}}
  model: {type: Auto}
  suspend: true
---
apiVersion: causeway.dev/v1alpha1
kind: Baseline
metadata: {name: pool, namespace: past}
spec:
  serviceRef: {name: web}
  series: {type: Metric, metric: {name: pool.in_use}}
  model: {type: Auto}
  suspend: true
---
apiVersion: causeway.dev/v1alpha1
kind: SLO
metadata: {name: availability, namespace: past}
spec:
  serviceRef: {name: web}
  indicator:
    type: Ratio
    ratio:
      bad: {type: Signal, signal: Errors}
      total: {type: Signal, signal: Traffic}
  target: "99.9"
  suspend: true
"#;

/// Arguments of `past`.
#[derive(Args, Clone, Debug)]
pub struct PastArguments {
    /// Days that are sent
    #[arg(long, default_value_t = 14)]
    pub days: i64,
    /// Requests a minute, a span each
    #[arg(long, default_value_t = 60)]
    pub requests: i64,
    /// Series of the metric, a point a minute each
    #[arg(long, default_value_t = 4)]
    pub series: i64,
    /// The `causeway` binary
    #[arg(long)]
    pub causeway: PathBuf,
    /// Folder for data and logs, empty or absent
    #[arg(long)]
    pub data: PathBuf,
}

/// Sends the past, simulates each object, and prints how long that takes.
///
/// # Errors
/// When something is refused, or a simulation fails.
pub async fn run(arguments: PastArguments) -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let places = Places {
        causeway: arguments.causeway.clone(),
        data: arguments.data.join("data"),
        manifests: arguments.data.join("manifests"),
        logs: arguments.data.clone(),
        cluster: None,
        roles: None,
        arguments: Vec::new(),
    };
    for folder in [&places.data, &places.manifests] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(places.manifests.join("past.yaml"), OBJECTS)?;
    let until = jiff::Timestamp::now().as_microsecond().div_euclid(MINUTE_US);
    let from = until - arguments.days * 1440;
    // What is much older than the clock, or ahead of it, is stored under the time at which it came: the clock goes along.
    let (_causeway, endpoints) = places.start_causeway(at(from)?, None).await?;
    let begun = Instant::now();
    let spans = send(&arguments, &places, &endpoints, from..until).await?;
    let sending = begun.elapsed();

    let mut rows = vec![(
        "sent".to_owned(),
        format!("{} days, {spans} spans in {:.0} s", arguments.days, sending.as_secs_f64()),
    )];
    for (kind, name) in [("baseline", "latency"), ("baseline", "pool"), ("slo", "availability")] {
        let (seconds, last) = simulate(&arguments, &places, kind, name)?;
        rows.push((format!("simulate {kind} {name}"), format!("{seconds:.2} s: {last}")));
    }
    show(&rows);
    Ok(())
}

fn at(minute: i64) -> Result<jiff::Timestamp> {
    Ok(jiff::Timestamp::from_microsecond(minute * MINUTE_US)?)
}

async fn send(
    arguments: &PastArguments,
    places: &Places,
    endpoints: &Endpoints,
    all: std::ops::Range<i64>,
) -> Result<i64> {
    let exporter = Exporter::new(&endpoints.otlp_http, "past-token", "past")?;
    let mut spans = 0;
    for chunk in all.clone().step_by(CHUNK as usize) {
        let minutes = chunk..(chunk + CHUNK).min(all.end);
        let end = minutes.end;
        let payload = Payload {
            spans: BTreeMap::from([(
                "web".to_owned(),
                minutes.clone().flat_map(|m| served(m, arguments.requests)).collect(),
            )]),
            metrics: BTreeMap::from([(
                "web".to_owned(),
                minutes.flat_map(|m| pools(m, arguments.series)).collect(),
            )]),
            ..Payload::default()
        };
        step(places, endpoints, at(end)?).await?;
        let sent = exporter.send(payload).await?;
        spans += i64::try_from(sent.spans)?;
    }
    step(places, endpoints, at(all.end)?).await?;
    Ok(spans)
}

/// From 0 to 1, by a day's course.
fn day(minute: i64) -> f64 {
    0.5 - 0.5 * (std::f64::consts::TAU * (minute % 1440) as f64 / 1440.0).cos()
}

/// From 0 to 1, without any order.
fn scatter(seed: i64) -> f64 {
    ((seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1_u32 << 24)
}

/// The requests of a minute; for one hour on the last day but two they are slow and a third of them fails.
fn served(minute: i64, requests: i64) -> impl Iterator<Item = Span> {
    let is_outage = (minute / 60) % (24 * 7) == 100;
    (0..requests).map(move |n| {
        let seed = minute * 10_000 + n;
        let factor = if is_outage { 5.0 } else { 1.0 };
        let seconds = (0.08 + 0.06 * day(minute) + 0.04 * scatter(seed)) * factor;
        let fails = scatter(seed ^ 0x5555) < if is_outage { 0.33 } else { 0.0002 };
        let start_us = minute * MINUTE_US + n * MINUTE_US / requests;
        Span {
            trace_id: u128::from((seed as u64) | 1).to_be_bytes().to_vec(),
            span_id: (seed as u64 | 1).to_be_bytes().to_vec(),
            name: "GET /".to_owned(),
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: nanos(start_us),
            end_time_unix_nano: nanos(start_us + (seconds * 1e6) as i64),
            status: fails.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
            ..Span::default()
        }
    })
}

fn pools(minute: i64, series: i64) -> impl Iterator<Item = opentelemetry_proto::tonic::metrics::v1::Metric> {
    (0..series).map(move |n| {
        let value = 20.0 + 40.0 * day(minute) + 8.0 * scatter(minute * 31 + n);
        let pool = crate::otlp::attribute("pool", &format!("pool-{n}"));
        gauge("pool.in_use", "{connection}", minute * MINUTE_US, value, vec![pool])
    })
}

/// Moves the clock, and waits until everything is stored and followed.
async fn step(places: &Places, endpoints: &Endpoints, now: jiff::Timestamp) -> Result<()> {
    let token = std::fs::read_to_string(places.data.join("token"))?;
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let url = format!("{}/api/v1/clock", endpoints.api);
    let answer = http.post(url).bearer_auth(token.trim()).json(&json!({"now": now})).send().await?;
    if !answer.status().is_success() {
        bail!("{}", answer.text().await?);
    }
    Ok(())
}

/// Seconds, and the last line but one of what is said.
fn simulate(arguments: &PastArguments, places: &Places, kind: &str, name: &str) -> Result<(f64, String)> {
    let from = format!("-{}d", arguments.days);
    let mut command = Command::new(&arguments.causeway);
    command.args(["simulate", kind, name, "-n", "past", "--from", &from, "--data"]).arg(&places.data);
    let picture = places.logs.join(format!("{kind}-{name}.png"));
    command.arg("--picture").arg(&picture);
    let begun = Instant::now();
    let output = command.output().context("causeway can't be started")?;
    let seconds = begun.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{kind} {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = text.lines().find(|line| line.starts_with("would have been raised")).unwrap_or_default();
    Ok((seconds, said.to_owned()))
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn show(rows: &[(String, String)]) {
    let mut table = table(&["what", "result"]);
    for (name, value) in rows {
        table.add_row([name, value]);
    }
    println!("{table}");
}
