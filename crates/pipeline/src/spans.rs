//! Spans → stubs and golden signals: requests, errors and latency of every service that serves.

use std::sync::Arc;

use arrow_array::Array;
use causeway_model::{
    BatchError, Micros, SeriesId, SeriesKind, SpanBatch, SpanKind, SpanRows, SpanStub, map_get,
};

use crate::aggregate::Aggregator;
use crate::templates::Interner;

/// Attributes that name the peer of a client span, most telling first (OpenTelemetry semantic conventions, today's
/// names and those before).
const PEER: [&str; 4] = ["peer.service", "server.address", "net.peer.name", "network.peer.address"];

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
        let peer = peer(kind, |key| map_get(rows.attributes, i, key)).map(|p| names.get(&p));
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

/// Whom a span calls; see [`SpanStub::peer`].
fn peer<'a>(kind: SpanKind, get: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let first = |keys: &[&str]| keys.iter().find_map(|key| get(key).filter(|value| !value.is_empty()));
    let joined = |parts: &[Option<&str>]| parts.iter().flatten().copied().collect::<Vec<_>>().join(":");
    // What agents do is told by spans of any kind.
    if let Some(operation) = get("gen_ai.operation.name") {
        let named = match operation {
            "execute_tool" => first(&["gen_ai.tool.name"]).map(|name| format!("Tool/{name}")),
            "invoke_agent" | "create_agent" => {
                first(&["gen_ai.agent.name", "gen_ai.agent.id"]).map(|name| format!("Agent/{name}"))
            }
            _ => first(&["gen_ai.request.model", "gen_ai.response.model"]).map(|model| {
                format!("Model/{}", joined(&[first(&["gen_ai.provider.name", "gen_ai.system"]), Some(model)]))
            }),
        };
        if named.is_some() {
            return named;
        }
    }
    if !matches!(kind, SpanKind::Client | SpanKind::Producer) {
        return None;
    }
    if let Some(system) = first(&["db.system.name", "db.system"]) {
        let host = first(&["server.address", "net.peer.name"]);
        let name = first(&["aws.dynamodb.table_names", "db.namespace", "db.name"]);
        return Some(format!("Database/{}", joined(&[Some(system), host, name])));
    }
    if let Some(destination) = first(&["messaging.destination.name", "messaging.destination"]) {
        return Some(format!("Queue/{}", joined(&[get("messaging.system"), Some(destination)])));
    }
    if let Some(function) = first(&["faas.invoked_name"]) {
        return Some(format!("Function/{function}"));
    }
    first(&PEER).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_spans() {
        use SpanKind::{Client, Internal, Producer, Server};
        /// Kind of a span, its attributes, and the peer that they name.
        type Case = (SpanKind, &'static [(&'static str, &'static str)], Option<&'static str>);
        let cases: [Case; 13] = [
            (Client, &[("server.address", "10.0.0.7")], Some("10.0.0.7")),
            (Client, &[("server.address", "a.example"), ("peer.service", "tax")], Some("tax")),
            (
                Client,
                &[("db.system.name", "postgresql"), ("server.address", "db"), ("db.namespace", "shop")],
                Some("Database/postgresql:db:shop"),
            ),
            (Client, &[("db.system", "redis")], Some("Database/redis")),
            (
                Client,
                &[("db.system.name", "dynamodb"), ("aws.dynamodb.table_names", "tax-rates")],
                Some("Database/dynamodb:tax-rates"),
            ),
            (
                Producer,
                &[("messaging.system", "kafka"), ("messaging.destination.name", "orders")],
                Some("Queue/kafka:orders"),
            ),
            (Client, &[("faas.invoked_name", "resize")], Some("Function/resize")),
            (
                Client,
                &[
                    ("gen_ai.operation.name", "chat"),
                    ("gen_ai.provider.name", "openai"),
                    ("gen_ai.request.model", "gpt-5"),
                ],
                Some("Model/openai:gpt-5"),
            ),
            (
                Internal,
                &[("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "search")],
                Some("Tool/search"),
            ),
            (
                Internal,
                &[("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", "planner")],
                Some("Agent/planner"),
            ),
            (
                Client,
                &[("gen_ai.operation.name", "chat"), ("server.address", "api.example")],
                Some("api.example"),
            ),
            (Server, &[("server.address", "here")], None),
            (Client, &[], None),
        ];
        for (kind, attributes, wanted) in cases {
            let get = |key: &str| attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
            assert_eq!(peer(kind, get).as_deref(), wanted, "{attributes:?}");
        }
    }
}
