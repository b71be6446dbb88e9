//! What an engine needs for a busy system: `topology [--services N] [--spans N a minute] [--minutes N]`. Prints CPU time a
//! minute of data, edges found and wrong, spans kept, and the peak memory of the process.
#![allow(missing_docs, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::error::Error;

use causeway_engine::{Engine, EngineConfig};
use causeway_model::{Partial, SourceRef, SpanKind, SpanStub, Window};

const STEP: i64 = 10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut services, mut spans, mut minutes) = (250_u64, 1_000_000_u64, 5_i64);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
        match arg.as_str() {
            "--services" => services = number.parse()?,
            "--spans" => spans = number.parse()?,
            "--minutes" => minutes = number.parse()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    // A tree of services with a few shortcuts.
    let truth: Vec<(u64, u64)> =
        (1..services).flat_map(|at| [((at - 1) / 2, at), (at / 3, at)]).filter(|(a, b)| a != b).collect();
    let names: Vec<std::sync::Arc<str>> = (0..services).map(|at| format!("shop/s{at}").into()).collect();
    let name = |at: u64| names.get(at as usize).cloned().unwrap_or_default();
    let operation: std::sync::Arc<str> = "GET /".into();
    let mut engine = Engine::new(EngineConfig::default());
    let mut trace = 0_u64;
    let mut busy = std::time::Duration::ZERO;
    for index in 0..minutes * 6 {
        let start = index * STEP;
        let mut stubs = Vec::new();
        while (stubs.len() as u64) < spans / 6 {
            let (a, b) = truth.get(trace as usize % truth.len()).copied().unwrap_or_default();
            trace += 1;
            let at = start + (trace.wrapping_mul(7919) % 9_000_000) as i64;
            let stub = |span: u64, parent: u64, service: u64, kind: SpanKind, duration_us: i64| SpanStub {
                trace: trace.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                span,
                parent,
                service: name(service),
                operation: operation.clone(),
                kind,
                start_us: at,
                duration_us,
                error: false,
                peer: None,
            };
            stubs.push(stub(1, 0, a, SpanKind::Server, 20_000));
            stubs.push(stub(2, 1, a, SpanKind::Client, 12_000));
            stubs.push(stub(3, 2, b, SpanKind::Server, 10_000));
        }
        let partial = Partial {
            source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
            window: Window { start_us: start, end_us: start + STEP },
            series: Vec::new(),
            records: stubs.len() as u64,
            spans: stubs,
            templates: Vec::new(),
            aliases: Vec::new(),
            template_texts: Vec::new(),
            newest_us: start + STEP,
        };
        let begun = std::time::Instant::now();
        engine.observe(partial, start + STEP);
        busy += begun.elapsed();
    }
    let found: BTreeSet<(String, String)> = engine
        .topology()
        .edges_at(minutes * 6 * STEP)
        .iter()
        .map(|edge| (edge.from.key(), edge.to.key()))
        .collect();
    let truth: BTreeSet<(String, String)> =
        truth.into_iter().map(|(a, b)| (name(a).to_string(), name(b).to_string())).collect();
    println!("services          {services}");
    println!("spans a minute    {spans}");
    println!("s a minute        {:.3}", busy.as_secs_f64() / minutes as f64);
    println!("edges found       {} of {}", truth.intersection(&found).count(), truth.len());
    println!("edges wrong       {}", found.difference(&truth).count());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
    {
        println!("peak memory       {}", peak.trim());
    }
    Ok(())
}
