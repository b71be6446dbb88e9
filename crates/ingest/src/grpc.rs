//! OTLP over gRPC. Messages reach the decoders as bytes: they are walked once, and their hash is that of the bytes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes};
use causeway_wire::{Decoder as WireDecoder, OtlpDecoder, OtlpEncoding, OtlpSignal, Reply};
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

use crate::IngestError;
use crate::decompress::Compression;
use crate::gate::{Accepted, Gate};

/// Path of each service's only method.
const METHODS: [(&str, OtlpSignal); 3] = [
    ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", OtlpSignal::Logs),
    ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", OtlpSignal::Metrics),
    ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", OtlpSignal::Traces),
];

/// Routes of the three services; everything else is `UNIMPLEMENTED`.
pub(crate) fn router(gate: Arc<Gate>) -> Router {
    let router = METHODS.iter().fold(Router::new(), |router, (path, signal)| {
        let decoder = OtlpDecoder { signal: *signal, encoding: OtlpEncoding::Protobuf };
        router.route(path, post(move |state, request| export(state, decoder, request)))
    });
    let unknown = || async { Status::unimplemented("no such method").into_http::<axum::body::Body>() };
    router.fallback(unknown).with_state(gate)
}

async fn export(State(gate): State<Arc<Gate>>, decoder: OtlpDecoder, request: Request) -> Response {
    let admitted = match gate.admit(request.headers()) {
        Ok(grant) => gate.turn().await.map(|permit| (grant, permit)),
        Err(error) => Err(error),
    };
    let (grant, permit) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            gate.metrics.request("grpc", decoder.protocol(), error.category());
            return status(&error).into_http();
        }
    };
    let mut grpc = tonic::server::Grpc::new(RawCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(gate.body_limit(&grant));
    let timeout = gate.limits.read_timeout;
    let counting = Arc::clone(&gate);
    let mut turn = Some(permit);
    let service = tower::service_fn(move |request: tonic::Request<Bytes>| {
        let (gate, grant, permit) = (Arc::clone(&gate), Arc::clone(&grant), turn.take());
        async move {
            let permit = permit.ok_or_else(|| status(&IngestError::Internal))?;
            let body = request.into_inner();
            let ready = gate
                .decode(&grant, decoder.protocol(), body, Compression::None, move |body, context| {
                    decoder.decode(body, context)
                })
                .await;
            let result = match ready {
                Ok(ready) => gate.deliver(&grant, ready, permit).await,
                Err(error) => Err(error),
            };
            let outcome = result.as_ref().map_or_else(IngestError::category, |_| "accepted");
            gate.metrics.request("grpc", decoder.protocol(), outcome);
            match result {
                Ok(Accepted { rejected, message }) => {
                    let reply = decoder.reply(Reply::Accepted { rejected, message: &message });
                    Ok(tonic::Response::new(Bytes::from(reply)))
                }
                Err(error) => Err(status(&error)),
            }
        }
    });
    match tokio::time::timeout(timeout, grpc.unary(service, request)).await {
        Ok(response) => response.map(axum::body::Body::new),
        Err(_) => {
            counting.metrics.request("grpc", decoder.protocol(), IngestError::Timeout.category());
            status(&IngestError::Timeout).into_http()
        }
    }
}

/// `google.rpc.Status` with the one detail that OTLP exporters read.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn status(error: &IngestError) -> Status {
    let (code, message): (Code, String) = (error.grpc_code(), error.to_string());
    let Some(ms) = error.retry_after_ms() else { return Status::new(code, message) };
    let retry_delay = Duration { seconds: (ms / 1_000) as i64, nanos: (ms % 1_000) as i32 * 1_000_000 };
    let detail = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo { retry_delay: Some(retry_delay) }.encode_to_vec(),
    };
    let details = RpcStatus { code: code as i32, message: message.clone(), details: vec![detail] };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// Hands messages through as bytes.
#[derive(Clone, Copy, Debug)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
