//! Logs.

use causeway_model::{Batch, BatchError, LogBuilder, LogRow};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::value::{SPAN_ID, TRACE_ID, attributes, id, text};
use super::{Assemble, json, protobuf};
use crate::assemble::{Assembly, borrow};
use crate::severity::severity_number;
use crate::{DecodeContext, DecodeError, Decoded};

pub(super) struct LogAssembler<'a> {
    assembly: Assembly<'a>,
    builder: LogBuilder,
}

impl<'a> LogAssembler<'a> {
    pub(super) fn new(context: &'a DecodeContext) -> Self {
        Self { assembly: Assembly::new(context), builder: LogBuilder::default() }
    }

    fn append(&mut self, record: LogRecord) -> Result<(), BatchError> {
        let a = &mut self.assembly;
        let limits = a.context.limits;
        let body = text(a, record.body);
        let body = a.cut_to(body, limits.max_body_bytes);
        let severity_text = a.cut_to(record.severity_text, limits.max_key_bytes);
        let mut own = attributes(a, record.attributes);
        if !a.scope.is_empty() {
            let scope = a.scope.clone();
            a.push(&mut own, "otel.scope.name".to_owned(), scope);
        }
        if !record.event_name.is_empty() {
            a.push(&mut own, "event.name".to_owned(), record.event_name);
        }
        if !a.admit(&own, body.len() + severity_text.len() + 48) {
            return Ok(());
        }
        let severity = match record.severity_number {
            number @ 1..=24 => number,
            _ => severity_number(&severity_text),
        };
        let (trace_id, span_id) = (id(&record.trace_id, TRACE_ID), id(&record.span_id, SPAN_ID));
        self.builder.append(&LogRow {
            time_us: a.event_time(&[record.time_unix_nano, record.observed_time_unix_nano]),
            observed_us: a.context.observed_us,
            namespace: &a.context.source.namespace,
            source: &a.context.source.name,
            service: &a.service,
            severity_number: severity,
            severity_text: &severity_text,
            body: &body,
            trace_id: trace_id.as_deref(),
            span_id: span_id.as_deref(),
            resource: &borrow(&a.resource),
            attributes: &borrow(&own),
        })
    }
}

impl Assemble for LogAssembler<'_> {
    const JSON_LISTS: [&'static str; 3] = ["resourceLogs", "scopeLogs", "logRecords"];

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
                self.reject(format!("a record exceeds {} bytes", limits.max_record_bytes));
                Ok(())
            }
        }
    }

    fn json_record(&mut self, record: Map<String, Value>) -> Result<(), DecodeError> {
        Ok(self.append(json::log_record(record)?)?)
    }

    fn reject(&mut self, reason: String) {
        self.assembly.reject(reason);
    }

    fn finish(self) -> Result<Decoded, DecodeError> {
        Ok(self.assembly.finish(Batch::Logs(self.builder.finish()?)))
    }
}
