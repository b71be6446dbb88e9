//! Log records a CPU second through steps, template mining and aggregation, with a sink that stores nothing.

use std::sync::Arc;

use causeway_model::{
    Accepted, Batch, BoxFuture, Clock, Delivery, LogBuilder, LogRow, Micros, Sink, SinkError, SourceRef,
};
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};

struct Nowhere;

impl Sink for Nowhere {
    fn accept(&self, delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(std::future::ready(Ok(Accepted { rows: delivery.batch.len(), duplicate: false })))
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now_us(&self) -> Micros {
        1_000_000_000
    }
}

/// CPU seconds of this process, from the kernel's ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) as f64 / 100.0
}

fn batch(start: usize) -> Result<Batch, Box<dyn std::error::Error>> {
    let mut builder = LogBuilder::default();
    for i in start..start + 10_000 {
        let body = format!(
            "request {i} of user {} to /api/v1/orders/{} took {} ms from 10.1.{}.{}",
            i % 977,
            i * 31 % 100_003,
            i % 250,
            i % 255,
            i % 251
        );
        builder.append(&LogRow {
            time_us: 1_000_000_000 - 5_000_000 + i as i64 % 1_000,
            service: "shop/checkout",
            severity_number: 9,
            severity_text: "INFO",
            body: &body,
            ..LogRow::default()
        })?;
    }
    Ok(Batch::Logs(builder.finish()?))
}

#[expect(clippy::print_stdout, reason = "a command-line example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = Gateway::new(
        Arc::new(Nowhere),
        Arc::new(|_| {}),
        Arc::new(Fixed),
        GatewayConfig::default(),
        PipelineMetrics::default(),
    );
    let source = SourceRef { namespace: "shop".into(), name: "otlp".into() };
    gateway.set_steps(&source, causeway_steps::Pipeline::default_mask()?);
    let batches = (0..20).map(|i| batch(i * 10_000)).collect::<Result<Vec<_>, _>>()?;
    let (begun, mut rows) = (cpu_seconds(), 0usize);
    for (i, batch) in batches.iter().cycle().take(100).enumerate() {
        rows += batch.len();
        let delivery = Delivery { source: source.clone(), batch: batch.clone(), request_hash: i as u64 };
        let mut accept = gateway.accept(delivery);
        // The sink answers at once: the future is ready at the first poll.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(answer) = accept.as_mut().poll(&mut context) {
            answer?;
        }
    }
    println!("{:.0} records per CPU second", rows as f64 / (cpu_seconds() - begun).max(0.01));
    Ok(())
}
