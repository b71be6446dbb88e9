//! Bounds that hold for all senders together.

use std::time::Duration;

use causeway_wire::DecodeLimits;

/// Bounds of the transports. Memory is at most about `max_in_flight` times what one request may become.
#[derive(Clone, Debug)]
pub struct IngestLimits {
    /// Bytes of a body, before and after decompression, and of a Forward message.
    pub max_body_bytes: usize,
    /// Open connections of each listener; further ones are closed at once.
    pub max_connections: usize,
    /// Requests that are read, decoded or stored at the same time, over all listeners.
    pub max_in_flight: usize,
    /// How long a request waits for its turn before it is told to come back.
    pub queue_timeout: Duration,
    /// How long headers, a body or a begun message may take to arrive.
    pub read_timeout: Duration,
    /// How long a Forward connection tries to store one message while the sink is overloaded or unavailable; its
    /// sender is held back meanwhile.
    pub forward_retry: Duration,
    /// How long requests under way have to end at shutdown.
    pub drain_timeout: Duration,
    /// Bounds of the decoders.
    pub decode: DecodeLimits,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 8 << 20,
            max_connections: 512,
            max_in_flight: 32,
            queue_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            forward_retry: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
            decode: DecodeLimits { max_batch_bytes: 64 << 20, ..DecodeLimits::default() },
        }
    }
}
