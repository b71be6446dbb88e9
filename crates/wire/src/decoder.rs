//! What every decoder of requests has in common.

use causeway_model::{AcceptedRange, Batch, BatchError, Micros, SourceRef};

/// Bounds on one request. What goes beyond a bound on texts is cut, what goes beyond a bound on records is rejected
/// and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Records in a batch.
    pub max_records: usize,
    /// Encoded bytes of one record, resource or scope.
    pub max_record_bytes: usize,
    /// Attributes of a record, and of a resource.
    pub max_attributes: usize,
    /// Bytes of an attribute's key.
    pub max_key_bytes: usize,
    /// Bytes of an attribute's value.
    pub max_value_bytes: usize,
    /// Bytes of a log record's body.
    pub max_body_bytes: usize,
    /// Nesting of values; what lies deeper is left out.
    pub max_depth: usize,
    /// Bytes of all texts of a batch, with the resource counted for each record, as the columns hold it.
    pub max_batch_bytes: usize,
    /// Bytes of a compressed chunk after decompression (Fluent Forward; HTTP and gRPC have the transport's bound).
    pub max_decompressed_bytes: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_records: 200_000,
            max_record_bytes: 1 << 20,
            max_attributes: 128,
            max_key_bytes: 256,
            max_value_bytes: 16 << 10,
            max_body_bytes: 256 << 10,
            max_depth: 16,
            max_batch_bytes: 128 << 20,
            max_decompressed_bytes: 64 << 20,
        }
    }
}

/// What a decoder needs to know besides the bytes.
#[derive(Clone, Debug)]
pub struct DecodeContext {
    /// Source that the credential selected.
    pub source: SourceRef,
    /// Now, as the time of observation.
    pub observed_us: Micros,
    /// Event times that are believed; a record outside of it is stored under `observed_us`, and counted.
    pub accepted: AcceptedRange,
    /// Bounds.
    pub limits: DecodeLimits,
}

impl DecodeContext {
    /// A context with the default range and bounds.
    #[must_use]
    pub fn new(source: SourceRef, observed_us: Micros) -> Self {
        Self {
            source,
            observed_us,
            accepted: AcceptedRange::around(observed_us),
            limits: DecodeLimits::default(),
        }
    }
}

/// Counts of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeStats {
    /// Records in the batch.
    pub records: usize,
    /// Records left out, because they are invalid or beyond a bound.
    pub rejected: usize,
    /// Records stored under the time of observation, because their own lies outside of the accepted range.
    pub time_adjusted: usize,
    /// Records of which a text was cut or attributes were left out.
    pub truncated: usize,
}

/// A decoded request.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Records.
    pub batch: Batch,
    /// Counts.
    pub stats: DecodeStats,
    /// The first different reasons why records were rejected, at most five.
    pub errors: Vec<String>,
}

/// Why a request could not be decoded at all; a retry of the same bytes fails in the same way.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the protocol's.
    #[error("malformed {protocol}: {reason}")]
    Malformed {
        /// Encoding.
        protocol: &'static str,
        /// Reason, with the place where it is known.
        reason: String,
    },
    /// It is beyond a bound.
    #[error("{what} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The columns could not be built.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Why a request failed, as the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request is at fault; do not retry.
    Invalid,
    /// No valid credential.
    Unauthenticated,
    /// Too much or too large; when HTTP says 429, retry later.
    Exhausted,
    /// Not now; retry.
    Unavailable,
    /// Our fault.
    Internal,
}

/// What to answer.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// Accepted, in part when `rejected` is not zero.
    Accepted {
        /// Records left out.
        rejected: usize,
        /// Reasons, empty when nothing was rejected.
        message: &'a str,
    },
    /// Failed.
    Failed {
        /// Kind.
        failure: Failure,
        /// Reason.
        message: &'a str,
    },
}

/// A protocol whose requests are decoded one by one.
pub trait Decoder: Sync {
    /// Name in metrics, such as `otlp-logs`.
    fn protocol(&self) -> &'static str;

    /// Path of HTTP requests.
    fn path(&self) -> &'static str;

    /// Media type of requests and answers, without parameters.
    fn content_type(&self) -> &'static str;

    /// Decodes the body of one request, after decompression.
    ///
    /// # Errors
    /// When the body as a whole is not the protocol's; invalid records alone are counted, not errors.
    fn decode(&self, body: &[u8], context: &DecodeContext) -> Result<Decoded, DecodeError>;

    /// The body of an answer.
    fn reply(&self, reply: Reply<'_>) -> Vec<u8>;
}
