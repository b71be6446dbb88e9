//! OTLP 1.x: logs, metrics and traces, as protobuf and as JSON.
//!
//! A request is walked, not decoded as a whole: one record at a time is decoded and appended, so that a small body
//! can't become a large tree in memory.

mod histogram;
mod json;
mod logs;
mod metrics;
mod protobuf;
mod reply;
mod traces;
mod value;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use crate::{DecodeContext, DecodeError, Decoded, Decoder, Reply};

/// Signal of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpSignal {
    /// Logs.
    Logs,
    /// Metrics.
    Metrics,
    /// Traces.
    Traces,
}

/// Encoding of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpEncoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`, in the mapping of the OTLP specification: ids in hex, enums as numbers, 64-bit integers as
    /// strings or numbers, unknown fields ignored.
    Json,
}

/// The decoder of one signal in one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OtlpDecoder {
    /// Signal.
    pub signal: OtlpSignal,
    /// Encoding.
    pub encoding: OtlpEncoding,
}

const fn decoder(signal: OtlpSignal, encoding: OtlpEncoding) -> OtlpDecoder {
    OtlpDecoder { signal, encoding }
}

/// All of them.
pub(crate) static OTLP: [OtlpDecoder; 6] = [
    decoder(OtlpSignal::Logs, OtlpEncoding::Protobuf),
    decoder(OtlpSignal::Logs, OtlpEncoding::Json),
    decoder(OtlpSignal::Metrics, OtlpEncoding::Protobuf),
    decoder(OtlpSignal::Metrics, OtlpEncoding::Json),
    decoder(OtlpSignal::Traces, OtlpEncoding::Protobuf),
    decoder(OtlpSignal::Traces, OtlpEncoding::Json),
];

impl Decoder for OtlpDecoder {
    fn protocol(&self) -> &'static str {
        match self.signal {
            OtlpSignal::Logs => "otlp-logs",
            OtlpSignal::Metrics => "otlp-metrics",
            OtlpSignal::Traces => "otlp-traces",
        }
    }

    fn path(&self) -> &'static str {
        match self.signal {
            OtlpSignal::Logs => "/v1/logs",
            OtlpSignal::Metrics => "/v1/metrics",
            OtlpSignal::Traces => "/v1/traces",
        }
    }

    fn content_type(&self) -> &'static str {
        match self.encoding {
            OtlpEncoding::Protobuf => "application/x-protobuf",
            OtlpEncoding::Json => "application/json",
        }
    }

    fn decode(&self, body: &[u8], context: &DecodeContext) -> Result<Decoded, DecodeError> {
        match self.signal {
            OtlpSignal::Logs => run(logs::LogAssembler::new(context), self.encoding, body, context),
            OtlpSignal::Metrics => run(metrics::MetricAssembler::new(context), self.encoding, body, context),
            OtlpSignal::Traces => run(traces::SpanAssembler::new(context), self.encoding, body, context),
        }
    }

    fn reply(&self, reply: Reply<'_>) -> Vec<u8> {
        reply::body(self.signal, self.encoding, reply)
    }
}

fn run<A: Assemble>(
    mut assembler: A,
    encoding: OtlpEncoding,
    body: &[u8],
    context: &DecodeContext,
) -> Result<Decoded, DecodeError> {
    match encoding {
        OtlpEncoding::Protobuf => protobuf::walk(body, &mut assembler, &context.limits)?,
        OtlpEncoding::Json => json::walk(body, &mut assembler)?,
    }
    assembler.finish()
}

/// Takes the parts of a request in their order: resource, scope, records.
trait Assemble {
    /// Names of the three nested lists in JSON.
    const JSON_LISTS: [&'static str; 3];

    /// The resource of the records that follow.
    fn resource(&mut self, resource: Resource);

    /// The scope of the records that follow.
    fn scope(&mut self, scope: InstrumentationScope);

    /// One record (or one metric with its points) in protobuf.
    fn protobuf_record(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;

    /// One record (or one metric with its points) in JSON.
    fn json_record(&mut self, record: Map<String, Value>) -> Result<(), DecodeError>;

    /// A record beyond the bound on its size, or one that is not readable on its own.
    fn reject(&mut self, reason: String);

    /// The batch.
    fn finish(self) -> Result<Decoded, DecodeError>;
}
