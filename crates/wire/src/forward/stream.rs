//! The byte stream of one connection, cut into messages.

use super::handshake::Ping;
use super::scan::Scanner;

/// Bound on a message before the sender has proved that it knows a key.
const MAX_PING_BYTES: usize = 16 << 10;

/// Why a connection can't go on; it should be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The bytes are not the protocol's.
    #[error("malformed MessagePack: {0}")]
    Malformed(&'static str),
    /// A message is beyond the bound.
    #[error("a message exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The sender did not begin with a PING.
    #[error("expected a PING: this listener asks for a shared key")]
    NoPing,
}

/// Something complete has arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum ForwardEvent {
    /// The sender's answer to HELO: [`super::Handshake::answer`] it.
    Ping(Ping),
    /// Records, for [`super::decode_forward`].
    Message(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ExpectsPing,
    Open,
}

/// Cuts the stream of one connection into messages. Holds at most one message and what was fed with its last bytes.
#[derive(Debug)]
pub struct ForwardDecoder {
    state: State,
    max_message_bytes: usize,
    buffer: Vec<u8>,
    scanner: Scanner,
}

impl ForwardDecoder {
    /// For a connection on which anybody may send.
    #[must_use]
    pub fn open(max_message_bytes: usize) -> Self {
        Self { state: State::Open, max_message_bytes, buffer: Vec::new(), scanner: Scanner::default() }
    }

    /// For a connection that begins with a handshake.
    #[must_use]
    pub fn with_handshake(max_message_bytes: usize) -> Self {
        Self { state: State::ExpectsPing, ..Self::open(max_message_bytes) }
    }

    /// Takes what was read and gives what is complete. How the bytes are cut makes no difference to the events.
    ///
    /// # Errors
    /// When the connection must be closed; events that were complete before are given by an earlier call or lost,
    /// and were not acknowledged.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ForwardEvent>, ForwardError> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        loop {
            let limit = match self.state {
                State::ExpectsPing => MAX_PING_BYTES.min(self.max_message_bytes),
                State::Open => self.max_message_bytes,
            };
            let rest = &self.buffer[start..];
            let length = self.scanner.advance(rest).map_err(|b| ForwardError::Malformed(b.as_str()))?;
            if length.unwrap_or(rest.len()) > limit {
                return Err(ForwardError::TooLarge { limit });
            }
            let Some(length) = length else { break };
            self.scanner = Scanner::default();
            let message = &rest[..length];
            events.push(match self.state {
                State::ExpectsPing => ForwardEvent::Ping(Ping::parse(message).ok_or(ForwardError::NoPing)?),
                State::Open => ForwardEvent::Message(message.to_vec()),
            });
            self.state = State::Open;
            start += length;
        }
        self.buffer.drain(..start);
        Ok(events)
    }

    /// Whether a message has begun and is not complete.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty()
    }
}
