//! Fluent Forward protocol, version 1: Message, Forward, PackedForward and CompressedPackedForward modes, event times,
//! acknowledgements, and the shared-key handshake.

mod chunk;
mod handshake;
mod record;
mod scan;
mod stream;

pub use chunk::{ForwardChunk, decode_forward};
pub use handshake::{Handshake, Ping, SharedKey};
pub use stream::{ForwardDecoder, ForwardError, ForwardEvent};
