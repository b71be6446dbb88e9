//! Fluent Forward over TCP: one message at a time, acknowledged when it is durable. While the sink can't take more,
//! the connection is not read, which holds the sender back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_wire::{ForwardDecoder, ForwardEvent, Handshake, SharedKey, decode_forward};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::IngestError;
use crate::credentials::{ForwardEntry, ForwardProof};
use crate::decompress::Compression;
use crate::gate::Gate;

const TRANSPORT: &str = "forward";
const PROTOCOL: &str = "fluent-forward";
const READ_BYTES: usize = 64 << 10;
/// Longest pause between two attempts to store a message.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The sender closed it, or the socket broke.
    Closed,
    /// What it sent can't be accepted.
    Refused(IngestError),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        tracing::debug!(transport = TRANSPORT, %error, "connection ended");
        Self::Closed
    }
}

impl From<IngestError> for End {
    fn from(error: IngestError) -> Self {
        Self::Refused(error)
    }
}

/// One connection.
struct Connection {
    gate: Arc<Gate>,
    stream: TcpStream,
    decoder: ForwardDecoder,
    handshake: Option<(Handshake, Vec<SharedKey>)>,
    proof: Option<ForwardProof>,
    shutdown: CancellationToken,
}

/// Runs one connection to its end.
pub(crate) async fn connection(
    gate: Arc<Gate>,
    stream: TcpStream,
    server_name: Arc<str>,
    shutdown: CancellationToken,
) {
    let max = gate.limits.max_body_bytes;
    let entry = stream.peer_addr().map(|peer| gate.credentials.forward_entry(peer.ip()));
    let (decoder, handshake, proof) = match entry.unwrap_or(ForwardEntry::Closed) {
        ForwardEntry::Keys(keys) => {
            let handshake = Handshake::new(&server_name, rand::random());
            (ForwardDecoder::with_handshake(max), Some((handshake, keys)), None)
        }
        ForwardEntry::Trusted(network) => {
            (ForwardDecoder::open(max), None, Some(ForwardProof::Network(network)))
        }
        ForwardEntry::Closed => {
            gate.metrics.request(TRANSPORT, PROTOCOL, IngestError::Unauthenticated.category());
            return;
        }
    };
    let counting = Arc::clone(&gate);
    let mut connection = Connection { gate, stream, decoder, handshake, proof, shutdown };
    if let Err(End::Refused(error)) = connection.run().await {
        counting.metrics.request(TRANSPORT, PROTOCOL, error.category());
        tracing::debug!(transport = TRANSPORT, %error, "connection closed");
    }
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        if let Some((handshake, _)) = &self.handshake {
            let helo = handshake.helo();
            self.stream.write_all(&helo).await?;
        }
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = self.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let events =
                self.decoder.feed(&buffer[..read]).map_err(|error| IngestError::Body(error.to_string()))?;
            for event in events {
                match event {
                    ForwardEvent::Ping(ping) => self.greet(&ping).await?,
                    ForwardEvent::Message(message) => self.message(message.into()).await?,
                }
            }
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Reads; an idle connection may stay, one in the middle of a message or of the handshake has a deadline.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, End> {
        let patience = if self.decoder.is_mid_message() || self.proof.is_none() {
            self.gate.limits.read_timeout
        } else {
            Duration::MAX
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(0),
            read = tokio::time::timeout(patience, self.stream.read(buffer)) => match read {
                Ok(read) => Ok(read?),
                Err(_) => Err(IngestError::Timeout.into()),
            },
        }
    }

    async fn greet(&mut self, ping: &causeway_wire::Ping) -> Result<(), End> {
        let Some((handshake, keys)) = self.handshake.take() else {
            return Err(IngestError::Unauthenticated.into());
        };
        let (pong, found) = handshake.answer(ping, &keys);
        self.stream.write_all(&pong).await?;
        self.proof =
            found.and_then(|index| keys.get(index)).and_then(|key| self.gate.credentials.proof_of(key));
        match self.proof {
            Some(_) => Ok(()),
            None => Err(IngestError::Unauthenticated.into()),
        }
    }

    /// Stores a message and acknowledges it; tries again while the sink or the source's rate asks for patience.
    async fn message(&mut self, message: Bytes) -> Result<(), End> {
        let deadline = Instant::now() + self.gate.limits.forward_retry;
        loop {
            let error = match self.store(message.clone()).await {
                Ok(ack) => {
                    self.gate.metrics.request(TRANSPORT, PROTOCOL, "accepted");
                    if let Some(ack) = ack {
                        self.stream.write_all(&ack).await?;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let Some(ms) = error.retry_after_ms() else { return Err(error.into()) };
            let pause = Duration::from_millis(ms).min(LONGEST_PAUSE);
            if Instant::now() + pause > deadline {
                return Err(error.into());
            }
            self.gate.metrics.request(TRANSPORT, PROTOCOL, error.category());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => return Err(error.into()),
            }
        }
    }

    /// The acknowledgement to send, if the sender waits for one.
    async fn store(&self, message: Bytes) -> Result<Option<Vec<u8>>, IngestError> {
        // A credential that was withdrawn ends its connections.
        let grant = self.proof.and_then(|proof| self.gate.credentials.by_proof(proof));
        let grant = grant.ok_or(IngestError::Unauthenticated)?;
        self.gate.may_send(&grant)?;
        let permit = self.gate.turn().await?;
        let (answer, ack) = tokio::sync::oneshot::channel();
        let ready = self
            .gate
            .decode(&grant, PROTOCOL, message, Compression::None, move |message, context| {
                let chunk = decode_forward(message, context)?;
                // The receiver waits below; were it gone, nobody would miss the acknowledgement.
                drop(answer.send(chunk.ack()));
                Ok(chunk.decoded)
            })
            .await?;
        self.gate.deliver(&grant, ready, permit).await?;
        ack.await.map_err(|_| IngestError::Internal)
    }
}
