//! Why a request was not accepted, and how each protocol says so.

use causeway_model::SinkError;
use causeway_wire::{DecodeError, Failure};
use http::StatusCode;

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// No credential, or none that we know.
    #[error("no valid credential: send the token of a LogSource as 'Authorization: Bearer …'")]
    Unauthenticated,
    /// The source is suspended.
    #[error("the source is suspended")]
    Suspended,
    /// The source sends more records a second than it may.
    #[error("the source exceeds {limit} records a second, retry after {retry_after_ms} ms")]
    RateLimited {
        /// Records a second.
        limit: u32,
        /// When to retry.
        retry_after_ms: u64,
    },
    /// The body is too large.
    #[error("the body exceeds {limit} bytes: send smaller batches")]
    TooLarge {
        /// Bytes, before and after decompression.
        limit: usize,
    },
    /// No decoder for the media type.
    #[error("content type '{0}' is not supported here")]
    MediaType(String),
    /// Unknown compression.
    #[error("content encoding '{0}' is not supported: use gzip, zstd or identity")]
    Encoding(String),
    /// The compressed body is damaged, or the connection broke.
    #[error("the body can't be read: {0}")]
    Body(String),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Timeout,
    /// Too many requests are under way.
    #[error("too many requests are under way")]
    Busy,
    /// The bytes are not the protocol's.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The sink did not accept.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A task of ours ended before its time.
    #[error("the request could not be processed")]
    Internal,
}

impl IngestError {
    /// Value of the `outcome` label.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Suspended => "suspended",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooLarge { .. } | Self::Decode(DecodeError::TooLarge { .. }) => "too_large",
            Self::MediaType(_) | Self::Encoding(_) => "unsupported",
            Self::Body(_) | Self::Timeout => "unreadable",
            Self::Busy | Self::Sink(SinkError::Overloaded { .. }) => "overloaded",
            Self::Decode(DecodeError::Malformed { .. }) => "malformed",
            Self::Sink(SinkError::Unavailable(_)) => "unavailable",
            Self::Sink(SinkError::Invalid(_)) => "invalid",
            Self::Decode(DecodeError::Batch(_)) | Self::Internal => "internal",
        }
    }

    /// Status of an HTTP answer. 429 and 503 ask for a retry, as the OTLP specification has it.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::RateLimited { .. } | Self::Busy | Self::Sink(SinkError::Overloaded { .. }) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Suspended | Self::Sink(SinkError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge { .. } | Self::Decode(DecodeError::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::MediaType(_) | Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_)
            | Self::Decode(DecodeError::Malformed { .. })
            | Self::Sink(SinkError::Invalid(_)) => StatusCode::BAD_REQUEST,
            Self::Decode(DecodeError::Batch(_)) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Kind of failure in the body of an answer.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self.http_status() {
            StatusCode::UNAUTHORIZED => Failure::Unauthenticated,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => Failure::Exhausted,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Failure::Unavailable,
            StatusCode::INTERNAL_SERVER_ERROR => Failure::Internal,
            _ => Failure::Invalid,
        }
    }

    /// When a sender should retry, in milliseconds; `None` when it should not.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms, .. }
            | Self::Sink(SinkError::Overloaded { retry_after_ms }) => Some(*retry_after_ms),
            Self::Busy => Some(1_000),
            Self::Sink(SinkError::Unavailable(_)) => Some(5_000),
            Self::Suspended => Some(60_000),
            _ => None,
        }
    }

    /// The gRPC status code. Only `UNAVAILABLE` is retried by every OTLP exporter, so throttling has it too.
    #[must_use]
    pub fn grpc_code(&self) -> tonic::Code {
        match self.failure() {
            _ if self.retry_after_ms().is_some() => tonic::Code::Unavailable,
            Failure::Unauthenticated => tonic::Code::Unauthenticated,
            Failure::Exhausted => tonic::Code::ResourceExhausted,
            Failure::Unavailable => tonic::Code::Unavailable,
            Failure::Internal => tonic::Code::Internal,
            Failure::Invalid => tonic::Code::InvalidArgument,
        }
    }
}
