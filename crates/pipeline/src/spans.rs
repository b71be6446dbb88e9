//! Spans → stubs and golden signals: requests, errors and latency of every service that serves.

use std::sync::Arc;

use arrow_array::Array;
use causeway_model::{
    BatchError, Micros, SeriesId, SeriesKind, SpanBatch, SpanKind, SpanRows, SpanStub, map_get,
};

use crate::aggregate::Aggregator;
use crate::templates::Interner;

/// Attributes that name the peer of a client span, most telling first (OpenTelemetry semantic conventions).
const PEER: [&str; 4] = ["peer.service", "db.system.name", "messaging.destination.name", "server.address"];

pub(crate) fn aggregate(
    batch: &SpanBatch,
    aggregator: &mut Aggregator,
    names: &mut Interner,
    now_us: Micros,
) -> Result<(), BatchError> {
    let rows = SpanRows::new(batch)?;
    for i in 0..batch.len() {
        let time_us = rows.time.value(i);
        let Some(window) = aggregator.window(time_us, now_us) else { continue };
        let service = names.get(rows.service.value(i));
        let kind = SpanKind::from_column(rows.kind.value(i));
        let parent = if rows.parent_span_id.is_null(i) { 0 } else { fold_hex(rows.parent_span_id.value(i)) };
        let duration_us = rows.duration_ns.value(i) / 1_000;
        let error = rows.error.value(i);
        if matches!(kind, SpanKind::Server | SpanKind::Consumer)
            || (parent == 0 && matches!(kind, SpanKind::Unspecified | SpanKind::Internal))
        {
            let id = |signal: &str, names: &mut Interner| SeriesId {
                entity: Arc::clone(&service),
                signal: names.get(signal),
                group: names.get(""),
            };
            let requests = window.series.entry(id("requests", names)).or_default();
            requests.kind = SeriesKind::Count;
            requests.add(time_us, 1.0);
            let errors = window.series.entry(id("errors", names)).or_default();
            errors.kind = SeriesKind::Count;
            if error {
                errors.add(time_us, 1.0);
            }
            let latency = window.series.entry(id("latency", names)).or_default();
            let seconds = duration_us as f64 / 1e6;
            latency.kind = SeriesKind::Latency;
            latency.add(time_us, seconds);
            latency.histogram.get_or_insert_default().add(seconds);
        }
        let peer = (kind == SpanKind::Client || kind == SpanKind::Producer)
            .then(|| PEER.iter().find_map(|key| map_get(rows.attributes, i, key)))
            .flatten()
            .map(|p| names.get(p));
        window.spans.push(SpanStub {
            trace: fold_hex(rows.trace_id.value(i)),
            span: fold_hex(rows.span_id.value(i)),
            parent,
            service,
            operation: names.get(rows.name.value(i)),
            kind,
            start_us: time_us,
            duration_us,
            error,
            peer,
        });
    }
    Ok(())
}

/// The last 64 bits of a hex id; other characters are hashed in, so that odd ids still tell spans apart.
pub(crate) fn fold_hex(id: &str) -> u64 {
    let mut value: u64 = 0;
    for b in id.bytes() {
        match (b as char).to_digit(16) {
            Some(d) => value = value << 4 | u64::from(d),
            None => value = value.rotate_left(5) ^ u64::from(b),
        }
    }
    value
}
