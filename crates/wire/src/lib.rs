//! Sans-I/O decoders: bytes in, batches of the model out. No sockets, no clock; any bytes give a result or an error,
//! in memory that the limits bound.
//!
//! ```text
//!   request body ──► Decoder::decode(bytes, DecodeContext) ──► Decoded { batch, stats, errors }
//!                        └ registry: one line a protocol of requests (OTLP)
//!   TCP stream ──► ForwardDecoder::feed ──► ForwardEvent::Message ──► decode_forward ──► ForwardChunk
//!                        └ Handshake answers ForwardEvent::Ping
//! ```

mod assemble;
mod decoder;
mod forward;
mod otlp;
mod registry;
mod service;
mod severity;

pub use decoder::{DecodeContext, DecodeError, DecodeLimits, DecodeStats, Decoded, Decoder, Failure, Reply};
pub use forward::{
    ForwardChunk, ForwardDecoder, ForwardError, ForwardEvent, Handshake, Ping, SharedKey, decode_forward,
};
pub use otlp::{OtlpDecoder, OtlpEncoding, OtlpSignal};
pub use registry::{decoder_for, decoders};
