//! Traces.

use causeway_model::{Batch, BatchError, SpanBuilder, SpanKind, SpanRow};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use serde_json::{Map, Value};

use super::value::{SPAN_ID, TRACE_ID, attributes, id};
use super::{Assemble, json, protobuf};
use crate::assemble::{Assembly, Pairs, borrow};
use crate::{DecodeContext, DecodeError, Decoded};

/// Attributes of an exception that a span keeps, from its first event of that name.
const EXCEPTION: [&str; 2] = ["exception.type", "exception.message"];

pub(super) struct SpanAssembler<'a> {
    assembly: Assembly<'a>,
    builder: SpanBuilder,
}

impl<'a> SpanAssembler<'a> {
    pub(super) fn new(context: &'a DecodeContext) -> Self {
        Self { assembly: Assembly::new(context), builder: SpanBuilder::default() }
    }

    fn append(&mut self, record: Span) -> Result<(), BatchError> {
        let a = &mut self.assembly;
        let (Some(trace_id), Some(span_id)) = (id(&record.trace_id, TRACE_ID), id(&record.span_id, SPAN_ID))
        else {
            a.reject("a span has no valid trace id and span id");
            return Ok(());
        };
        let name = a.cut_value(record.name);
        let status = record.status.unwrap_or_default();
        let message = a.cut_value(status.message);
        let mut own = attributes(a, record.attributes);
        if !a.scope.is_empty() {
            let scope = a.scope.clone();
            a.push(&mut own, "otel.scope.name".to_owned(), scope);
        }
        exception(a, &mut own, record.events);
        if !a.admit(&own, name.len() + message.len() + 64) {
            return Ok(());
        }
        let duration = record.end_time_unix_nano.saturating_sub(record.start_time_unix_nano);
        let has_both = record.start_time_unix_nano != 0 && record.end_time_unix_nano != 0;
        self.builder.append(&SpanRow {
            time_us: a.event_time(&[record.start_time_unix_nano, record.end_time_unix_nano]),
            namespace: &a.context.source.namespace,
            source: &a.context.source.name,
            service: &a.service,
            name: &name,
            kind: kind(record.kind),
            trace_id: &trace_id,
            span_id: &span_id,
            parent_span_id: id(&record.parent_span_id, SPAN_ID).as_deref(),
            duration_ns: if has_both { i64::try_from(duration).unwrap_or(i64::MAX) } else { 0 },
            error: status.code == StatusCode::Error as i32,
            status_message: &message,
            resource: &borrow(&a.resource),
            attributes: &borrow(&own),
        })
    }
}

fn exception(assembly: &mut Assembly<'_>, own: &mut Pairs, events: Vec<span::Event>) {
    let Some(event) = events.into_iter().find(|e| e.name == "exception") else { return };
    let known = |key: &str| EXCEPTION.contains(&key);
    let values = event.attributes.into_iter().filter(|kv| known(&kv.key)).collect();
    for (key, value) in attributes(assembly, values) {
        if own.iter().all(|(k, _)| *k != key) {
            assembly.push(own, key, value);
        }
    }
}

fn kind(number: i32) -> SpanKind {
    match Kind::try_from(number).unwrap_or_default() {
        Kind::Unspecified => SpanKind::Unspecified,
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

impl Assemble for SpanAssembler<'_> {
    const JSON_LISTS: [&'static str; 3] = ["resourceSpans", "scopeSpans", "spans"];

    fn resource(&mut self, resource: Resource) {
        let pairs = attributes(&mut self.assembly, resource.attributes);
        self.assembly.set_resource(pairs);
    }

    fn scope(&mut self, scope: InstrumentationScope) {
        self.assembly.scope = self.assembly.cut_value(scope.name);
    }

    fn protobuf_record(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let limits = &self.assembly.context.limits;
        match protobuf::bounded(bytes, limits)? {
            Some(record) => Ok(self.append(record)?),
            None => {
                self.reject(format!("a span exceeds {} bytes", limits.max_record_bytes));
                Ok(())
            }
        }
    }

    fn json_record(&mut self, record: Map<String, Value>) -> Result<(), DecodeError> {
        Ok(self.append(json::span(record)?)?)
    }

    fn reject(&mut self, reason: String) {
        self.assembly.reject(reason);
    }

    fn finish(self) -> Result<Decoded, DecodeError> {
        Ok(self.assembly.finish(Batch::Spans(self.builder.finish()?)))
    }
}
