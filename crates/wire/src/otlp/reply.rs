//! Bodies of answers: `Export*ServiceResponse` with its partial success, and `google.rpc.Status`.

use prost::Message;
use serde_json::json;

use super::{OtlpEncoding, OtlpSignal};
use crate::{Failure, Reply};

/// `Export{Logs,Metrics,Trace}ServiceResponse`, which have the same shape.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Number of `google.rpc.Code`.
fn code(failure: Failure) -> i32 {
    match failure {
        Failure::Invalid => 3,
        Failure::Unauthenticated => 16,
        Failure::Exhausted => 8,
        Failure::Unavailable => 14,
        Failure::Internal => 13,
    }
}

/// The body of an answer.
pub(super) fn body(signal: OtlpSignal, encoding: OtlpEncoding, reply: Reply<'_>) -> Vec<u8> {
    match (encoding, reply) {
        (OtlpEncoding::Protobuf, Reply::Accepted { rejected, message }) => {
            let partial_success = (rejected > 0)
                .then(|| PartialSuccess { rejected: rejected as i64, error_message: message.to_owned() });
            ExportResponse { partial_success }.encode_to_vec()
        }
        (OtlpEncoding::Protobuf, Reply::Failed { failure, message }) => {
            Status { code: code(failure), message: message.to_owned() }.encode_to_vec()
        }
        (OtlpEncoding::Json, Reply::Accepted { rejected: 0, .. }) => b"{}".to_vec(),
        (OtlpEncoding::Json, Reply::Accepted { rejected, message }) => {
            let field = match signal {
                OtlpSignal::Logs => "rejectedLogRecords",
                OtlpSignal::Metrics => "rejectedDataPoints",
                OtlpSignal::Traces => "rejectedSpans",
            };
            json!({"partialSuccess": {field: rejected.to_string(), "errorMessage": message}})
                .to_string()
                .into_bytes()
        }
        (OtlpEncoding::Json, Reply::Failed { failure, message }) => {
            json!({"code": code(failure), "message": message}).to_string().into_bytes()
        }
    }
}
